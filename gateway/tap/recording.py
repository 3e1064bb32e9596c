"""Writes calls into a folder that `compare` and `translate` read.

::

    letters/NAME.xml      the body of each PutMessage with a letter
    receipts/NAME.xml     the same with an AppReceipt
    translated/NAME.xml   the arkivmelding that we would send instead
    losses/NAME.json      what its receiver would not see, where there is something
    answers/NAME.http     the answer: status, headers, body
    requests/NAME.http    requests that are neither, GetCanReceiveMessage above all
    exchanges.jsonl       one line per call
    mirror.jsonl          one line per call that a second endpoint was asked too

A file is complete when it has its name; the letter is the last of its call.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from gateway.edu.limits import Limits
from gateway.edu.reader import SoapRequest, read_request
from gateway.errors import GatewayError
from gateway.masks import Masks, mask_request, mask_xml
from gateway.soap.body import body_chunks, stated_charset
from gateway.spool import ChecksumSpool
from gateway.tap.answers import Answer, read_answer
from gateway.tap.observer import Head
from gateway.tap.recorder import Exchange
from gateway.translate import Facts, Mapping, to_arkivmelding

log = logging.getLogger(__name__)

PUT_MESSAGE = "PutMessageRequest"
_LETTERS, _RECEIPTS, _TRANSLATED = "letters", "receipts", "translated"
_LOSSES, _ANSWERS, _REQUESTS = "losses", "answers", "requests"
_ENDINGS = {
    _LETTERS: "xml",
    _RECEIPTS: "xml",
    _TRANSLATED: "xml",
    _LOSSES: "json",
    _ANSWERS: "http",
    _REQUESTS: "http",
}
_LONGEST_ANSWER = 16 << 20
"""Bytes that are read of an answer to know what it says."""
_UNTOLD = {
    "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate",
    "authentication-info", "cookie", "set-cookie",
    "content-length", "transfer-encoding",
}  # fmt: skip
"""Headers that are secret, or true only of the way the body travelled."""
_TOLD_MASKED = {"content-type", "soapaction"}
_LIMITS = Limits()
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recorded call was. `operation` is None when the request was not readable."""

    name: str
    operation: str | None
    conversation: str | None
    answer: Answer


class Recording:
    """One folder. With `masks` nothing personal is written into it."""

    def __init__(
        self, folder: Path, mapping: Mapping, system: str, masks: Masks | None = None
    ) -> None:
        self._folder = folder
        self._mapping = mapping
        self._system = system
        self._masks = masks
        for name in _ENDINGS:
            (folder / name).mkdir(parents=True, exist_ok=True)
            for unfinished in (folder / name).glob("*.part"):
                unfinished.unlink()

    def record(self, exchange: Exchange) -> Recorded:
        """Write everything about one call. Raises OSError; then nothing of it is left."""
        name = _name(exchange.began)
        try:
            return self._record(name, exchange)
        except BaseException:
            for kind in _ENDINGS:
                self._place(kind, name).unlink(missing_ok=True)
            raise

    def _record(self, name: str, exchange: Exchange) -> Recorded:
        request, problem = _read(exchange)
        envelope = request.envelope if request is not None else None
        line: dict[str, Any] = {
            "name": name,
            "began": exchange.began.isoformat(timespec="milliseconds"),
            "seconds": round((exchange.ended - exchange.began).total_seconds(), 3),
            "path": exchange.path.partition("?")[0],
            "status": exchange.status,
            "operation": request.operation if request is not None else None,
            "conversation": envelope.conversation_id if envelope is not None else None,
            "problem": problem,
        }
        answer = self._answer(name, exchange)
        line["answer"] = self.shown(answer)
        if request is not None and _is_put(request):
            line |= self._letter(name, exchange, request)
        else:
            self._other(name, exchange, request if problem is None else None)
        self.note("exchanges.jsonl", line)
        return Recorded(name, line["operation"], line["conversation"], answer)

    def shown(self, answer: Answer) -> dict[str, Any]:
        """An answer's normal form, masked if need be, for the lists."""
        messages = [
            {"code": code, "text": text if self._masks is None else self._masks.text("text", text)}
            for code, text in answer.messages
        ]
        return {"kind": answer.kind, "value": answer.value, "messages": messages}

    def note(self, file: str, line: dict[str, Any]) -> None:
        """Append one line to a list."""
        with (self._folder / file).open("ab") as stream:
            stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    # --- letters ------------------------------------------------------------------------

    def _letter(self, name: str, exchange: Exchange, request: SoapRequest) -> dict[str, Any]:
        if self._masks is None:
            letter: Iterable[bytes] = _declared(exchange)
        else:
            masked = mask_request(request, self._masks)
            letter = [masked]
            request = read_request([masked], ChecksumSpool())
        if request.payload.melding is None:
            kind, told = _RECEIPTS, {}
        else:
            kind, told = _LETTERS, self._translation(name, exchange, request)
        self._write(self._place(kind, name), letter)
        return told

    def _translation(self, name: str, exchange: Exchange, request: SoapRequest) -> dict[str, Any]:
        melding, envelope = request.payload.melding, request.envelope
        assert melding is not None
        sender = envelope.sender if envelope is not None else None
        facts = Facts(
            (envelope.conversation_id if envelope is not None else None) or name,
            self._system,
            exchange.began,
            (sender.orgnr if sender is not None else None) or "",
        )
        try:
            made = to_arkivmelding(melding, facts, self._mapping, sending=False)
        except GatewayError as error:
            return {"translated": False, "reason": error.text}
        except Exception as error:  # the more reason to keep the letter
            log.exception("%s could not be translated", name)
            return {"translated": False, "reason": type(error).__name__}
        self._write(self._place(_TRANSLATED, name), [made.xml])
        if made.losses:
            losses = json.dumps([it._asdict() for it in made.losses], ensure_ascii=False, indent=1)
            self._write(self._place(_LOSSES, name), [losses.encode()])
        return {"translated": True, "losses": len(made.losses)}

    # --- the rest -----------------------------------------------------------------------

    def _other(self, name: str, exchange: Exchange, request: SoapRequest | None) -> None:
        body = _raw(exchange.request_body)
        if self._masks is not None:
            body = iter([] if request is None else [mask_request(request, self._masks)])
        start = f"{exchange.method} {exchange.path.partition('?')[0]}"
        self._http(self._place(_REQUESTS, name), start, exchange.request_head, body)

    def _answer(self, name: str, exchange: Exchange) -> Answer:
        read = _read_answer(exchange)
        body = _raw(exchange.answer_body)
        if self._masks is not None:
            try:
                body = iter([mask_xml(read, self._masks)])
            except ValueError:
                body = iter(())
        start = exchange.answer_head.start
        if self._masks is not None:
            start = " ".join(start.split()[:2])  # without the reason, which is free text
        self._http(self._place(_ANSWERS, name), start, exchange.answer_head, body)
        return read_answer(exchange.status, read)

    def _place(self, kind: str, name: str) -> Path:
        return self._folder / kind / f"{name}.{_ENDINGS[kind]}"

    def _http(self, path: Path, start: str, head: Head, body: Iterator[bytes]) -> None:
        def chunks() -> Iterator[bytes]:
            yield f"{start}\r\n".encode("latin-1")
            for name, value in head.headers:
                told = name not in _UNTOLD if self._masks is None else name in _TOLD_MASKED
                if told:
                    yield f"{name}: {value}\r\n".encode("latin-1")
            yield b"\r\n"
            yield from body

        self._write(path, chunks())

    def _write(self, path: Path, chunks: Iterable[bytes]) -> None:
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as stream:
                for chunk in chunks:
                    stream.write(chunk)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def _is_put(request: SoapRequest) -> bool:
    """Whether it is a PutMessage with something in it that we can read."""
    payload = request.payload
    return request.operation == PUT_MESSAGE and bool(payload.melding or payload.receipt)


def _name(began: datetime) -> str:
    """In the order of time, and a file name everywhere."""
    return f"{began:%Y%m%dT%H%M%S}-{began.microsecond // 1000:03}-{uuid.uuid4().hex[:6]}"


def _read(exchange: Exchange) -> tuple[SoapRequest | None, str | None]:
    """The request without its documents, and why it is no letter, receipt or question."""
    _, _, parameters = exchange.request_head.header("content-type").partition(";")
    chunks = _chunks(exchange.request_head, exchange.request_body)
    try:
        request = read_request(chunks, ChecksumSpool(), _LIMITS, stated_charset(parameters))
    except GatewayError as error:
        return None, error.detail
    return request, request.payload.problem


def _chunks(head: Head, body: IO[bytes]) -> Iterator[bytes]:
    """The body, unpacked, from its start."""
    body.seek(0)
    environ = {
        "HTTP_CONTENT_ENCODING": head.header("content-encoding"),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
    }
    return body_chunks(environ, _LIMITS)


def _declared(exchange: Exchange) -> Iterator[bytes]:
    """The body as it came, with the charset in it that only HTTP has told."""
    _, _, parameters = exchange.request_head.header("content-type").partition(";")
    encoding = stated_charset(parameters)
    for number, chunk in enumerate(_chunks(exchange.request_head, exchange.request_body)):
        if number == 0 and encoding is not None and not chunk.startswith(b"<?xml"):
            yield f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
        yield chunk


def _read_answer(exchange: Exchange) -> bytes:
    """The answer's body, unpacked; empty when it cannot be, or is too long to be read."""
    body = bytearray()
    try:
        for chunk in _chunks(exchange.answer_head, exchange.answer_body):
            body += chunk
            if len(body) > _LONGEST_ANSWER:
                return b""
    except GatewayError:
        return b""
    return bytes(body)


def _raw(body: IO[bytes]) -> Iterator[bytes]:
    """The body as it came."""
    body.seek(0)
    return iter(lambda: body.read(_PIECE), b"")
