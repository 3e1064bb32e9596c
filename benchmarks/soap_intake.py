"""A big document in one PutMessage: MB/s and peak memory, beside the physical limit.

    python benchmarks/soap_intake.py [--sizes 1 10 100 1000] [--forms escaped cdata nested wrapped]

The endpoint runs in a process of its own with the real spool (synced files); MB are MB of
document, not of base64. The limit is measured in turn with it and with the same bytes:
one expat pass over the body, base64, SHA-256, write and sync, nothing else, and no HTTP.
Figures are medians; the ratio is the median of the pairs.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from xml.parsers import expat

import pybase64

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway.edu.payload import Payload
from gateway.model import OK, AppReceipt, Envelope
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.store.blobs import BlobStore

MB = 1_000_000
BLOCK = 57 * 4096  # a multiple of 57, so that wrapped lines stay whole
N = "http://www.arkivverket.no/Noark4-1-WS-WD/types"
LINE_ENDS = {"wrapped": b"\n", "crlf": b"&#13;\n"}
"""Forms whose base64 is broken into lines: as most write it, and as Java does."""
T = "http://www.arkivverket.no/Noark/Exchange/types"


@dataclass(frozen=True)
class Body:
    """A PutMessage around one document of about `size` bytes, made piece by piece."""

    form: str
    size: int
    envelope: str = '<envelope xmlns="" conversationId="b"/>'
    journpost: str = ""
    """What stands in the journpost in front of its document."""
    filename: str = ""

    @property
    def document_size(self) -> int:
        return max(1, self.size // BLOCK) * BLOCK

    def chunks(self) -> Iterator[bytes]:
        head, tail = self._frame()
        piece = self._piece()
        yield head
        for _ in range(self.document_size // BLOCK):
            yield piece
        yield tail

    def length(self) -> int:
        head, tail = self._frame()
        return len(head) + len(tail) + len(self._piece()) * (self.document_size // BLOCK)

    def _piece(self) -> bytes:
        text = pybase64.b64encode(bytes(range(256)) * (BLOCK // 256))
        if self.form not in LINE_ENDS:
            return text
        end = LINE_ENDS[self.form]
        return b"".join(text[n : n + 76] + end for n in range(0, len(text), 76))

    def _frame(self) -> tuple[bytes, bytes]:
        before = f'<Melding xmlns="{N}"><journpost xmlns="">{self.journpost}<dokument><fil><base64>'
        after = (
            f'</base64></fil>{self.filename}</dokument></journpost><noarksak xmlns=""/></Melding>'
        )
        if self.form == "escaped" or self.form in LINE_ENDS:
            before, after = before.replace("<", "&lt;"), after.replace("<", "&lt;")
        elif self.form == "cdata":
            before, after = "<![CDATA[" + before, after + "]]>"
        head = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f'<PutMessageRequest xmlns="{T}">{self.envelope}<payload xmlns="">{before}'
        )
        return (
            head.encode(),
            f"{after}</payload></PutMessageRequest></s:Body></s:Envelope>".encode(),
        )


class Checking:
    """An intake that believes everything but the size."""

    def put_message(
        self, envelope: Envelope | None, payload: Payload, speaker: str | None = None
    ) -> AppReceipt:
        assert len(payload.contents) == 1
        return OK

    def can_receive(self, orgnr: str | None) -> bool:
        return True


def peak() -> float:
    """Peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(folder: str, pipe: Connection) -> None:
    tempfile.tempdir = folder
    listener = Listener(create_app(Checking(), BlobStore(Path(folder) / "blobs")))
    listener.start()
    post(listener.port, Body("escaped", 1))  # everything is imported and warm
    pipe.send((listener.port, peak()))
    while pipe.recv() == "peak":
        pipe.send(peak())
    listener.stop(5)


def post(port: int, body: Body) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Content-Type": "text/xml; charset=utf-8", "Content-Length": str(body.length())}
    connection.request("POST", "/noarkExchange", body=body.chunks(), headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text
    assert b'type="OK"' in text, text
    return time.perf_counter() - started


def limit(body: Body, folder: str) -> float:
    """Seconds for parsing, decoding, hashing and writing the same bytes, and no more."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = 256 * 1024
    parser.CharacterDataHandler = len
    digest = hashlib.sha256()
    head, tail = body._frame()
    started = time.perf_counter()
    with tempfile.NamedTemporaryFile(dir=folder) as target:
        for chunk in body.chunks():
            parser.Parse(chunk, False)
            if chunk in (head, tail):
                continue
            if end := LINE_ENDS.get(body.form):
                chunk = chunk.replace(end, b"")
            data = pybase64.b64decode(chunk, validate=True)
            digest.update(data)
            target.write(data)
        parser.Parse(b"", True)
        target.flush()
        os.fsync(target.fileno())
    return time.perf_counter() - started


def measure(form: str, megabytes: int, folder: str) -> None:
    body = Body(form, megabytes * MB)
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, there))
    server.start()
    port, idle = here.recv()
    pairs = [
        (post(port, body), limit(body, folder)) for _ in range(max(1, min(30, 300 // megabytes)))
    ]
    here.send("peak")
    grown = here.recv() - idle
    here.send("stop")
    server.join()
    done = body.document_size / MB
    seconds, bound = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(least / ours for ours, least in pairs)
    print(
        f"{form:9} {megabytes:5} MB   intake {done / seconds:6.0f} MB/s   "
        f"limit {done / bound:6.0f} MB/s   {ratio:5.0%}   "
        f"peak +{grown:.1f} MiB above {idle:.0f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 10, 100], metavar="MB")
    forms = ("escaped", "cdata", "nested", *LINE_ENDS)
    parser.add_argument("--forms", nargs="+", choices=forms, default=list(forms))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for form in options.forms:
            for size in options.sizes:
                measure(form, size, folder)


if __name__ == "__main__":
    main()
