"""An archive as the gateway meets it, over real HTTP: files letters, sends letters.

It demands what its vendor demands, sends its AppReceipt *before* it answers the letter
(bestedu-soap 5.9), and misbehaves on request. For the demo and for tests.
"""

from __future__ import annotations

import http.client
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

from lxml import etree

from gateway.edu.appreceipt import read_receipt
from gateway.edu.payload import PayloadKind
from gateway.edu.reader import Limits, RequestReader, SoapRequest
from gateway.edu.write import PayloadText, receipt_payload
from gateway.errors import RequestRefused
from gateway.model import (
    CONTENT_REF,
    EXCHANGE_NAMESPACE,
    AppReceipt,
    Content,
    Document,
    Envelope,
    Melding,
    Party,
    ReceiptType,
    StatusMessage,
)
from gateway.simulators.archive_answers import Behaviour, answer, respond, soap_fault
from gateway.simulators.archive_calls import GatewayAnswered, call
from gateway.simulators.archive_vendors import (
    VENDORS,
    Letter,
    complaint_about,
    letter_payload,
    qualified_child,
    receipt_for,
    receipt_parties,
    request,
)
from gateway.spool import BytesContent, FileContent, FolderSpool

_BLOCK = 256 * 1024
_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class FiledLetter:
    """A letter as the archive filed it."""

    number: int
    conversation_id: str | None
    envelope: Envelope
    title: str | None
    melding: Melding
    documents: tuple[Document, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class ReceivedReceipt:
    """An AppReceipt that came for a letter of ours."""

    conversation_id: str | None
    type: ReceiptType
    messages: tuple[StatusMessage, ...]
    envelope: Envelope
    at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived on the wire: `headers` with lower-case names, the body's beginning."""

    headers: dict[str, str]
    head: bytes
    size: int


class SimulatedArchive:
    """One archive with an address of its own.

    `letters`, `receipts`, `requests`, `complaints` and `failures` grow while it runs and
    may be read at any time. Filed documents lie in `folder`, by default a temporary one
    that goes with `stop`. `behave` says how the next requests are met.
    """

    def __init__(
        self,
        name: str,
        orgnr: str,
        *,
        dialect: str,
        gateway_url: str | None = None,
        port: int = 0,
        folder: Path | None = None,
        credentials: tuple[str, str] | None = None,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.orgnr = orgnr
        self.vendor = VENDORS[dialect]
        self.gateway_url = gateway_url
        self.letters: list[FiledLetter] = []
        self.receipts: list[ReceivedReceipt] = []
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.failures: list[str] = []
        self.receipt_answers: list[AppReceipt] = []
        self.default = Behaviour()
        self.timeout = 300.0
        self._port = port
        self._folder = folder
        self._credentials = credentials
        self._on_event = on_event or (lambda text: None)
        self._behaviours: deque[Behaviour] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._spool: FolderSpool | None = None

    def __enter__(self) -> SimulatedArchive:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on loopback; `url` is known afterwards."""
        folder = self._folder
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(
                prefix="archive-", ignore_cleanup_errors=True
            )
            folder = Path(self._temporary.name)
        self._spool = FolderSpool(folder)
        self._stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler_of(self))
        threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name=f"archive {self.name}",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Stop listening; requests under way are cut short. Harmless when repeated."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    @property
    def url(self) -> str:
        """Where the gateway delivers to."""
        assert self._server is not None, "the archive is not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}/archive"

    def behave(self, *behaviours: Behaviour) -> None:
        """Meet the next requests so, one each; afterwards `default` holds again."""
        with self._lock:
            self._behaviours.extend(behaviours)

    def send_letter(
        self,
        receiver_orgnr: str,
        documents: Sequence[tuple[str, str, bytes | Path]],
        title: str = "Svar på henvendelse",
        conversation_id: str | None = None,
    ) -> tuple[str, AppReceipt]:
        """Send a letter through the gateway as this vendor would.

        `documents` are (file name, MIME type, content); files are streamed. Returns the
        conversation id and the gateway's answer; raises `GatewayAnswered` for a Fault.
        Repeating with the same `conversation_id` and documents sends the same bytes.
        """
        if conversation_id is None:
            conversation_id = str(uuid.uuid4())
            if self.vendor.name == "websak":
                conversation_id = f"{self.orgnr}-{len(self.letters) + 1}-{conversation_id}"
        letter = Letter(
            sender=Party(self.orgnr, self.name),
            receiver_orgnr=receiver_orgnr,
            conversation_id=conversation_id,
            title=title,
            documents=[
                Document(filename, mime_type, _content(content))
                for filename, mime_type, content in documents
            ],
            day=datetime.now(UTC).date().isoformat(),
        )
        sender = letter.sender if self.vendor.states_own_orgnr else Party("")
        answer = self._post(
            request(
                self.vendor,
                sender=sender,
                receiver=Party(receiver_orgnr),
                conversation_id=conversation_id,
                payload=letter_payload(self.vendor, letter),
            )
        )
        return conversation_id, answer

    def send_receipt(self, envelope: Envelope, receipt: AppReceipt) -> AppReceipt:
        """Send `receipt` for the letter that came in `envelope`; the gateway's answer."""
        sender, receiver = receipt_parties(self.vendor, envelope)
        return self._post(
            request(
                self.vendor,
                sender=sender,
                receiver=receiver,
                conversation_id=envelope.conversation_id or "",
                payload=receipt_payload(receipt),
            )
        )

    def can_receive(self, orgnr: str) -> bool:
        """Ask the gateway whether `orgnr` can be reached (GetCanReceiveMessage)."""
        question = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f'<GetCanReceiveMessageRequest xmlns="{EXCHANGE_NAMESPACE}">'
            f'<receiver xmlns=""><orgnr>{escape(orgnr)}</orgnr></receiver>'
            "</GetCanReceiveMessageRequest></s:Body></s:Envelope>"
        )
        root = self._call(PayloadText((question.encode(),)))
        result = root.find(".//{*}GetCanReceiveMessageResponse/{*}result")
        return result is not None and (result.text or "").strip() in ("true", "1")

    # --- towards the gateway ----------------------------------------------------------

    def _post(self, body: PayloadText) -> AppReceipt:
        root = self._call(body)
        result = root.find(".//{*}PutMessageResponse/{*}result")
        if result is None:
            raise GatewayAnswered(200, "", "the answer has no result")
        return read_receipt(result)

    def _call(self, body: PayloadText) -> etree._Element:
        assert self.gateway_url is not None, "the archive knows no gateway"
        return call(
            self.gateway_url,
            body,
            soap_action=self.vendor.soap_actions[0],
            credentials=self._credentials,
            timeout=self.timeout,
        )

    # --- from the gateway -------------------------------------------------------------

    def _next_behaviour(self) -> Behaviour:
        with self._lock:
            return self._behaviours.popleft() if self._behaviours else self.default

    def _receive(self, handler: BaseHTTPRequestHandler) -> None:
        behaviour = self._next_behaviour()
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if "content-length" not in headers:
            self.complaints.append("no Content-Length")
            respond(handler, 411, b"")
            return
        length = int(headers["content-length"])
        if behaviour.read is not None:
            handler.rfile.read(min(behaviour.read, length))
            return
        assert self._spool is not None
        reader = RequestReader(self._spool, Limits(request_bytes=1 << 40))
        head = b""
        try:
            left = length
            while left:
                block = handler.rfile.read(min(_BLOCK, left))
                if not block:
                    reader.abort()
                    self.complaints.append(f"the request ended {left} bytes early")
                    return
                left -= len(block)
                if len(head) < _HEAD:
                    head += block[: _HEAD - len(head)]
                reader.feed(block)
            soap = reader.close()
        except RequestRefused as refused:
            reader.abort()
            self.complaints.append(str(refused))
            respond(handler, 500, soap_fault("Client", str(refused)))
            return
        self.requests.append(Request(headers, head, length))
        self._meet(handler, behaviour, headers, head, soap)

    def _meet(
        self,
        handler: BaseHTTPRequestHandler,
        behaviour: Behaviour,
        headers: dict[str, str],
        head: bytes,
        soap: SoapRequest,
    ) -> None:
        complaint = self._complaint(headers, head, soap)
        if complaint is not None:
            assert self._spool is not None
            self._spool.release(soap.contents)
            self.complaints.append(complaint)
            respond(handler, 500, soap_fault("Client", complaint))
            return
        assert soap.envelope is not None
        payload = soap.payload
        number = 0
        if payload.receipt is not None:
            if behaviour.filing:
                self._keep_receipt(soap.envelope, payload.receipt)
        elif payload.melding is not None and behaviour.filing:
            number = self._file(soap.envelope, payload.melding)
            self._acknowledge(behaviour, soap.envelope, number)
        if behaviour.delay:
            self._stopping.wait(behaviour.delay)
        answer(handler, behaviour, number, is_receipt=payload.receipt is not None)

    def _complaint(self, headers: dict[str, str], head: bytes, soap: SoapRequest) -> str | None:
        if soap.soap_version != "1.1" or soap.operation != "PutMessageRequest":
            return f"unexpected operation {soap.operation}"
        complaint = complaint_about(self.vendor, headers, head, soap.envelope)
        if complaint is not None:
            return complaint
        if soap.payload.kind not in (PayloadKind.MELDING, PayloadKind.APPRECEIPT):
            return f"the payload is {soap.payload.kind.value}: {soap.payload.problem}"
        return qualified_child(soap.payload.melding) if soap.payload.melding else None

    def _keep_receipt(self, envelope: Envelope, receipt: AppReceipt) -> None:
        self.receipts.append(
            ReceivedReceipt(
                envelope.conversation_id,
                receipt.type,
                receipt.messages,
                envelope,
                datetime.now(UTC),
            )
        )
        self._on_event(f"got AppReceipt {receipt.type.value}")

    def _file(self, envelope: Envelope, melding: Melding) -> int:
        with self._lock:
            number = 100_000 + len(self.letters)
            self.letters.append(
                FiledLetter(
                    number,
                    envelope.conversation_id,
                    envelope,
                    melding.root.findtext(".//{*}jpInnhold"),
                    melding,
                    tuple(_documents(melding)),
                    datetime.now(UTC),
                )
            )
        self._on_event(f"filed a letter as {number}")
        return number

    def _acknowledge(self, behaviour: Behaviour, envelope: Envelope, number: int) -> None:
        if behaviour.receipt is None or self.gateway_url is None:
            return
        receipt = behaviour.receipt
        if receipt == "vendor":
            receipt = receipt_for(
                self.vendor, envelope, number, str(uuid.uuid4()), datetime.now(UTC)
            )
        try:
            answer = self.send_receipt(envelope, receipt)
        except (OSError, http.client.HTTPException, GatewayAnswered) as trouble:
            self.failures.append(f"AppReceipt for {number}: {trouble}")
        else:
            self.receipt_answers.append(answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


def _handler_of(archive: SimulatedArchive) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_POST(self) -> None:
            self.close_connection = True
            try:
                archive._receive(self)
            except OSError as trouble:  # the gateway went away
                archive.failures.append(f"connection: {trouble}")

        def do_GET(self) -> None:
            text = f"{archive.name} ({archive.vendor.name})\n".encode()
            respond(self, 200, text, "text/plain; charset=utf-8")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the demo prints its own lines."""

    return Handler


def _documents(melding: Melding) -> Iterator[Document]:
    for dokument in melding.root.iterfind(".//{*}dokument"):
        encoded = dokument.find(".//{*}base64")
        ref = encoded.get(CONTENT_REF) if encoded is not None else None
        if ref is not None:
            yield Document(
                dokument.findtext("{*}veFilnavn") or "",
                dokument.findtext("{*}veMimeType") or "",
                melding.contents[ref],
                dokument.findtext("{*}dbTittel"),
            )


def _content(source: bytes | Path) -> Content:
    if isinstance(source, bytes):
        return BytesContent(source)
    return FileContent(source, source.stat().st_size, "")
