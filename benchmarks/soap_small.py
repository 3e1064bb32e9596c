"""Small letters: durable accepts per second, and their latency while big ones arrive.

    python benchmarks/soap_small.py [--rounds 9] [--connections 1 8 32] [--big 4] [--big-mb 200]

The endpoint with the real engine and store (SQLite, synced files) runs in a process of its
own; only the address registry is a stub. Every letter has a document of 20 KB and a
conversation of its own. Clients share the machine with the server.

The floor is the least work that accepts such a letter durably: lxml for both layers of
XML, base64, SHA-256, one synced commit with one row (performance 1.4: F1, and F2 with 32
letters to a commit). It is measured in turn with the gateway, in pairs; the ratio is the
median of the pairs, with the second lowest and second highest.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import multiprocessing
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pybase64
from lxml import etree
from soap_intake import MB, Body, N, T, post

from gateway.engine.context import Context, Policy, Served
from gateway.engine.intake import Intake
from gateway.engine.ledger import Ledger
from gateway.model import Recipient
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.translate import load_mapping

OWN, RECEIVER = "991825827", "974760673"
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}


class Everybody:
    """Addresses: everybody is on DPO."""

    def find(self, orgnr: str, process: str | None = None) -> Recipient:
        return Recipient(orgnr, "Mottaker", "DPO", process or "p", security_level=3)

    def name(self, orgnr: str) -> str | None:
        return None


def serve(folder: str, pipe: Connection) -> None:
    tempfile.tempdir = folder
    blobs = BlobStore(Path(folder) / "blobs")
    context = Context(
        database=Database(f"sqlite:///{Path(folder) / 'gateway.db'}"),
        blobs=blobs,
        transport=cast("Any", None),
        addresses=Everybody(),
        archives={},
        identities=[],
        mapping=load_mapping(),
        policy=Policy((Served(OWN, "p360"),), "urn:benchmark"),
    )
    listener = Listener(create_app(Intake(context, Ledger(context)), blobs))
    listener.start()
    pipe.send(listener.port)
    pipe.recv()
    listener.stop(10)


def letter() -> bytes:
    document = base64.b64encode(os.urandom(20_000)).decode()
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<PutMessageRequest xmlns="{T}"><envelope xmlns="" conversationId="{uuid.uuid4()}" '
        f'contentNamespace="{N}"><sender><orgnr>{OWN}</orgnr></sender>'
        f"<receiver><orgnr>{RECEIVER}</orgnr></receiver></envelope>"
        f'<payload xmlns="">&lt;Melding xmlns="{N}">&lt;journpost xmlns="">'
        "&lt;jpInnhold>Måling&lt;/jpInnhold>&lt;dokument>&lt;dlRnr>1&lt;/dlRnr>&lt;fil>&lt;base64>"
        f"{document}&lt;/base64>&lt;/fil>&lt;veFilnavn>m.bin&lt;/veFilnavn>"
        "&lt;veMimeType>application/pdf&lt;/veMimeType>&lt;/dokument>&lt;/journpost>"
        '&lt;noarksak xmlns="">&lt;saTittel>Sak&lt;/saTittel>&lt;/noarksak>&lt;/Melding>'
        "</payload></PutMessageRequest></s:Body></s:Envelope>"
    ).encode()


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


class Floor:
    """F1, or with more than one letter to a commit F2."""

    def __init__(self, folder: str, batch: int) -> None:
        self._batch = batch
        self._database = sqlite3.connect(f"{folder}/floor{batch}.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE letter (id TEXT PRIMARY KEY, sha256, document)")

    def rate(self, seconds: float) -> float:
        """Letters a second."""
        took, count = 0.0, 0
        while took < seconds:
            letters = [letter() for _ in range(self._batch)]
            started = time.perf_counter()
            rows = [self._read(one) for one in letters]
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO letter VALUES (?, ?, ?)", rows)
            self._database.execute("COMMIT")
            took += time.perf_counter() - started
            count += self._batch
        return count / took

    @staticmethod
    def _read(body: bytes) -> tuple[str, str, bytes]:
        request = etree.fromstring(body)[0][0]
        melding = etree.fromstring(request.findtext("payload") or "")
        document = pybase64.b64decode(melding.findtext(".//base64") or "", validate=True)
        identity = request.find("envelope").get("conversationId")  # type: ignore[union-attr]
        return str(identity), hashlib.sha256(document).hexdigest(), document


def in_turn(port: int, connections: int, rounds: int, floor: Floor) -> None:
    rates, floors, latencies = [], [], []
    for _ in range(rounds):
        floors.append(floor.rate(0.25))
        started = time.perf_counter()
        found = load(port, connections, 0.5)
        rates.append(len(found) / (time.perf_counter() - started))
        latencies += found
    ratios = sorted(ours / least for ours, least in zip(rates, floors, strict=True))
    report(f"{connections} connections", latencies, len(latencies) / statistics.median(rates))
    print(
        f"{'':32} {statistics.median(floors):6.0f} letters/s floor   "
        f"ratio {statistics.median(ratios):.2f} [{ratios[1]:.2f}-{ratios[-2]:.2f}]",
        flush=True,
    )


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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, there))
        server.start()
        port = here.recv()
        load(port, 2, 0.5)
        alone, together = Floor(folder, 1), Floor(folder, 32)
        for connections in options.connections:
            in_turn(port, connections, options.rounds, alone if connections == 1 else together)
        if options.big:
            beside_big_letters(port, options.big, options.big_mb)
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
