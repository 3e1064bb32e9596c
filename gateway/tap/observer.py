"""Sees the calls in a connection's bytes, without a hand on them.

h11 reads both directions: one parser per request, one per answer. When it cannot make
sense of what passes, the rest of that connection is carried unseen.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import h11

log = logging.getLogger(__name__)

_LONGEST_HEAD = 256 * 1024
"""Bytes. Kerberos tokens of people in many groups fill 64 KiB."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a request or an answer.

    `start` is its first line; header names are in lower case.
    """

    start: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """The first header called `name`; empty when there is none."""
        return next((value for key, value in self.headers if key == name), "")


class Call(Protocol):
    """Is told what one call consists of, in order. Must be quick, and must not raise."""

    def request(self, data: bytes) -> None: ...
    def answered(self, status: int, head: Head) -> None: ...
    def answer(self, data: bytes) -> None: ...
    def finished(self) -> None:
        """Request and answer are complete."""

    def broken_off(self) -> None:
        """It will never be complete."""


class Calls(Protocol):
    """Whoever wants to know of calls."""

    def begin(self, method: str, path: str, head: Head) -> Call: ...
    def unseen(self) -> None:
        """A connection carries something that cannot be read as HTTP."""


class Observer:
    """The `Watcher` of one connection."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._request: h11.Connection | None = None
        self._incoming: _Open | None = None
        self._open: deque[_Open] = deque()
        self._blind = False

    @property
    def busy(self) -> bool:
        """Whether a call has begun and is not answered."""
        return self._blind or bool(self._open)

    def client_sent(self, data: bytes) -> None:
        self._look(self._read_requests, data)

    def server_sent(self, data: bytes) -> None:
        self._look(self._read_answers, data)

    def server_ended(self) -> None:
        """For answers that end where the connection does; others are broken off."""
        if self._open and not self._open[0].answered:
            with suppress(h11.RemoteProtocolError):
                self._read_answers(b"")

    def closed(self) -> None:
        while self._open:
            self._open.popleft().call.broken_off()
        self._blind = False

    def _look(self, read: Callable[[bytes], None], data: bytes) -> None:
        if self._blind:
            return
        try:
            read(data)
        except h11.RemoteProtocolError:  # its text may hold what passed
            self._give_up()
        except Exception:
            log.exception("a connection is carried unseen from here")
            self._give_up()

    def _give_up(self) -> None:
        self.closed()
        self._blind = True
        self._calls.unseen()

    # --- requests -----------------------------------------------------------------------

    def _read_requests(self, data: bytes) -> None:
        while data:
            if self._request is None:
                self._request = h11.Connection(h11.SERVER, _LONGEST_HEAD)
            self._request.receive_data(data)
            data = b""
            while (event := self._request.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    assert self._incoming is not None
                    self._incoming.call.request(event.data)
                else:  # the end of this one; what follows is the next
                    data = bytes(self._request.trailing_data[0])
                    self._request = None
                    self._end_request()
                    break

    def _begin(self, event: h11.Request) -> None:
        method, target = event.method.decode("ascii"), event.target.decode("latin-1")
        head = Head(f"{method} {target} HTTP/{event.http_version.decode()}", _headers(event))
        self._incoming = _Open(self._calls.begin(method, target, head), _answer_reader(method))
        self._open.append(self._incoming)

    def _end_request(self) -> None:
        assert self._incoming is not None
        self._incoming.asked = True
        self._close_first()

    # --- answers ------------------------------------------------------------------------

    def _read_answers(self, data: bytes) -> None:
        ended = not data
        while data or ended:
            if not self._open:
                return  # an endpoint that speaks unasked, as some do before they close
            first = self._open[0]
            first.reader.receive_data(data)
            data, ended = b"", False
            while (event := first.reader.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    first.call.answered(event.status_code, _answer_head(event))
                elif isinstance(event, h11.Data):
                    first.call.answer(event.data)
                elif not isinstance(event, h11.InformationalResponse):
                    data = bytes(first.reader.trailing_data[0])
                    first.answered = True
                    self._close_first()
                    break

    def _close_first(self) -> None:
        while self._open and self._open[0].asked and self._open[0].answered:
            self._open.popleft().call.finished()


@dataclass(slots=True)
class _Open:
    """A call whose answer is not complete."""

    call: Call
    reader: h11.Connection
    asked: bool = False
    answered: bool = False


def _answer_reader(method: str) -> h11.Connection:
    """A parser for the answer to a request by `method`, which decides whether it has a body."""
    reader = h11.Connection(h11.CLIENT, _LONGEST_HEAD)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    reader.send(h11.EndOfMessage())
    return reader


def _headers(event: h11.Request | h11.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)


def _answer_head(event: h11.Response) -> Head:
    version, reason = event.http_version.decode(), event.reason.decode("latin-1")
    return Head(f"HTTP/{version} {event.status_code} {reason}".rstrip(), _headers(event))
