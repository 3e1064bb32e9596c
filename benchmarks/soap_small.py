"""Small letters: durable accepts per second, and their latency while big ones arrive.

    python benchmarks/soap_small.py [--rounds 9] [--connections 1 8 32] [--big 4] [--big-mb 200]
                                    [--postgresql]

The endpoint with the real engine and store (SQLite, synced files) runs in a process of its
own; only the address registry is a stub. Every letter has a document of 20 KB and a
conversation of its own. Clients share the machine with the server. `postgresql.py` has the
same without HTTP.

The floor is the least work that accepts such a letter durably: lxml for both layers of
XML, base64, SHA-256, one synced commit with one row (performance 1.4: F1, and F2 or, on
PostgreSQL, F7 with 32 letters to a commit). A second limit is the parts that are
prescribed, with nothing between them: waitress, spyne, our streaming reader, the document's
file (written, synced, named, its folder synced) and one synced commit; no registry, no
translation, no tables. All are measured in turn with the gateway; ratios are the median of
the rounds, with the second lowest and second highest.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_letters import RECEIVER, AcceptFloor, Parts, letter, own_postgresql
from soap_intake import MB, Body, post

from gateway.edu.payload import Payload
from gateway.model import OK, AppReceipt, Envelope
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.store.blobs import BlobStore

HEADERS = {"Content-Type": "text/xml; charset=utf-8"}


class Prescribed:
    """Accepts with the parts that nobody can leave out."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._turn = threading.Lock()
        self._database = sqlite3.connect(
            folder / "prescribed.db", isolation_level=None, check_same_thread=False
        )
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE letter (id TEXT PRIMARY KEY, sha256, file)")

    def put_message(
        self, envelope: Envelope | None, payload: Payload, speaker: str | None = None
    ) -> AppReceipt:
        assert envelope is not None
        self._blobs.keep(payload.contents)
        (content,) = payload.contents
        row = (envelope.conversation_id, content.sha256, content.key)  # type: ignore[attr-defined]
        with self._turn:
            self._database.execute("INSERT INTO letter VALUES (?, ?, ?)", row)
        return OK

    def can_receive(self, orgnr: str | None) -> bool:
        return True


def serve_prescribed(folder: str, pipe: Connection) -> None:
    blobs = BlobStore(Path(folder) / "prescribed")
    _serve(Prescribed(Path(folder), blobs), blobs, pipe)


def serve_gateway(folder: str, pipe: Connection, url: str | None = None) -> None:
    tempfile.tempdir = folder
    parts = Parts(Path(folder), url)
    _serve(parts.intake, parts.blobs, pipe)


def _serve(intake: Any, blobs: BlobStore, pipe: Connection) -> None:
    listener = Listener(create_app(intake, blobs))
    listener.start()
    pipe.send(listener.port)
    pipe.recv()
    listener.stop(10)


def send_until(port: int, stop: threading.Event, seconds: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while not stop.is_set():
        body = letter()
        started = time.perf_counter()
        connection.request("POST", "/noarkExchange", body=body, headers=HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        seconds.append(time.perf_counter() - started)
        assert b'type="OK"' in text, text
    connection.close()


def load(port: int, connections: int, stop_after: float) -> list[float]:
    """Latencies, in seconds, of everything that was sent meanwhile."""
    stop = threading.Event()
    found: list[float] = []
    senders = [
        threading.Thread(target=send_until, args=(port, stop, found)) for _ in range(connections)
    ]
    for sender in senders:
        sender.start()
    time.sleep(stop_after)
    stop.set()
    for sender in senders:
        sender.join()
    return found


def in_turn(
    port: int, prescribed: int, connections: int, rounds: int, floor: AcceptFloor, goal: float
) -> None:
    rates, floors, limits, latencies = [], [], [], []
    for _ in range(rounds):
        floors.append(floor.rate())
        limits.append(_rate(load_for(prescribed, connections)))
        found, seconds = load_for(port, connections)
        rates.append(len(found) / seconds)
        latencies += found
    report(f"{connections} connections", latencies, len(latencies) / statistics.median(rates))
    for name, least in ((f"floor, goal {goal:.2f}", floors), ("prescribed parts", limits)):
        ratios = sorted(ours / limit for ours, limit in zip(rates, least, strict=True))
        print(
            f"{'':32} {statistics.median(least):6.0f} letters/s {name:16} "
            f"ratio {statistics.median(ratios):.2f} [{ratios[1]:.2f}-{ratios[-2]:.2f}]",
            flush=True,
        )


def load_for(port: int, connections: int) -> tuple[list[float], float]:
    started = time.perf_counter()
    return load(port, connections, 0.5), time.perf_counter() - started


def _rate(loaded: tuple[list[float], float]) -> float:
    return len(loaded[0]) / loaded[1]


def report(name: str, seconds: list[float], duration: float) -> None:
    cuts = statistics.quantiles(seconds, n=100)
    print(
        f"{name:32} {len(seconds) / duration:6.0f} letters/s   "
        f"p50 {cuts[49] * 1000:6.1f} ms   p95 {cuts[94] * 1000:6.1f} ms   "
        f"p99 {cuts[98] * 1000:6.1f} ms   p99/p50 {cuts[98] / cuts[49]:.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--big", type=int, default=4, help="big letters at the same time")
    parser.add_argument("--big-mb", type=int, default=200)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        cluster = stack.enter_context(own_postgresql()) if options.postgresql else None
        url = cluster.new_database() if cluster else None
        port = stack.enter_context(running(serve_gateway, folder, url))
        least = stack.enter_context(running(serve_prescribed, folder))
        for one in (port, least):
            load(one, 2, 0.5)
        for connections in options.connections:
            batch, goal = (1, 0.45) if connections == 1 else (32, 0.40 if cluster else 0.50)
            floor = AcceptFloor(Path(folder), batch, cluster.new_database() if cluster else None)
            in_turn(port, least, connections, options.rounds, floor, goal)
            floor.close()
        if options.big:
            beside_big_letters(port, options.big, options.big_mb)


@contextmanager
def running(serve: Callable[..., None], folder: str, *more: object) -> Iterator[int]:
    """The port of an endpoint in a process of its own."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, there, *more))
    server.start()
    yield here.recv()
    here.send("stop")
    server.join()


class BigLetter(Body):
    """An accepted letter: with parties and a conversation of its own."""

    def _frame(self) -> tuple[bytes, bytes]:
        head, tail = super()._frame()
        envelope = (
            f'<envelope xmlns="" conversationId="{uuid.UUID(int=id(self))}"><receiver><orgnr>'
            f"{RECEIVER}</orgnr></receiver></envelope>"
        )
        return head.replace(b'<envelope xmlns="" conversationId="b"/>', envelope.encode()), tail


def beside_big_letters(port: int, count: int, megabytes: int) -> None:
    stop = threading.Event()
    found: list[float] = []
    small = threading.Thread(target=send_until, args=(port, stop, found))
    bodies = [BigLetter("escaped", megabytes * MB) for _ in range(count)]
    big = [threading.Thread(target=post, args=(port, body)) for body in bodies]
    started = time.perf_counter()
    for thread in [small, *big]:
        thread.start()
    for thread in big:
        thread.join()
    duration = time.perf_counter() - started
    stop.set()
    small.join()
    report(f"1 connection beside {count} x {megabytes} MB", found, duration)
    print(f"{'':32} {count * megabytes / duration:6.0f} MB/s of big letters")


if __name__ == "__main__":
    main()
