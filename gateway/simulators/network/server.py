"""HTTP for the simulator: routes, the request log, rate limits, faults, dropped lines.

The standard library's server, since connections must be cut in the middle of a body.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from socketserver import TCPServer
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from .clock import Clock
from .exchange import CHUNK, Disconnected, Dropped, FilePart, Refused, Reply, Request, problem
from .faults import Fault, Faults

Handler = Callable[[Request], Reply]

RATE_LIMITS = {
    "initialize": 120,
    "upload": 120,
    "overview": 120,
    "download": 120,
    "confirm": 120,
    "details": 10,
    "list": 10,
}
"""Calls per minute and Maskinporten client (altinn-transport 1.3.5)."""


@dataclass(frozen=True)
class Logged:
    """One line of the request log. Never holds tokens or bodies."""

    at: datetime
    call: str
    method: str
    path: str
    caller: str | None
    client_id: str | None
    status: int
    request_bytes: int
    request_md5: str
    fault: str | None = None
    user_agent: str = ""


@dataclass
class Routes:
    """Calls by method and path; ``{name}`` in a path is one segment."""

    _entries: list[tuple[str, re.Pattern[str], str, Handler]] = field(default_factory=list)

    def add(self, call: str, method: str, path: str, handler: Handler) -> None:
        """Path with or without a trailing slash."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
        self._entries.append((method, re.compile(pattern + "/?"), call, handler))

    def find(self, request: Request) -> Handler:
        """The handler, with `request.call` and `request.arguments` set; 404 or 405."""
        other_method = False
        for method, pattern, call, handler in self._entries:
            if match := pattern.fullmatch(request.path):
                if method != request.method:
                    other_method = True
                    continue
                request.call = call
                request.arguments = {k: unquote(v) for k, v in match.groupdict().items()}
                return handler
        raise Refused(Reply.empty(405 if other_method else 404))


class RateLimiter:
    """A sliding minute per client and call; off until `limits` is set (F21)."""

    def __init__(self) -> None:
        self.limits: dict[str, int] | None = None
        self.minute = 60.0
        """Seconds; less for those who cannot wait."""
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.Lock()

    def check(self, request: Request) -> None:
        """Refuses with 429."""
        if self.limits is None or request.call not in self.limits or request.client_id is None:
            return
        with self._lock:
            now = time.monotonic()
            calls = self._calls.setdefault((request.client_id, request.call), deque())
            while calls and calls[0] <= now - self.minute:
                calls.popleft()
            if len(calls) >= self.limits[request.call]:
                wait = int(calls[0] + self.minute - now) + 1 if calls else 60
                reply = Reply.json({"statusCode": 429, "message": "Rate limit is exceeded."}, 429)
                reply.headers["Retry-After"] = str(wait)
                raise Refused(reply)
            calls.append(now)


@dataclass
class Service:
    """Everything the HTTP handler needs."""

    routes: Routes
    clock: Clock
    faults: Faults = field(default_factory=Faults)
    limiter: RateLimiter = field(default_factory=RateLimiter)
    identify: Callable[[Request], None] = lambda request: None
    """Sets caller and client of a request with a valid token; never refuses."""
    log: deque[Logged] = field(default_factory=lambda: deque(maxlen=100_000))


class Server(ThreadingHTTPServer):
    """One thread a connection; `close` also ends connections that are kept alive."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = os.name == "posix"  # on Windows it would share the port

    def __init__(self, host: str, port: int, service: Service) -> None:
        self.service = service
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((host, port), _Handler)

    def use_tls(self, certificate_and_key: Path) -> None:
        """Speak TLS from now on; call it before the first connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate_and_key)
        # The handshake is done by the connection's own thread, at its first read.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def server_bind(self) -> None:
        """As the parent's, without a name look-up that may be slow."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then serve it in a thread."""
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are everyday here; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError | Dropped | TimeoutError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Stop listening and cut what is still open."""
        self.shutdown()
        self.server_close()
        with self._open_lock:
            remaining = list(self._open)
        for connection in remaining:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Body:
    """The request's body: by Content-Length or chunked; counted and digested."""

    def __init__(self, stream: BufferedIOBase, length: int | None, chunked: bool) -> None:
        self._stream = stream
        self._left = length or 0
        self._chunked = chunked
        self._done = not chunked and not length
        self._digest = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self.fail_at: int | None = None

    @property
    def md5(self) -> str:
        """Of what was read until now."""
        return self._digest.hexdigest()

    def read(self, limit: int) -> bytes:
        """The next bytes; empty at the end. `Disconnected` when the client went away."""
        if self._done:
            return b""
        if self._left == 0:
            self._next_chunk()
            if self._done:
                return b""
        wanted = min(limit, self._left)
        if self.fail_at is not None:
            if self.size >= self.fail_at:
                raise Dropped
            wanted = min(wanted, self.fail_at - self.size)
        try:
            piece = self._stream.read1(wanted)
        except OSError as error:
            raise Disconnected from error
        if not piece:
            raise Disconnected
        self._left -= len(piece)
        self.size += len(piece)
        self._digest.update(piece)
        if self._left == 0:
            if self._chunked:
                self._stream.readline(4)
            else:
                self._done = True
        return piece

    def _next_chunk(self) -> None:
        line = self._stream.readline(1024)
        try:
            self._left = int(line.split(b";")[0], 16)
        except ValueError as error:
            raise Disconnected from error
        if self._left == 0:
            while self._stream.readline(1024).strip():
                pass
            self._done = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = CHUNK
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """The request log has it; nothing goes to stderr."""

    def version_string(self) -> str:
        """The Server header."""
        return "simulated-network"

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, by the simulator's clock."""
        if timestamp is None:
            timestamp = self.server.service.clock.now().timestamp()
        return super().date_time_string(timestamp)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        service = self.server.service
        length = self.headers.get("Content-Length")
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        if length is not None and not length.isdigit():
            self.send_error(400)
            return
        body = _Body(self.rfile, int(length) if length else None, chunked)
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            parts.query,
            self.headers,  # type: ignore[arg-type]
            body.read,
            None if chunked or length is None else int(length),
        )
        fault: Fault | None = None
        status = 0
        try:
            reply, fault = self._reply(service, request, body)
            status = reply.status
            with contextlib.suppress(Disconnected):
                while body.read(CHUNK):
                    pass
            # Before the last byte goes out: whoever has the answer finds it in the log.
            self._log(service, request, body, status, fault)
            self._send(reply, fault)
        except (Dropped, Disconnected, ConnectionError, TimeoutError):
            self.close_connection = True
            if not status:
                self._log(service, request, body, 0, fault)

    def _log(
        self, service: Service, request: Request, body: _Body, status: int, fault: Fault | None
    ) -> None:
        if request.path.startswith("/_sim"):
            return
        service.log.append(
            Logged(
                service.clock.now(),
                request.call,
                request.method,
                request.path,
                request.caller,
                request.client_id,
                status,
                body.size,
                body.md5,
                fault.id if fault else None,
                request.headers.get("User-Agent") or "",
            )
        )

    def _reply(self, service: Service, request: Request, body: _Body) -> tuple[Reply, Fault | None]:
        fault: Fault | None = None
        try:
            handler = service.routes.find(request)
            service.identify(request)
            service.limiter.check(request)
            fault = service.faults.match(request)
            if fault is None:
                return handler(request), None
            time.sleep(fault.delay_before)
            if fault.drop == "before":
                raise Dropped
            if fault.drop == "during":
                body.fail_at = fault.cut_after or 0
            if fault.status is not None:
                return _fault_reply(fault), fault
            reply = handler(request)
        except Refused as refused:
            reply = refused.reply
        if fault is not None:
            fault.handled += 1
            if fault.drop == "after":
                raise Dropped
            time.sleep(fault.delay_after)
            _alter(reply, fault)
        return reply, fault

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        part = reply.body if isinstance(reply.body, FilePart) else None
        length = part.length if part else len(reply.body)  # type: ignore[arg-type]
        self.send_response(reply.status)
        if reply.content_type is not None:
            self.send_header("Content-Type", reply.content_type)
        if reply.status != 204:
            self.send_header("Content-Length", str(length + (fault.wrong_length if fault else 0)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or reply.status == 204:
            return
        if part is None:
            assert isinstance(reply.body, bytes)
            self._send_bytes(_pieces(io.BytesIO(reply.body), length, fault), fault)
        else:
            with part.path.open("rb") as file:
                file.seek(part.start)
                self._send_bytes(_pieces(file, part.length, fault), fault)
        if fault is not None and fault.wrong_length:
            self.close_connection = True

    def _send_bytes(self, pieces: Any, fault: Fault | None) -> None:
        sent = 0
        for piece in pieces:
            if fault is not None:
                if fault.flip_byte is not None and sent <= fault.flip_byte < sent + len(piece):
                    changed = bytearray(piece)
                    changed[fault.flip_byte - sent] ^= 0xFF
                    piece = bytes(changed)
                if fault.cut_after is not None and sent + len(piece) > fault.cut_after:
                    self.wfile.write(piece[: fault.cut_after - sent])
                    self.wfile.flush()
                    raise Dropped
                if fault.trickle:
                    time.sleep(len(piece) / fault.trickle)
            self.wfile.write(piece)
            if fault is not None and fault.trickle:
                self.wfile.flush()
            sent += len(piece)


def _pieces(file: BinaryIO, length: int, fault: Fault | None) -> Any:
    step = max(1, int(fault.trickle / 10)) if fault and fault.trickle else CHUNK
    while length > 0 and (piece := file.read(min(step, length))):
        length -= len(piece)
        yield piece


def _fault_reply(fault: Fault) -> Reply:
    assert fault.status is not None
    if fault.code is not None:
        reply = problem(fault.status, "Injected", "An injected fault", code=fault.code).reply
    else:
        reply = Reply.text(fault.body, fault.status, fault.content_type or "text/plain")
        if not fault.body:
            reply.content_type = None
    reply.headers.update(fault.headers)
    return reply


def _alter(reply: Reply, fault: Fault) -> None:
    if not isinstance(reply.body, bytes) or not 200 <= reply.status < 300:
        return
    if fault.merge is not None:
        reply.body = json.dumps({**json.loads(reply.body), **fault.merge}).encode()
    if fault.extend is not None:
        reply.body = json.dumps([*fault.extend, *json.loads(reply.body)]).encode()
