"""Waitress in a thread of its own (settings of soap-stack 4)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from gateway.soap.server import PATH
from gateway.soap.slow_senders import SlowSenders

# More requests than threads is an ordinary Monday, not a warning per request.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

_TICK = 0.25
_QUIET = 5.0
"""Seconds between two looks at connections, and while there is none to look at."""
# Waitress' own 8 KiB make reception of a big body slower than all that follows.
_RECEIVE = 256 * 1024


def local_url(host: str, port: int) -> str:
    """Where a program on this machine finds the endpoint that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


class Listener:
    """Serves a WSGI application over HTTP.

    Waitress has the whole body before a worker thread is involved, so slow uploads
    delay nobody; bodies above 512 KiB lie in a temporary file meanwhile. Above
    `max_body` bytes it answers 413. `patience` and `least_rate` are for `SlowSenders`.
    With port 0 the system chooses; see `port`.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        threads: int = 16,
        max_body: int = 3 * 1024**3,
        connections: int = 200,
        idle_timeout: int = 300,
        patience: float = 30.0,
        least_rate: int = 1024,
    ) -> None:
        self._map: dict[int, Any] = {}
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(threads)
        self._server = create_server(
            app,
            map=self._map,
            _dispatcher=self._dispatcher,
            host=host,
            port=port,
            threads=threads,
            max_request_body_size=max_body,
            connection_limit=connections,
            channel_timeout=idle_timeout,
            recv_bytes=_RECEIVE,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._slow_senders = SlowSenders(patience, least_rate)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._closing = threading.Event()

    @property
    def port(self) -> int:
        """The port it really listens on."""
        several = getattr(self._server, "effective_listen", None)
        return int(several[0][1] if several else self._server.effective_port)

    def start(self) -> None:
        """Begin to accept; returns at once."""
        self._thread.start()

    def stop(self, timeout: float = 60.0) -> None:
        """Accept no more, let calls that are being answered finish, close everything.

        Waits at most `timeout` seconds; a call that takes longer is cut off, and a body
        that has not fully arrived is never answered. Repeating is harmless.
        """
        if self._closing.is_set():
            return
        deadline = time.monotonic() + timeout
        # Copied first: the loop's thread opens and closes connections meanwhile.
        parts = list(self._map.values())
        servers = [part for part in parts if isinstance(part, BaseWSGIServer)]
        for server in servers:
            server.accepting = False
        self._dispatcher.shutdown(timeout=timeout)
        # What workers left in output buffers is written by the loop.
        while self._has_output() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._closing.set()
        if self._thread.is_alive():
            servers[0].trigger.pull_trigger()
            self._thread.join(timeout=5)
        # Not by the loop itself: it might close the trigger while it is being pulled here.
        wasyncore.close_all(self._map, ignore_all=True)

    def _has_output(self) -> bool:
        return any(channel.total_outbufs_len for channel in self._channels())

    def _channels(self) -> list[HTTPChannel]:
        return [part for part in list(self._map.values()) if isinstance(part, HTTPChannel)]

    def _serve(self) -> None:
        looked = time.monotonic()
        while self._map and not self._closing.is_set():
            timeout = _TICK if self._channels() else _QUIET
            wasyncore.loop(timeout=timeout, use_poll=True, map=self._map, count=1)
            now = time.monotonic()
            if now - looked >= _TICK:
                self._slow_senders.look(self._channels(), now)
                looked = now
