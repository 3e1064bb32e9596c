"""How the simulated archive answers a PutMessage, well or badly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from gateway.model import EXCHANGE_NAMESPACE, AppReceipt, ReceiptType, StatusMessage


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one PutMessage is met.

    `answer`:

    - ``usual``: a result for a letter, none for a receipt, as test archives do
      (bestedu-soap 5.9)
    - ``result`` of `type` with `messages` (by default the record number)
    - ``no result``, ``empty`` (200 without a body), ``half`` (a result cut off)
    - ``fault`` with `fault_code` and `text`
    - ``status``: HTTP `status` with a web page and `headers`
    - ``drop``: the connection is closed; with `read`, after so many bytes of the body

    `delay`: seconds before answering. `files`: whether it is filed, by default what the
    answer says. `receipt`: what is sent about a filed letter before the answer: the
    vendor's AppReceipt, another one, or nothing.
    """

    answer: Literal["usual", "result", "no result", "empty", "half", "fault", "status", "drop"] = (
        "usual"
    )
    type: ReceiptType = ReceiptType.OK
    messages: tuple[StatusMessage, ...] | None = None
    fault_code: str = "Server"
    text: str = "Import failed"
    status: int = 503
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    files: bool | None = None
    receipt: AppReceipt | Literal["vendor"] | None = "vendor"
    read: int | None = None

    @property
    def filing(self) -> bool:
        """Whether what came is kept."""
        if self.files is not None:
            return self.files
        return self.type.accepted and self.answer not in ("fault", "status")


def answer(
    handler: BaseHTTPRequestHandler, behaviour: Behaviour, number: int, *, is_receipt: bool
) -> None:
    """Answer as `behaviour` says; `number` is the record number, 0 when nothing is filed."""
    kind = behaviour.answer
    if kind == "usual":
        silent = is_receipt and behaviour.type is ReceiptType.OK and not behaviour.messages
        kind = "no result" if silent else "result"
    if kind == "drop":
        return
    if kind == "empty":
        respond(handler, 200, b"")
    elif kind == "status":
        page = b"<html><body><p>Not available</p></body></html>"
        respond(handler, behaviour.status, page, "text/html", behaviour.headers)
    elif kind == "fault":
        respond(handler, 500, soap_fault(behaviour.fault_code, behaviour.text))
    elif kind == "no result":
        respond(handler, 200, _response(""))
    else:
        messages = behaviour.messages
        if messages is None:
            messages = (StatusMessage("Recno", str(number)),) if number else ()
        body = _response(_result(behaviour.type, messages))
        respond(handler, 200, body[: len(body) // 2] if kind == "half" else body)


def respond(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    content_type: str = "text/xml; charset=utf-8",
    headers: Sequence[tuple[str, str]] = (),
) -> None:
    """One HTTP answer, after which the connection is closed."""
    handler.send_response(status)
    if body:
        handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(body)


def soap_fault(code: str, text: str) -> bytes:
    """A SOAP 1.1 Fault."""
    return _soap(
        f"<soap:Fault><faultcode>soap:{escape(code)}</faultcode>"
        f"<faultstring>{escape(text)}</faultstring></soap:Fault>"
    )


def _soap(body: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def _response(result: str) -> bytes:
    return _soap(f'<PutMessageResponse xmlns="{EXCHANGE_NAMESPACE}">{result}</PutMessageResponse>')


def _result(receipt_type: ReceiptType, messages: Sequence[StatusMessage]) -> str:
    inner = "".join(
        f"<message code={quoteattr(message.code)}><text>{escape(message.text)}</text></message>"
        for message in messages
    )
    return f'<result xmlns="" type="{receipt_type.value}">{inner}</result>'
