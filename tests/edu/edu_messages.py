"""Requests made of invented letters, in every payload form."""

from __future__ import annotations

import base64
from collections.abc import Callable

T = "http://www.arkivverket.no/Noark/Exchange/types"
N = "http://www.arkivverket.no/Noark4-1-WS-WD/types"


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def letter(*documents: bytes | str, title: str = "Søknad om båtplass") -> str:
    """A Melding; bytes are documents, str goes into ``base64`` as it stands."""
    parts = "".join(
        f"<dokument><dlRnr>{n}</dlRnr><fil><base64>"
        f"{one if isinstance(one, str) else base64.b64encode(one).decode()}"
        f"</base64></fil><veFilnavn>fil-{n}.txt</veFilnavn></dokument>"
        for n, one in enumerate(documents, 1)
    )
    return (
        f'<Melding xmlns="{N}"><journpost xmlns=""><jpId>7</jpId><jpInnhold>{title}</jpInnhold>'
        f'{parts}</journpost><noarksak xmlns=""><saTittel>Brygge 4</saTittel></noarksak></Melding>'
    )


RECEIPT = (
    f'<AppReceipt type="OK" xmlns="{T}"><message code="Recno" xmlns="">'
    "<text>4711</text></message></AppReceipt>"
)

ENVELOPE = (
    '<envelope conversationId="6f0e5e9a-0b43-4b0f-9d0c-5a1b8a6b2c11" '
    f'contentNamespace="{N}" xmlns=""><sender><orgnr>974760673</orgnr><name>Øy kommune</name>'
    "<ref>15/42</ref></sender><receiver><orgnr>991825827</orgnr></receiver></envelope>"
)


def request(
    payload: str,
    *,
    envelope: str = ENVELOPE,
    soap: str = "http://schemas.xmlsoap.org/soap/envelope/",
    declaration: str = "",
) -> str:
    """A PutMessage; `payload` is the whole element."""
    return (
        f'{declaration}<s:Envelope xmlns:s="{soap}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema"><s:Body>'
        f'<PutMessageRequest xmlns="{T}">{envelope}{payload}</PutMessageRequest>'
        "</s:Body></s:Envelope>"
    )


FORMS: dict[str, Callable[[str], str]] = {
    "E1 typed, escaped": lambda xml: (
        f'<payload xsi:type="xsd:string" xmlns="">{escape(xml)}</payload>'
    ),
    "E2 typed, CDATA": lambda xml: (
        f'<payload xsi:type="xsd:string" xmlns=""><![CDATA[{xml}]]></payload>'
    ),
    "E3 escaped": lambda xml: f'<payload xmlns="">{escape(xml)}</payload>',
    "E4 CDATA": lambda xml: f'<payload xmlns=""><![CDATA[{xml}]]></payload>',
    "E5 nested": lambda xml: f'<payload xmlns="">{xml}</payload>',
    "E11 qualified": lambda xml: f"<payload>{escape(xml)}</payload>",
}
