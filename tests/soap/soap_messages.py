"""Requests for the endpoint's tests, and an intake that remembers."""

from __future__ import annotations

import base64
import http.client
import threading
from dataclasses import dataclass, field

from gateway.edu.payload import Payload, PayloadKind
from gateway.errors import GatewayError
from gateway.model import OK, AppReceipt, Envelope, ReceiptType, StatusMessage

T = "http://www.arkivverket.no/Noark/Exchange/types"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"


def body(inner: str, *, soap: str = SOAP_11, header: str = "") -> bytes:
    return (f'<s:Envelope xmlns:s="{soap}">{header}<s:Body>{inner}</s:Body></s:Envelope>').encode()


def put(payload: str, *, soap: str = SOAP_11, header: str = "") -> bytes:
    return body(
        f'<PutMessageRequest xmlns="{T}"><envelope conversationId="c-1" contentNamespace="" '
        'xmlns=""><sender><orgnr>974760673</orgnr></sender><receiver><orgnr>991825827</orgnr>'
        f'</receiver></envelope><payload xmlns="">{payload}</payload></PutMessageRequest>',
        soap=soap,
        header=header,
    )


def can(orgnr: str | None, *, soap: str = SOAP_11) -> bytes:
    receiver = f'<receiver xmlns=""><orgnr>{orgnr}</orgnr></receiver>' if orgnr is not None else ""
    return body(
        f'<GetCanReceiveMessageRequest xmlns="{T}">{receiver}</GetCanReceiveMessageRequest>',
        soap=soap,
    )


def letter(*documents: bytes) -> str:
    parts = "".join(
        f"<dokument><fil><base64>{base64.b64encode(one).decode()}</base64></fil></dokument>"
        for one in documents
    )
    return f"<Melding><journpost>{parts}</journpost><noarksak/></Melding>"


@dataclass
class RecordingIntake:
    """Answers OK, or as told; keeps what it was given, contents as bytes."""

    answer: AppReceipt | GatewayError | Exception = OK
    received: list[tuple[Envelope | None, Payload, list[bytes]]] = field(default_factory=list)
    gate: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)
    speakers: list[str | None] = field(default_factory=list)

    def put_message(
        self, envelope: Envelope | None, payload: Payload, speaker: str | None = None
    ) -> AppReceipt:
        self.speakers.append(speaker)
        contents = []
        for content in payload.contents:
            with content.open() as stream:
                contents.append(stream.read())
        self.received.append((envelope, payload, contents))
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        if payload.kind is PayloadKind.BROKEN:
            text = StatusMessage("Unknown", "Error parsing payload")
            return AppReceipt(ReceiptType.ERROR, (text,))
        return self.answer

    def can_receive(self, orgnr: str | None) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        return orgnr == "991825827"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def send(
    port: int,
    data: bytes | None = None,
    *,
    method: str = "POST",
    path: str = "/noarkExchange",
    content_type: str | None = "text/xml; charset=utf-8",
    **headers: str,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if data is not None and content_type is not None:
        sent["Content-Type"] = content_type
    try:
        connection.request(method, path, body=data, headers=sent)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()
