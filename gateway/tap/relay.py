"""Carries connections to the endpoint and back, byte for byte.

Each connection that comes in has exactly one of its own to the endpoint. So everything
that belongs to a connection (NTLM and Kerberos handshakes, keep-alive, 100-continue,
half-closed sockets, hop-by-hop headers) is between the two ends as if the tap were not
there. Memory is bounded by the sockets' buffers: when one side is slow, the other is read
no faster.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError

log = logging.getLogger(__name__)

_CONNECT = 30.0
_TICK = 0.02
_LINGER = 5.0
"""Seconds in which a client that is still sending may read the answer it already has."""
_AT_ONCE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_UNREACHABLE = b"The endpoint behind the tap could not be reached.\n"
_BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_UNREACHABLE), _UNREACHABLE)
)


class Watcher(Protocol):
    """Sees what one connection carries. Must be quick, and must not raise."""

    @property
    def busy(self) -> bool:
        """Whether a call has begun and is not answered."""

    def client_sent(self, data: bytes) -> None: ...
    def server_sent(self, data: bytes) -> None: ...
    def server_ended(self) -> None:
        """Nothing more comes from the endpoint."""

    def closed(self) -> None:
        """Both ends are gone."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where connections go."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, tls: ssl.SSLContext | None = None) -> Target:
        """The server of `url`; `tls` is used for https. Raises `ConfigurationError`."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{url}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{url}: write http://HOST:PORT or https://HOST:PORT")
        if parts.scheme == "http":
            return cls(parts.hostname, port or 80)
        return cls(parts.hostname, port or 443, tls or ssl.create_default_context())


class Relay:
    """Listens on `host` and `port` and carries every connection to `target`.

    `watch` makes a watcher for each connection. With port 0 the system chooses; see
    `port` after `start`.
    """

    def __init__(self, host: str, port: int, target: Target, watch: Callable[[], Watcher]) -> None:
        self._address = (host, port)
        self._target = target
        self._watch = watch
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def port(self) -> int:
        """The port it really listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def start(self) -> None:
        """Begin to accept; returns when connections are taken. Raises OSError."""
        listening = self._loop.create_server(self._accepted, *self._address, backlog=200)
        try:
            self._server = self._loop.run_until_complete(listening)
        except OSError:
            self._loop.close()
            raise
        self._thread.start()

    def stop(self, timeout: float = 60.0) -> None:
        """Accept no more; connections get `timeout` seconds to finish what they carry."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._finish(timeout), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _finish(self, timeout: float) -> None:
        assert self._server is not None
        self._server.close()
        deadline = self._loop.time() + timeout
        while self._connections and self._loop.time() < deadline:
            for connection in list(self._connections):
                if not connection.watcher.busy:
                    connection.close()
            await asyncio.sleep(_TICK)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(_TICK)

    def _accepted(self) -> asyncio.Protocol:
        connection = _Connection(self._target, self._watch(), self._connections.discard)
        self._connections.add(connection)
        return connection.client

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


class _Connection:
    """One client, one connection of its own to the endpoint."""

    _connecting: asyncio.Task[None]

    def __init__(
        self, target: Target, watcher: Watcher, forget: Callable[[_Connection], None]
    ) -> None:
        self.watcher = watcher
        self.client = _End(self, watcher.client_sent)
        self.server = _End(self, watcher.server_sent)
        self._target = target
        self._forget = forget

    def made(self, end: _End) -> None:
        if end is self.client:
            end.transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        elif self.client.gone:
            end.transport.abort()
        else:
            self.client.peer, self.server.peer = self.server, self.client
            self.client.transport.resume_reading()

    def ended(self, end: _End) -> None:
        """`end` has nothing more to say, but may still listen."""
        if end is self.server:
            self.watcher.server_ended()
        if end.peer is not None:
            end.peer.half_close()
        server_done = self.server.ended or self.server.gone or not self.server.connected
        if self.client.ended and server_done:
            self.close()

    def lost(self, end: _End, trouble: Exception | None) -> None:
        if end is self.server:
            if not self.client.gone:
                self._linger() if trouble is None or end.ended else self.client.reset()
        elif not self.server.connected:
            self._connecting.cancel()
        elif not self.server.gone:
            self.server.transport.close() if trouble is None else self.server.reset()
        if self.client.gone and (self.server.gone or not self.server.connected):
            self.watcher.closed()
            self._forget(self)

    def close(self) -> None:
        """When everything that was taken is handed on."""
        for end in (self.client, self.server):
            if end.connected:
                end.transport.close()

    def abort(self) -> None:
        for end in (self.client, self.server):
            if end.connected:
                end.transport.abort()

    async def _connect(self) -> None:
        target = self._target
        connecting = asyncio.get_running_loop().create_connection(
            lambda: self.server, target.host, target.port, ssl=target.tls
        )
        try:
            await asyncio.wait_for(connecting, _CONNECT)
        except OSError as trouble:
            log.error(
                "%s:%s cannot be reached: %s", target.host, target.port, type(trouble).__name__
            )
            self.client.transport.write(_BAD_GATEWAY)
            self._linger()

    def _linger(self) -> None:
        """Say no more to the client, and listen to nothing it says; then close."""
        self.client.peer = None
        self.client.half_close()
        self.client.transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER, self.client.transport.close)


class _End(asyncio.Protocol):
    """One end of a connection; what it hears is written to its `peer`."""

    transport: asyncio.Transport
    """Only when `connected`."""

    def __init__(self, connection: _Connection, seen: Callable[[bytes], None]) -> None:
        self.peer: _End | None = None
        self.connected = False
        self.ended = False
        self.gone = False
        self._connection = connection
        self._seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.connected = True
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connection.made(self)

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.transport.write(data)
            self._seen(data)

    def eof_received(self) -> bool:
        self.ended = True
        self._connection.ended(self)
        return self.transport.get_extra_info("sslcontext") is None  # TLS knows no half

    def connection_lost(self, trouble: Exception | None) -> None:
        self.gone = True
        self._connection.lost(self, trouble)

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None:
            self.peer.transport.resume_reading()

    def reset(self) -> None:
        """Close so that it cannot be taken for an end."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def half_close(self) -> None:
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
