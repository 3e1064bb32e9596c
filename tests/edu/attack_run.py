"""Runs every attack of soap-stack 3 in one process; prints one JSON line each.

A program of its own, because peak memory can only be read for a whole process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from gateway.edu.reader import Limits, read_request
from gateway.errors import RequestRefused
from gateway.spool import FolderSpool

T = "http://www.arkivverket.no/Noark/Exchange/types"
MB = 1024 * 1024
PIECE = 64 * 1024
HEAD = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<PutMessageRequest xmlns="' + T.encode() + b'">'
)
END = b"</payload></PutMessageRequest></s:Body></s:Envelope>"
PAYLOAD = HEAD + b'<payload xmlns="">'


def endless(start: bytes, unit: bytes, megabytes: int = 256) -> Iterator[bytes]:
    block = unit * max(1, PIECE // len(unit))
    return chain([start], repeat(block, megabytes * MB // len(block)))


def numbered(start: bytes, unit: str, count: int, end: bytes = b"") -> Iterator[bytes]:
    yield start
    for first in range(0, count, 500):
        yield "".join(unit.format(n) for n in range(first, min(first + 500, count))).encode()
    yield end


LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY a "ha">'
    + b"".join(
        b'<!ENTITY %c "&%c;&%c;&%c;&%c;&%c;&%c;&%c;&%c;">' % (97 + n, *[96 + n] * 8)
        for n in range(1, 20)
    )
    + b"]><a>&t;</a>"
)
XXE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


def inner(data: bytes) -> bytes:
    return data.replace(b"&", b"&amp;").replace(b"<", b"&lt;")


LETTER = b"<Melding><journpost>"

ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "outer attribute": lambda: endless(b'<s:Envelope a="', b"x"),
    "outer comment": lambda: endless(b"<!--", b"x"),
    "outer instruction": lambda: endless(b"<?x ", b"x"),
    "outer element name": lambda: endless(b"<", b"x"),
    "outer nesting": lambda: endless(HEAD, b"<x>"),
    "outer siblings": lambda: endless(HEAD, b"<x/>"),
    "outer text": lambda: endless(HEAD + b"<envelope><sender><name>", b"x"),
    "nested text": lambda: endless(PAYLOAD + LETTER, b"tekst "),
    "nested siblings": lambda: endless(PAYLOAD + LETTER, b"<x>y</x>"),
    "nested attribute": lambda: endless(PAYLOAD + b'<Melding a="', b"x"),
    "CDATA text": lambda: endless(PAYLOAD + b"<![CDATA[" + LETTER, b"tekst "),
    "inner text": lambda: endless(PAYLOAD + inner(LETTER), b"tekst "),
    "inner wide text": lambda: endless(PAYLOAD + inner(LETTER), "文😀".encode()),
    "inner attribute": lambda: endless(PAYLOAD + inner(b'<Melding a="'), b"x"),
    "inner comment": lambda: endless(PAYLOAD + inner(b"<!--"), b"x"),
    "inner instruction": lambda: endless(PAYLOAD + inner(b"<?x "), b"x"),
    "inner element name": lambda: endless(PAYLOAD + inner(b"<"), b"x"),
    "inner nesting": lambda: endless(PAYLOAD, inner(b"<x>")),
    "inner siblings": lambda: endless(PAYLOAD + inner(LETTER), inner(b"<x/>")),
    "inner ampersands": lambda: endless(PAYLOAD + inner(LETTER), b"&amp;amp;"),
    "billion laughs": lambda: iter([LAUGHS]),
    "inner laughs": lambda: iter([PAYLOAD + inner(LAUGHS), END]),
    "external entity": lambda: iter([XXE]),
    "inner external entity": lambda: iter([PAYLOAD + inner(XXE), END]),
    "100 000 attributes": lambda: numbered(PAYLOAD + b"<Melding", ' a{}="1"', 100_000, b"/>"),
    "60 000 declarations": lambda: numbered(
        PAYLOAD + b"<Melding", ' xmlns:a{0}="urn:{0}"', 60_000, b"/>"
    ),
    "documents": lambda: endless(PAYLOAD + LETTER, b"<base64>QUJD</base64>"),
    "empty documents": lambda: endless(PAYLOAD + inner(LETTER), inner(b"<base64/>")),
    "repeated comments": lambda: endless(PAYLOAD, b"<!--" + b"x" * 900_000 + b"-->"),
    "blanks": lambda: endless(PAYLOAD, b"  \n "),
    "blanks in a letter": lambda: endless(PAYLOAD + LETTER, b"  \n "),
    "blanks in a document": lambda: endless(PAYLOAD + LETTER + b"<base64>QUJD", b"  \n "),
    "rubbish in a document": lambda: endless(PAYLOAD + LETTER + b"<base64>", b"%%%%"),
    "header text": lambda: endless(HEAD.replace(b"Body", b"Header"), b"<h>" + b"x" * 900),
}


def run(name: str, spool: FolderSpool) -> None:
    consumed = 0

    def counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal consumed
        for chunk in chunks:
            consumed += len(chunk)
            yield chunk

    limits = Limits(request_bytes=(96 if name == "inner ampersands" else 24) * MB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    try:
        found = read_request(counted(ATTACKS[name]()), spool, limits)
        outcome = f"accepted as {found.payload.kind}"
    except RequestRefused as refused:
        outcome = refused.name
    report = {
        "attack": name,
        "outcome": outcome,
        "consumed_mb": round(consumed / MB, 2),
        "cpu_seconds": round(time.process_time() - started, 3),
        "growth_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
        "left": len(list(spool.folder.iterdir())),
    }
    print(json.dumps(report), flush=True)


def main(folder: Path) -> None:
    """Each attack in a fork, so that every peak is its own."""
    spool = FolderSpool(folder)
    read_request([PAYLOAD, END], spool)
    for name in ATTACKS:
        child = os.fork()
        if not child:
            run(name, spool)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
