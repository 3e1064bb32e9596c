"""A network that takes everything at once and keeps nothing, in a process of its own.

It answers the few calls that the transport ``altinn3`` makes for sending, and any PUT, with
as little work as Python can: what is measured beside it is the caller's. The network of
`gateway.simulators` checks and remembers, and costs more than a gateway does.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import socket
import threading
import time
import uuid
from types import TracebackType

import httpx
import jwt

from gateway.http import new_client
from gateway.package import Identity
from gateway.tokens import TokenSource
from gateway.transports.altinn3 import Altinn3
from gateway.transports.pace import Pace

_PIECE = 256 * 1024
_TOKEN = json.dumps({"access_token": "grant", "expires_in": 7200})
_OVERVIEW = json.dumps({"fileTransferStatus": "Published"})


class NetworkSink:
    """Runs until the block is left; `port` is on loopback."""

    def __enter__(self) -> NetworkSink:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(there,), daemon=True)
        self._process.start()
        self.port: int = here.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.join()


def transport_to(port: int, who: Identity, sender: str) -> Altinn3:
    """The real transport, with real tokens, to the sink at `port`; without rate limits."""
    http: httpx.Client = new_client()
    base = f"http://127.0.0.1:{port}"
    tokens = TokenSource(
        token_endpoint=f"{base}/token",
        audience="sink",
        exchange=f"{base}/exchange",
        client_id="benchmark",
        identity=who,
        http=http,
    )
    return Altinn3(base, "resource", tokens, parties={sender: None}, http=http, pace=Pace(None))


def _run(pipe: multiprocessing.connection.Connection) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    pipe.send(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rest = bytearray(_PIECE)
    received = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in received:
                piece = connection.recv(_PIECE)
                if not piece:
                    return
                received += piece
            head, _, body = received.partition(b"\r\n\r\n")
            line, _, headers = head.partition(b"\r\n")
            method, path, _ = line.decode("ascii").split(" ")
            left = _length(headers) - len(body)
            received = body[left:] if left < 0 else b""
            while left > 0:
                count = connection.recv_into(rest, min(left, _PIECE))
                if not count:
                    return
                left -= count
            answer = _answer(method, path).encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
            )


def _length(headers: bytes) -> int:
    for header in headers.split(b"\r\n"):
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _answer(method: str, path: str) -> str:
    if path == "/token":
        return _TOKEN
    if path == "/exchange":
        return jwt.encode({"exp": int(time.time()) + 7200}, "nobody verifies this one" * 2)
    if method == "POST" and path.endswith("/filetransfer"):
        return json.dumps({"fileTransferId": str(uuid.uuid4())})
    if method == "GET":
        return "[]" if "?" in path else _OVERVIEW
    return "{}"
