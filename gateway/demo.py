"""Two organisations, their gateways and archives, and the network between, on loopback.

Every hop goes over HTTP, as it would between two municipalities. A letter goes from A's
archive to B's and its receipt home; then one the other way.
"""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from gateway.app import Gateway
from gateway.model import EXCHANGE_NAMESPACE, MELDING_NAMESPACE, Event, ReceiptType, Status
from gateway.settings import ArchiveSystem, Listen, Messages, Network, Organisation, Settings
from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.desk import Desk
from gateway.simulators.network import ADMINISTRASJON, AVTALT, PLAN, RESPONSE
from gateway.simulators.network import Network as SimulatedNetwork
from gateway.store import messages
from gateway.store.messages import Kind, Message
from gateway.store.tables import message as messages_table

_LETTER_SECONDS = 25.0
_SILENCE_SECONDS = 0.8


@dataclass
class Side:
    """One organisation with its archive and its gateway."""

    letter: str
    orgnr: str
    name: str
    dialect: str
    archive: SimulatedArchive
    gateway: Gateway


@dataclass
class Sent:
    """A letter on its way, and what has to be true of it in the end."""

    sender: Side
    receiver: Side
    conversation_id: str
    title: str
    checksums: dict[str, str]
    started: float
    home: float | None = None

    def status(self) -> Status:
        """What the sender's gateway says of it."""
        with self.sender.gateway.database.read() as tx:
            found = messages.find(
                tx,
                messages_table.c.archive_conversation_id == self.conversation_id,
                messages_table.c.kind == Kind.LETTER,
                messages_table.c.sender == self.sender.orgnr,
            )
        return Status.OPPRETTET if found is None else found.state

    def missing(self) -> list[str]:
        """What is not yet as it must be; empty when all is well."""
        reasons = []
        if (status := self.status()) is not Status.LEST:
            reasons.append(f"status at the sender is {status}, not LEST")
        filed = [
            one
            for one in self.receiver.archive.letters
            if one.conversation_id == self.conversation_id
        ]
        if len(filed) != 1:
            reasons.append(f"the receiving archive has it {len(filed)} times, not once")
        else:
            arrived = {one.filename: one.content.sha256 for one in filed[0].documents}
            if arrived != self.checksums:
                reasons.append("a document's SHA-256 differs between the two archives")
        receipts = [
            one
            for one in self.sender.archive.receipts
            if one.conversation_id == self.conversation_id
        ]
        if [one.type for one in receipts] != [ReceiptType.OK]:
            reasons.append(f"the sending archive has {len(receipts)} AppReceipts OK, not one")
        return reasons


@dataclass
class Demo:
    """The demonstration. `say` gets each line as it happens."""

    folder: Path
    say: Callable[[str], None]
    port: int = 0
    orgnr_a: str = "910077473"
    orgnr_b: str = "910075918"
    messages: Messages = field(default_factory=lambda: Messages(retry_seconds=1.0))
    sides: list[Side] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self._cleanup = ExitStack()
        self._lock = Lock()
        self._latest = self._started

    def __enter__(self) -> Demo:
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def _start(self) -> None:
        self._tell("", "starting two organisations and the network between them")
        network = SimulatedNetwork(self.folder / "network", port=self._port(2))
        self.network = network.start()
        self._cleanup.callback(network.stop)
        for index, (letter, orgnr, name, dialect) in enumerate(
            (
                ("A", self.orgnr_a, "Fjordvik kommune", "p360"),
                ("B", self.orgnr_b, "Skogland fylkeskommune", "ephorte"),
            )
        ):
            self.sides.append(self._side(network, index, letter, orgnr, name, dialect))
        for side in self.sides:
            self._tell(
                side.letter,
                f"{side.name} ({side.orgnr}): archive {side.dialect}, endpoint {side.gateway.url}",
            )

    def _side(
        self,
        network: SimulatedNetwork,
        index: int,
        letter: str,
        orgnr: str,
        name: str,
        dialect: str,
    ) -> Side:
        organisation = network.add_organisation(
            orgnr, name, processes=(ADMINISTRASJON, PLAN, RESPONSE, AVTALT)
        )
        archive = SimulatedArchive(
            name,
            orgnr,
            dialect=dialect,
            port=self._port(3 + index),
            folder=self.folder / f"archive-{letter}",
            on_event=lambda text: self._tell(letter, f"archive: {text}"),
        )
        (self.folder / f"archive-{letter}").mkdir(parents=True, exist_ok=True)
        archive.start()
        self._cleanup.callback(archive.stop)
        settings = Settings(
            organisation=Organisation(orgnr, organisation.keystore, organisation.keystore_password),
            archive=ArchiveSystem(dialect, archive.url),
            network=Network(
                token_url=network.environment.token_endpoint,
                token_audience=network.environment.audience,
                exchange_url=network.environment.exchange,
                broker_url=network.environment.broker,
                registry_url=network.environment.registry,
                client_id=organisation.client_id,
                system_user=organisation.external_ref,
                poll_seconds=0.3,
                rate_limits=False,
            ),
            folder=self.folder / f"gateway-{letter}",
            listen=Listen(port=self._port(index)),
            messages=self.messages,
        )
        gateway = Gateway(settings, [lambda message, event: self._event(letter, message, event)])
        gateway.start()
        self._cleanup.callback(gateway.stop)
        archive.gateway_url = gateway.url
        return Side(letter, orgnr, name, dialect, archive, gateway)

    def _port(self, offset: int) -> int:
        return self.port and self.port + offset

    # --- letters ----------------------------------------------------------------------

    def run(self) -> list[str]:
        """Send a letter each way; what went wrong, nothing when all went well."""
        a, b = self.sides
        problems = []
        summary = []
        for sender, receiver in ((a, b), (b, a)):
            sent = self._send(sender, receiver)
            reasons = self._wait(sent)
            elapsed = time.monotonic() - sent.started
            route = f"{sender.letter} → {receiver.letter}  {sent.conversation_id}"
            documents = f"{len(sent.checksums)} documents"
            if reasons:
                summary.append(f"FAILED  {route}  {'; '.join(reasons)}")
            else:
                summary.append(
                    f"OK      {route}  {sent.status()}  {documents} with equal SHA-256, "
                    f"AppReceipt home after {elapsed:.1f} s"
                )
            problems += [f"{route}: {reason}" for reason in reasons]
        self._wait_for_silence()
        self.say("")
        for line in summary:
            self.say(line)
        return problems

    def _send(self, sender: Side, receiver: Side) -> Sent:
        title = f"Brev fra {sender.name} til {receiver.name}"
        documents = demo_documents(title)
        self._tell(sender.letter, f"archive: PutMessage to {receiver.orgnr}")
        started = time.monotonic()
        conversation_id, answer = sender.archive.send_letter(receiver.orgnr, documents, title=title)
        self._tell(sender.letter, f"archive: answered {answer.type}")
        checksums = {name: hashlib.sha256(data).hexdigest() for name, _, data in documents}
        return Sent(sender, receiver, conversation_id, title, checksums, started)

    def _wait(self, sent: Sent) -> list[str]:
        deadline = time.monotonic() + _LETTER_SECONDS
        while (reasons := sent.missing()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return reasons

    def _wait_for_silence(self) -> None:
        """The last statuses are still on their way when both letters are home."""
        give_up = time.monotonic() + 5
        while time.monotonic() < min(give_up, self._latest + _SILENCE_SECONDS):
            time.sleep(0.05)

    def invitation(self) -> list[str]:
        """How to send something of one's own while the demo runs."""
        a, b = self.sides
        desk = Desk(a.archive, self._port(5))
        desk.start()
        self._cleanup.callback(desk.stop)
        request = self.folder / "putmessage.xml"
        request.write_bytes(_sample_request(b.orgnr))
        return [
            "",
            "Both gateways keep running; Ctrl-C stops them. From another window:",
            "",
            "  a file of your own, sent by A's archive as a letter to B:",
            f'    curl --data-binary @README.md "{desk.url}?to={b.orgnr}&filename=README.md"',
            "",
            "  a PutMessage of your own, posted to A's gateway as an archive would:",
            f'    curl -H "Content-Type: text/xml" --data-binary "@{request}" {a.gateway.url}',
            "",
        ]

    # --- telling ----------------------------------------------------------------------

    def _event(self, letter: str, message: Message, event: Event) -> None:
        if message.kind is Kind.STATUS and event.status is Status.OPPRETTET:
            return
        what = message.kind if message.kind is not Kind.STATUS else f"status {message.status_value}"
        self._tell(letter, f"gateway: {event.status:<19} {what} {message.message_id[:8]}")

    def _tell(self, letter: str, text: str) -> None:
        with self._lock:
            self._latest = time.monotonic()
            self.say(f"{time.monotonic() - self._started:6.2f} s  {letter:1}  {text}")


def demo_documents(title: str) -> list[tuple[str, str, bytes]]:
    """A small PDF and a text file, made here."""
    text = f"{title}\r\n\r\nDette er et vedlegg med æ, ø og å.\r\n".encode() * 400
    return [
        ("Brev.pdf", "application/pdf", _pdf(title)),
        ("Vedlegg 1.txt", "text/plain", text),
    ]


def _sample_request(receiver: str) -> bytes:
    """A PutMessage that a person can read and edit."""
    text = base64.b64encode("Hei på deg!\r\n".encode()).decode()
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">
 <soap:Body>
  <n:PutMessageRequest xmlns:n="{EXCHANGE_NAMESPACE}">
   <envelope conversationId="{uuid.uuid4()}" contentNamespace="{MELDING_NAMESPACE}">
    <sender><orgnr/></sender>
    <receiver><orgnr>{receiver}</orgnr></receiver>
   </envelope>
   <payload><![CDATA[<Melding xmlns="{MELDING_NAMESPACE}">
     <journpost xmlns="">
      <jpId>1</jpId><jpNdoktype>U</jpNdoktype><jpInnhold>Et brev for hånd</jpInnhold>
      <avsmot><amIhtype>1</amIhtype><amNavn>Mottaker</amNavn></avsmot>
      <dokument>
       <dlRnr>1</dlRnr><dlType>H</dlType><dbTittel>Hilsen</dbTittel><veVariant>P</veVariant>
       <fil><base64>{text}</base64></fil>
       <veFilnavn>hilsen.txt</veFilnavn><veMimeType>text/plain</veMimeType>
      </dokument>
     </journpost>
     <noarksak xmlns=""><saId>1</saId><saTittel>Prøvesak</saTittel></noarksak>
    </Melding>]]></payload>
  </n:PutMessageRequest>
 </soap:Body>
</soap:Envelope>
""".encode()


def _pdf(title: str) -> bytes:
    """The smallest honest PDF: one page with one line of text."""
    line = title.encode("latin-1", "replace").replace(b"(", b"[").replace(b")", b"]")
    drawing = b"BT /F1 14 Tf 72 720 Td (" + line + b") Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)
