"""Endpoints to stand in front of, letters to send, and a tap in between."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from gateway.edu.payload import Payload
from gateway.masks import Masks, load_masks
from gateway.model import OK, AppReceipt, Envelope
from gateway.resources import data_folder
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.spool import FolderSpool
from gateway.tap.mirror import Mirror
from gateway.tap.recorder import Counts
from gateway.tap.recording import Recording
from gateway.tap.relay import Target
from gateway.tap.tap import Tap
from gateway.translate import load_mapping

T = "http://www.arkivverket.no/Noark/Exchange/types"
N = "http://www.arkivverket.no/Noark4-1-WS-WD/types"
KEY = b"en nokkel som bare proven har"
XML = {"Content-Type": "text/xml; charset=utf-8"}


def masks(key: bytes = KEY) -> Masks:
    path = data_folder("mappings") / "masking.toml"
    return load_masks(path.read_text(encoding="utf-8"), key)


def melding(document: bytes = b"Innhold", **values: str) -> str:
    """A letter with one party and one document; `values` replace those of fields."""
    texts = {
        "jpInnhold": "Klage på nabovarsel",
        "saTittel": "Byggesak Solveien 3",
        "amNavn": "Kari Nordmann",
        "amAdresse": "Solveien 3\n1470 Lørenskog",
        "amPostnr": "1470",
        "amEpostadr": "kari@nordmann.example",
        "amRef": "15/42",
        "veFilnavn": "Klage fra Kari.pdf",
        "dbTittel": "Klagebrev",
        **values,
    }
    v = {name: escape(text) for name, text in texts.items()}
    return f"""<Melding xmlns="{N}"><journpost xmlns=""><jpId>4711</jpId><jpJaar>2026</jpJaar>
<jpSeknr>12</jpSeknr><jpJdato>2026-11-02</jpJdato><jpNdoktype>I</jpNdoktype>
<jpDokdato>2026-11-01</jpDokdato><jpStatus>J</jpStatus><jpInnhold>{v["jpInnhold"]}</jpInnhold>
<jpTgkode>U</jpTgkode><jpUoff>offl. § 13</jpUoff>
<avsmot><amOrgnr>991825827</amOrgnr><amIhtype>0</amIhtype><amNavn>{v["amNavn"]}</amNavn>
<amAdresse>{v["amAdresse"]}</amAdresse><amPostnr>{v["amPostnr"]}</amPostnr>
<amEpostadr>{v["amEpostadr"]}</amEpostadr><amRef>{v["amRef"]}</amRef></avsmot>
<dokument><dlRnr>1</dlRnr><dlType>H</dlType><dbTittel>{v["dbTittel"]}</dbTittel>
<veVariant>P</veVariant><fil><base64>{base64.b64encode(document).decode()}</base64></fil>
<veFilnavn>{v["veFilnavn"]}</veFilnavn><veMimeType>application/pdf</veMimeType></dokument>
</journpost><noarksak xmlns=""><saId>26/00017</saId><saSaar>2026</saSaar><saSeknr>17</saSeknr>
<saDato>2026-10-01</saDato><saTittel>{v["saTittel"]}</saTittel><saStatus>B</saStatus></noarksak>
</Melding>"""


def put(payload: str, conversation: str = "c-1") -> bytes:
    """The SOAP request that carries it, payload as escaped text."""
    return f"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<PutMessageRequest xmlns="{T}"><envelope conversationId="{conversation}" xmlns="">
<sender><orgnr>991825827</orgnr><name>Solvik kommune</name></sender>
<receiver><orgnr>974760673</orgnr></receiver></envelope>
<payload xmlns="">{escape(payload, quote=False)}</payload>
</PutMessageRequest></s:Body></s:Envelope>""".encode()


def can_receive(orgnr: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<GetCanReceiveMessageRequest xmlns="{T}"><receiver xmlns=""><orgnr>{orgnr}</orgnr>'
        "</receiver></GetCanReceiveMessageRequest></s:Body></s:Envelope>"
    ).encode()


@dataclass
class Intake:
    """Answers as told, and counts letters."""

    answer: Callable[[Payload], AppReceipt] = lambda payload: OK
    letters: int = 0
    receivers: set[str] = field(default_factory=lambda: {"974760673"})

    def put_message(
        self, envelope: Envelope | None, payload: Payload, speaker: str | None = None
    ) -> AppReceipt:
        self.letters += 1
        return self.answer(payload)

    def can_receive(self, orgnr: str | None) -> bool:
        return orgnr in self.receivers


@contextmanager
def endpoint(folder: Path, intake: Intake | None = None) -> Iterator[int]:
    """Our own endpoint; its port."""
    listener = Listener(create_app(intake or Intake(), FolderSpool(folder)), threads=4)
    listener.start()
    yield listener.port
    listener.stop(5)


@contextmanager
def tapped(
    port: int,
    record: Path,
    *,
    masks: Masks | None = None,
    mirror: Callable[[Recording, Counts], Mirror] | None = None,
) -> Iterator[Tap]:
    """A tap in front of `port`; everything is recorded when the block is left."""
    recording, counts = Recording(record, load_mapping(), "p360", masks), Counts()
    second = mirror(recording, counts) if mirror is not None else None
    tap = Tap("127.0.0.1", 0, Target("127.0.0.1", port), recording, counts, second)
    tap.start()
    yield tap
    tap.stop(10)


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server whose every connection is given to `serve`, each in its own thread."""
    import threading

    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/noarkExchange"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def files(folder: Path) -> list[str]:
    return sorted(it.relative_to(folder).as_posix() for it in folder.rglob("*") if it.is_file())
