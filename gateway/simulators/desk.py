"""A counter at a simulated archive where a person hands in a file to be sent.

``POST /letters?to=<orgnr>&filename=<name>`` with the file as body; the archive sends it
as a letter through its gateway, and the answer says what the gateway said.
"""

from __future__ import annotations

import json
import mimetypes
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gateway.simulators.archive import GatewayAnswered, SimulatedArchive

_BLOCK = 256 * 1024


class Desk:
    """Serves one archive on loopback. Files are streamed through a temporary one."""

    def __init__(self, archive: SimulatedArchive, port: int = 0) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(archive))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="desk", daemon=True
        )

    @property
    def url(self) -> str:
        """Where letters are handed in."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/letters"

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler_of(archive: SimulatedArchive) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            address = urlsplit(self.path)
            query = parse_qs(address.query)
            try:
                receiver, filename = query["to"][0], Path(query["filename"][0]).name
                left = int(self.headers["Content-Length"])
            except (KeyError, TypeError, ValueError):
                self._answer(400, {"error": "give ?to=<orgnr>&filename=<name> and a file as body"})
                return
            mime_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
            with tempfile.TemporaryDirectory(prefix="desk-") as folder:
                file = Path(folder) / "file"
                with file.open("wb") as target:
                    while left > 0 and (block := self.rfile.read(min(left, _BLOCK))):
                        target.write(block)
                        left -= len(block)
                try:
                    conversation_id, answer = archive.send_letter(
                        receiver, [(filename, mime_type, file)], title=filename
                    )
                except GatewayAnswered as fault:
                    self._answer(502, {"error": str(fault)})
                    return
            self._answer(
                200,
                {
                    "conversationId": conversation_id,
                    "result": answer.type,
                    "messages": [f"{one.code}: {one.text}" for one in answer.messages],
                },
            )

        def _answer(self, status: int, body: dict[str, object]) -> None:
            data = json.dumps(body, ensure_ascii=False).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """The archive tells what it does; the desk is silent."""

    return Handler
