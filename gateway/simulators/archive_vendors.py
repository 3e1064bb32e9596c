"""The habits of Public 360, ePhorte and WebSak, for the simulated archive.

Stated here a second time, apart from ``mappings/dialects``: what an archive demands and
sends is a fact of its own, and the gateway's data is tested against it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from lxml import etree

from gateway.edu.write import PayloadText
from gateway.model import (
    EXCHANGE_NAMESPACE,
    MELDING_NAMESPACE,
    AppReceipt,
    Document,
    Envelope,
    Melding,
    Party,
    ReceiptType,
    StatusMessage,
)

_IEDUIMPORT = "http://www.arkivverket.no/Noark/Exchange/IEDUImport/PutMessage"
_SCHEMA = "http://www.w3.org/2001/XMLSchema"
_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

_UNQUALIFIED: Any = {None: ""}


@dataclass(frozen=True, slots=True)
class Vendor:
    """How one archive system behaves on the wire.

    `payload` is how it writes the payload: ``typed`` escaped text with xsi:type,
    ``untyped`` escaped text, or ``cdata``. `original_parties`: its AppReceipt carries the
    parties of the letter it answers, unexchanged.
    """

    name: str
    soap_actions: tuple[str, ...]
    wrong_action: str
    payload: Literal["typed", "untyped", "cdata"]
    original_parties: bool
    states_own_orgnr: bool
    receiver_first: bool


VENDORS = {
    "p360": Vendor(
        name="p360",
        soap_actions=(f'"{_IEDUIMPORT}"',),
        wrong_action=(
            "The message cannot be processed at the receiver, due to a ContractFilter mismatch "
            "at the EndpointDispatcher"
        ),
        payload="typed",
        original_parties=True,
        states_own_orgnr=False,
        receiver_first=False,
    ),
    "ephorte": Vendor(
        name="ephorte",
        soap_actions=('""',),
        wrong_action="Server did not recognize the value of HTTP Header SOAPAction",
        payload="cdata",
        original_parties=False,
        states_own_orgnr=True,
        receiver_first=True,
    ),
    "websak": Vendor(
        name="websak",
        soap_actions=(f'"{_IEDUIMPORT}"', '""'),
        wrong_action="Server did not recognize the value of HTTP Header SOAPAction",
        payload="untyped",
        original_parties=False,
        states_own_orgnr=True,
        receiver_first=True,
    ),
}

_DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>'
_ROOTS = (
    f'<Melding xmlns="{MELDING_NAMESPACE}"'.encode(),
    f'<AppReceipt xmlns="{EXCHANGE_NAMESPACE}"'.encode(),
)


def complaint_about(
    vendor: Vendor, headers: dict[str, str], head: bytes, envelope: Envelope | None
) -> str | None:
    """What `vendor` would not accept in a request, None when it is as it must be.

    `headers` have lower-case names; `head` is the beginning of the body, long enough to
    hold the payload's root.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "text/xml":
        return f"Content-Type {media_type!r} is not text/xml"
    if headers.get("soapaction") not in vendor.soap_actions:
        return f"{vendor.wrong_action}: {headers.get('soapaction')}"
    if envelope is None or envelope.content_namespace != MELDING_NAMESPACE:
        return "contentNamespace is not that of the Melding"
    found = re.search(rb"<payload(\s[^>]*)?>(?:<!\[CDATA\[)?", head)
    if found is None:
        return "there is no unqualified payload"
    text = _unescaped(head[found.end() : found.end() + 1000])
    if not text.startswith(_DECLARED):
        return "the payload has no XML declaration"
    if not text[len(_DECLARED) :].startswith(_ROOTS):
        return "the payload's root is not unprefixed in its default namespace"
    return None


def _unescaped(text: bytes) -> bytes:
    return text.replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&")


def qualified_child(melding: Melding) -> str | None:
    """A complaint when children of the letter are in a namespace: then they are not seen."""
    for child in melding.root:
        if isinstance(child.tag, str) and child.tag.startswith("{"):
            return f"{etree.QName(child).localname} is in a namespace"
    return None


def receipt_for(
    vendor: Vendor, envelope: Envelope, record_number: int, receipt_id: str, now: datetime
) -> AppReceipt:
    """The AppReceipt that `vendor` sends when it has filed a letter."""
    if vendor.name != "websak":
        return AppReceipt(ReceiptType.OK, (StatusMessage("Recno", str(record_number)),))
    sender = envelope.sender.orgnr if envelope.sender else ""
    receiver = envelope.receiver.orgnr if envelope.receiver else ""
    values = {
        "Avsender": f"({sender})",
        "Mottaker": f"({receiver})",
        "AppKvitteringID": receipt_id,
        "Tidspunkt for mottak": now.strftime("%d.%m.%Y %H:%M:%S"),
        "Meldingstype": "Acos.WebSak.WebService.N4WSwd.MeldingType",
        "KonversasjonsID": envelope.conversation_id or "",
        "Status": "Godtatt",
    }
    return AppReceipt(
        ReceiptType.OK, tuple(StatusMessage(code, text) for code, text in values.items())
    )


def receipt_parties(vendor: Vendor, envelope: Envelope) -> tuple[Party | None, Party | None]:
    """Sender and receiver in the envelope of an AppReceipt for the letter in `envelope`."""
    if vendor.original_parties:
        return envelope.sender, envelope.receiver
    return envelope.receiver, envelope.sender


@dataclass(frozen=True, slots=True)
class Letter:
    """What a simulated case worker wants to send."""

    sender: Party
    receiver_orgnr: str
    conversation_id: str
    title: str
    documents: Sequence[Document]
    day: str
    """Date of the letter, ISO."""


def letter_payload(vendor: Vendor, letter: Letter) -> PayloadText:
    """The letter as `vendor` would write it, with the fields it is known to fill."""
    number = zlib.crc32(letter.conversation_id.encode()) % 900_000 + 100_000
    year = letter.day[:4]
    declared: Any = {"xsd": _SCHEMA, "xsi": _SCHEMA_INSTANCE, None: MELDING_NAMESPACE}
    root = etree.Element(f"{{{MELDING_NAMESPACE}}}Melding", nsmap=declared)
    journpost = etree.SubElement(root, "journpost", nsmap=_UNQUALIFIED)
    _fill(
        journpost,
        jpId=number,
        jpJaar=year,
        jpSeknr=number % 10_000,
        jpJpostnr=1,
        jpJdato="0001-01-01" if vendor.name == "p360" else letter.day,
        jpNdoktype="U",
        jpDokdato=letter.day,
        jpStatus="E" if vendor.name == "websak" else "R",
        jpInnhold=letter.title,
        jpForfdato="",
        jpTgkode="U" if vendor.name == "p360" else "",
        jpUoff="",
        jpAntved=max(len(letter.documents) - 1, 0),
        jpSaar=year,
        jpSaseknr=number % 1000,
        jpOffinnhold=letter.title,
    )
    parties = [("1", letter.receiver_orgnr, "Mottaker"), ("0", "", letter.sender.name or "Arkiv")]
    for role, orgnr, name in parties if vendor.receiver_first else reversed(parties):
        avsmot = etree.SubElement(journpost, "avsmot")
        if orgnr:
            _fill(avsmot, amOrgnr=orgnr)
        _fill(avsmot, amIhtype=role, amNavn=name)
        if vendor.name == "ephorte":
            _fill(avsmot, amAdmkort="[Ufordelt]", amSbhinit="[Ufordelt]")
    if vendor.name == "websak":
        _fill(
            etree.SubElement(journpost, "tilleggsinfo"),
            tiRnr=-1,
            tiItype="NJ",
            tiTekst=f"JP:{number} Opprettet av 0",
        )
    for index, document in enumerate(letter.documents):
        _add_document(vendor, journpost, index, document)
    _fill(
        etree.SubElement(root, "noarksak", nsmap=_UNQUALIFIED),
        saId=f"{year[2:]}/{number % 1000:05}" if vendor.name == "p360" else f"{year}{number:06}",
        saSaar=year,
        saSeknr=number % 1000,
        saPapir=0,
        saDato=letter.day,
        saTittel=f"Sak: {letter.title}",
        saStatus="B",
        saArkdel="SAK",
        saJenhet="SENTRAL",
        saBevtid=-1 if vendor.name == "websak" else "",
        saOfftittel=f"Sak: {letter.title}",
    )
    markup = etree.tostring(root, encoding="utf-8", pretty_print=vendor.name == "p360")
    pieces: list[object] = [b'<?xml version="1.0" encoding="utf-8"?>']
    for index, part in enumerate(re.split(rb"<\?content (\d+)\?>", markup)):
        pieces.append(letter.documents[int(part)].content if index % 2 else part)
    return PayloadText(tuple(pieces))  # type: ignore[arg-type]


def _add_document(
    vendor: Vendor, journpost: etree._Element, index: int, document: Document
) -> None:
    extension = document.filename.rpartition(".")[2]
    archival = extension.lower() == "pdf" and vendor.name != "p360"
    dokument = etree.SubElement(journpost, "dokument")
    _fill(
        dokument,
        dlRnr=index + 1,
        dlType="V" if index else "H",
        dbTittel=document.title or document.filename.rpartition(".")[0] or document.filename,
        dbStatus="B",
        veVariant="A" if archival else "P",
        veDokformat="RA-PDF" if archival else extension.upper(),
    )
    base64 = etree.SubElement(etree.SubElement(dokument, "fil"), "base64")
    base64.append(etree.ProcessingInstruction("content", str(index)))
    _fill(dokument, veFilnavn=document.filename, veMimeType=document.mime_type)


def _fill(parent: etree._Element, **values: object) -> None:
    for name, value in values.items():
        etree.SubElement(parent, name).text = str(value) or None


def request(
    vendor: Vendor,
    *,
    sender: Party | None,
    receiver: Party | None,
    conversation_id: str,
    payload: PayloadText,
) -> PayloadText:
    """A whole PutMessage request in the vendor's form, documents still to be encoded."""
    envelope = etree.Element("envelope", contentNamespace=MELDING_NAMESPACE)
    envelope.set("conversationId", conversation_id)
    for name, party in (("sender", sender), ("receiver", receiver)):
        element = etree.SubElement(envelope, name)
        if party is not None:
            values = {"orgnr": party.orgnr or "", "name": party.name, "ref": party.ref}
            _fill(element, **{key: value for key, value in values.items() if value is not None})
    addresses = etree.tostring(envelope, encoding="utf-8").replace(
        b"<envelope ", b'<envelope xmlns="" ', 1
    )
    typed = b' xsi:type="xsd:string"' if vendor.payload == "typed" else b""
    before, after = b'<payload%s xmlns="">' % typed, b"</payload>"
    if vendor.payload == "cdata":
        before, after = before + b"<![CDATA[", b"]]>" + after
    else:
        payload = payload.escaped()
    head = (
        b'<s:Envelope encoding="utf-8" xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        b'<s:Body xmlns:xsi="%s" xmlns:xsd="%s"><PutMessageRequest xmlns="%s">'
    ) % (_SCHEMA_INSTANCE.encode(), _SCHEMA.encode(), EXCHANGE_NAMESPACE.encode())
    tail = b"</PutMessageRequest></s:Body></s:Envelope>"
    return PayloadText((head + addresses + before, *payload.pieces, after + tail))
