"""Senders that only keep a place occupied: their connections are taken back.

Waitress closes a connection on which nothing comes for minutes. Two hundred that send a
byte now and then would keep every archive out, so requests must also come along.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error

log = logging.getLogger(__name__)


class RequestTimeout(Error):  # type: ignore[misc]
    """How waitress answers a sender that is too slow."""

    code = 408
    reason = "Request Timeout"


class SlowSenders:
    """Looks at every connection from time to time.

    A request's headers must be complete `patience` seconds after it was first seen, and
    so must the first byte of a new connection. A body must come with `least_rate` bytes
    a second on average, not counting those seconds. For whom this is too fast gets 408,
    and his connection is closed.
    """

    def __init__(self, patience: float, least_rate: int) -> None:
        self._patience = patience
        self._least_rate = least_rate
        self._since: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    def look(self, channels: Iterable[HTTPChannel], now: float) -> None:
        """Called in the thread that receives; `now` in seconds of a clock that never jumps."""
        for channel in channels:
            if channel.request is not None:
                if not channel.requests and self._is_slow(channel.request, now):
                    self._refuse(channel)
            elif self._is_silent(channel, now):
                channel.will_close = True

    def _is_silent(self, channel: HTTPChannel, now: float) -> bool:
        if channel.last_activity != channel.creation_time:  # it has said something
            return False
        return now - self._since.setdefault(channel, now) > self._patience

    def _is_slow(self, request: HTTPRequestParser, now: float) -> bool:
        counted = now - self._since.setdefault(request, now) - self._patience
        if counted <= 0:
            return False
        if not request.headers_finished:
            return True
        return bool(request.body_bytes_received < counted * self._least_rate)

    def _refuse(self, channel: HTTPChannel) -> None:
        """Let waitress answer what has come of the request, as it answers one that is too big."""
        log.warning("a request from %s came too slowly and was cut off", channel.addr[0])
        with channel.requests_lock:
            request, channel.request = channel.request, None
            if not request.headers_finished:
                request.parse_header(b"GET / HTTP/1.0\r\n")
            request.error = RequestTimeout("the request comes too slowly")
            request.completed = True
            channel.requests.append(request)
        channel.server.add_task(channel)
