"""Letters and sides for the tests of comparison; all invented."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

from gateway.compare import SAME, Names, RuleBook, build_names, load_rules
from gateway.resources import data_folder
from gateway.translate import load_mapping

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NO_RULES = RuleBook(())


def shipped_rules() -> RuleBook:
    path = data_folder("mappings") / "compare.toml"
    return load_rules(path.read_text(encoding="utf-8"), path.name, SAME)


def standard_names() -> Names:
    return build_names([load_mapping("faithful").profile, load_mapping("rich").profile])


def melding(number: int = 1, title: str = "Søknad om skjenkebevilling", dialect: str = "") -> str:
    """A Melding with two parties and two documents."""
    text = base64.b64encode(f"Innhold {number}".encode()).decode()
    extra = "<amForsend>D</amForsend>" if dialect == "ephorte" else ""
    sak = f"26/{number:05}" if dialect == "p360" else str(number)
    return f"""<Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types">
<journpost xmlns=""><jpId>{40000 + number}</jpId><jpJaar>2026</jpJaar><jpSeknr>{number}</jpSeknr>
<jpJpostnr>3</jpJpostnr><jpJdato>2026-11-02</jpJdato><jpNdoktype>U</jpNdoktype>
<jpDokdato>2026-11-01</jpDokdato><jpStatus>J</jpStatus><jpInnhold>{escape(title)}</jpInnhold>
<jpTgkode>U</jpTgkode><jpUoff>offl. § 13</jpUoff><jpOffinnhold>Søknad</jpOffinnhold>
<avsmot><amOrgnr>991825827</amOrgnr><amIhtype>0</amIhtype><amNavn>Fjellbygda kommune</amNavn>
<amAdresse>Storgata 1</amAdresse>{extra}</avsmot>
<avsmot><amOrgnr>974760673</amOrgnr><amIhtype>1</amIhtype><amNavn>Havsund kommune</amNavn></avsmot>
<dokument><dlRnr>1</dlRnr><dlType>H</dlType><dbTittel>Brev</dbTittel><veVariant>P</veVariant>
<fil><base64>{text}</base64></fil><veFilnavn>brev.pdf</veFilnavn>
<veMimeType>application/pdf</veMimeType></dokument>
<dokument><dlRnr>2</dlRnr><dlType>V</dlType><dbTittel>Kart</dbTittel><veVariant>P</veVariant>
<fil><base64>S2FydA==</base64></fil><veFilnavn>kart.png</veFilnavn>
<veMimeType>image/png</veMimeType></dokument></journpost>
<noarksak xmlns=""><saId>{sak}</saId><saSaar>2026</saSaar><saSeknr>{number}</saSeknr>
<saDato>2026-10-01</saDato><saTittel>Skjenkesaker</saTittel><saStatus>B</saStatus></noarksak>
</Melding>"""


def put_message(melding_xml: str, conversation: str) -> str:
    """The SOAP request that carries it, payload as escaped text."""
    return f"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<PutMessageRequest xmlns="http://www.arkivverket.no/Noark/Exchange/types">
<envelope conversationId="{conversation}" xmlns="">
<sender><orgnr>991825827</orgnr></sender><receiver><orgnr>974760673</orgnr></receiver></envelope>
<payload xmlns="">{escape(melding_xml)}</payload></PutMessageRequest></s:Body></s:Envelope>"""


def record_letters(folder: Path, count: int, dialect: str = "p360") -> list[str]:
    """`count` recorded PutMessages in `folder`; their conversation ids."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = []
    for number in range(1, count + 1):
        conversation = f"6f1c0f6e-8c0d-4a7e-9d55-{number:012}"
        text = put_message(melding(number, dialect=dialect), conversation)
        (folder / f"{number:05}.xml").write_text(text, encoding="utf-8")
        ids.append(conversation)
    return ids
