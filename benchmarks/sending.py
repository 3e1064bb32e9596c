"""Sending: letters that lie in the queue, packaged, uploaded over HTTP and recorded.

    python benchmarks/sending.py [--rounds 9] [--letters 40] [--big-mb 100] [--bits 2048]
                                 [--only G7 G8 G11 whole]

Real workers, store and transport; only registry and network are stand-ins, the latter a
process that answers at once (`network_sink`). One letter costs three calls there:
it is announced, it is uploaded, and five seconds later the network is asked whether it let
the letter through. The floor F6 has one PUT instead of them.

G8: one worker with letters of 20 KB, beside F6 of performance 1.4. The rate is until they
are recorded as sent; the later look is timed apart.
G7: two processes with one worker each, beside one such process, on PostgreSQL.
G11: one letter with a big document that is stored and not deflated, beside F5: read,
encrypted and written to a socket. We write down the package before we send it, so that
every attempt sends the same, and the network is told its MD5 before it gets it. F5 with
this is the second floor.
The whole way: letters sent by SOAP over 8 connections to a gateway process, until the last
of them has been uploaded and recorded.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import multiprocessing
import os
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cryptography import x509
from network_sink import NetworkSink
from packaging import identity, small_documents, small_floor
from small_letters import OWN, RECEIVER, Parts, letter, own_postgresql
from soap_intake import BLOCK, MB, Body
from soap_small import load
from yardstick import compare

from gateway.engine.worker import Workers
from gateway.model import Event, Status
from gateway.package import Identity
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.store import jobs
from gateway.store.jobs import Task
from gateway.store.messages import Message
from gateway.store.tables import job

PIECE = 256 * 1024
FAR_AWAY = 3600.0
_SPAWN = multiprocessing.get_context("spawn")


class SentLetters:
    """Counts letters that are recorded as sent, in this and other processes."""

    def __init__(self) -> None:
        self._count = _SPAWN.Value("i", 0)
        self._wanted = _SPAWN.Value("i", 0)
        self._reached = _SPAWN.Event()

    def observe(self, message: Message, event: Event) -> None:
        if event.status is Status.SENDT:
            with self._count.get_lock():
                self._count.value += 1
                if self._count.value == self._wanted.value:
                    self._reached.set()

    def want(self, more: int) -> None:
        """Be there when so many more than before are sent."""
        with self._count.get_lock():
            self._wanted.value += more
            if self._count.value == self._wanted.value:
                self._reached.set()
            else:
                self._reached.clear()

    def wait(self) -> None:
        if not self._reached.wait(600):
            sys.exit("letters were not sent within ten minutes")


@contextmanager
def working(parts: Parts, threads: int = 1) -> Iterator[None]:
    workers = Workers(parts.context, parts.ledger, poll_seconds=FAR_AWAY, per_task=threads)
    workers.start()
    try:
        yield
    finally:
        workers.stop()


def end_looks(parts: Parts) -> None:
    """What is looked at five seconds after sending would cost the next round."""
    with parts.database.write() as tx:
        tx.execute(job.update().where(job.c.task == Task.SEND).values(due=None, held=False))


# --- one worker -----------------------------------------------------------------------


class SendFloor:
    """F6: a small package (F3), one PUT on a connection kept alive, a tenth of two commits."""

    def __init__(self, folder: Path, port: int, who: Identity) -> None:
        self._who = who
        self._documents = small_documents()
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._database = sqlite3.connect(folder / "floor.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE sent (number, at)")
        self.costs: list[float] = []
        """Milliseconds of processor time for a letter, in each round."""

    def rate(self, seconds: float = 0.25) -> float:
        """Letters a second."""
        started, cost = time.perf_counter(), time.process_time()
        count = 0
        while time.perf_counter() - started < seconds:
            self._commit()
            for _ in range(10):
                package = small_floor(self._documents, self._who)
                self._connection.request("PUT", "/package", package)
                self._connection.getresponse().read()
            self._commit()
            count += 10
        self.costs.append((time.process_time() - cost) / count * 1000)
        return count / (time.perf_counter() - started)

    def _commit(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        rows = [(number, time.time()) for number in range(10)]
        self._database.executemany("INSERT INTO sent VALUES (?, ?)", rows)
        self._database.execute("COMMIT")


def measure_one_worker(folder: Path, port: int, who: Identity, rounds: int, letters: int) -> None:
    parts = Parts(folder, who=who, port=port)
    sent = SentLetters()
    parts.context.observers.append(sent.observe)
    floor = SendFloor(folder, port, who)
    looks, costs = [], []

    def send() -> float:
        for _ in range(letters):
            parts.accept([letter()])
        sent.want(letters)
        started, cost = time.perf_counter(), time.process_time()
        with working(parts):
            sent.wait()
            took = time.perf_counter() - started
            costs.append((time.process_time() - cost) / letters * 1000)
        looks.append(letters / look(parts))
        return letters / took

    send()  # fetches the token
    name = f"G8 sent by one worker, RSA-{who.private_key.key_size}"
    compare(name, "letters/s", send, floor.rate, goal=0.45, pairs=rounds)
    ours, least = statistics.median(costs), statistics.median(floor.costs)
    print(
        f"   processor time: {ours:.2f} ms a letter, floor {least:.2f} ms, ratio"
        f" {least / ours:.2f}; looks whether the network let it through:"
        f" {statistics.median(looks):.0f} letters/s"
    )
    parts.database.close()


def look(parts: Parts) -> float:
    """Seconds for the looks at everything that was just sent."""
    with parts.database.write() as tx:
        waiting = (job.c.task == Task.SEND) & job.c.due.is_not(None)
        tx.execute(job.update().where(waiting).values(due=parts.context.now()))
    started = time.perf_counter()
    with working(parts):
        while True:
            with parts.database.read() as tx:
                if Task.SEND not in jobs.waiting(tx):
                    return time.perf_counter() - started
            time.sleep(0.01)


# --- two processes --------------------------------------------------------------------


def work_in_process(
    folder: str, url: str, pem: bytes, port: int, threads: int, sent: SentLetters, pipe: Connection
) -> None:
    """Works from each "go" until the next message."""
    parts = Parts(Path(folder), url, from_pem(pem), port)
    parts.context.observers.append(sent.observe)
    pipe.send("ready")
    while pipe.recv() == "go":
        with working(parts, threads):
            pipe.recv()
        pipe.send("stopped")


def to_pem(who: Identity) -> bytes:
    key = who.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key + who.certificate.public_bytes(Encoding.PEM)


def from_pem(pem: bytes) -> Identity:
    key: Any = load_pem_private_key(pem, None)
    return Identity(key, x509.load_pem_x509_certificate(pem))


def measure_two_processes(
    folder: Path, port: int, who: Identity, rounds: int, letters: int, threads: int
) -> None:
    with own_postgresql() as cluster:
        url = cluster.new_database()
        parts = Parts(folder, url, who, port)
        sent = SentLetters()
        pipes = []
        for _ in range(2):
            here, there = _SPAWN.Pipe()
            arguments = (str(folder), url, to_pem(who), port, threads, sent, there)
            _SPAWN.Process(target=work_in_process, args=arguments, daemon=True).start()
            pipes.append(here)
        for pipe in pipes:
            pipe.recv()

        def send(processes: int) -> float:
            for _ in range(letters):
                parts.accept([letter()])
            sent.want(letters)
            started = time.perf_counter()
            for pipe in pipes[:processes]:
                pipe.send("go")
            sent.wait()
            took = time.perf_counter() - started
            for pipe in pipes[:processes]:
                pipe.send("pause")
                pipe.recv()
            end_looks(parts)
            return letters / took

        send(2)  # each fetches its token
        compare(
            f"G7 sent by two processes with {threads} thread(s) each, RSA-"
            f"{who.private_key.key_size}, PostgreSQL",
            "letters/s",
            lambda: send(2),
            lambda: send(1),
            goal=1.7,
            pairs=rounds,
            other="one process",
        )
        for pipe in pipes:
            pipe.send("end")
        parts.database.close()


# --- big letters ----------------------------------------------------------------------


class BigFloor:
    """F5, and the same with MD5 first and the package written down."""

    def __init__(self, folder: Path, size: int, port: int) -> None:
        self._source, self._copy = folder / "document", folder / "package"
        self._size = size
        self._port = port
        with self._source.open("wb") as file:
            for _ in range(size // BLOCK):
                file.write(os.urandom(BLOCK))

    def rate(self) -> float:
        """MB/s."""
        started = time.perf_counter()
        with self._connection() as connection:
            encryptor = Cipher(AES(bytes(32)), CBC(bytes(16))).encryptor()
            with self._source.open("rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    connection.sendall(encryptor.update(piece))
            connection.recv(PIECE)
        return self._size / MB / (time.perf_counter() - started)

    def rate_when_kept(self) -> float:
        """MB/s."""
        started = time.perf_counter()
        encryptor = Cipher(AES(bytes(32)), CBC(bytes(16))).encryptor()
        digest = hashlib.md5(usedforsecurity=False)
        with self._source.open("rb", buffering=0) as file, self._copy.open("wb", 0) as copy:
            while piece := file.read(PIECE):
                sealed = encryptor.update(piece)
                digest.update(sealed)
                copy.write(sealed)
            os.fsync(copy.fileno())
        with self._connection() as connection, self._copy.open("rb", 0) as file:
            while piece := file.read(PIECE):
                connection.sendall(piece)
            connection.recv(PIECE)
        return self._size / MB / (time.perf_counter() - started)

    def _connection(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.sendall(b"PUT /package HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % self._size)
        return connection


def measure_big(folder: Path, port: int, who: Identity, rounds: int, megabytes: int) -> None:
    parts = Parts(folder, who=who, port=port)
    sent = SentLetters()
    parts.context.observers.append(sent.observe)
    envelope = (
        f'<envelope xmlns=""><sender><orgnr>{OWN}</orgnr></sender><receiver><orgnr>{RECEIVER}'
        "</orgnr></receiver></envelope>"
    )
    names = "<veFilnavn>stor.pdf</veFilnavn><veMimeType>application/pdf</veMimeType>"
    body = Body("escaped", megabytes * MB, envelope, "<jpInnhold>Stort</jpInnhold>", names)

    def send() -> float:
        parts.accept(body.chunks())
        sent.want(1)
        started = time.perf_counter()
        with working(parts):
            sent.wait()
            took = time.perf_counter() - started
        end_looks(parts)
        for file in [*parts.blobs.folder.glob("*/*")]:
            file.unlink()
        return body.document_size / MB / took

    send()
    floor = BigFloor(folder, body.document_size, port)
    name = f"G11 {megabytes} MB packaged and sent"
    compare(name, "MB/s", send, floor.rate, goal=0.85, pairs=rounds)
    compare(f"   beside F5 with the package kept: {name}", "MB/s", send, floor.rate_when_kept,
            pairs=rounds)  # fmt: skip
    parts.database.close()


# --- the whole way --------------------------------------------------------------------


def serve_and_send(folder: str, pem: bytes, port: int, sent: SentLetters, pipe: Connection) -> None:
    tempfile.tempdir = folder
    parts = Parts(Path(folder), None, from_pem(pem), port)
    parts.context.observers.append(sent.observe)
    listener = Listener(create_app(parts.intake, parts.blobs))
    with working(parts, threads=4):
        listener.start()
        pipe.send(listener.port)
        pipe.recv()
        listener.stop(10)


def measure_whole_way(folder: Path, port: int, who: Identity, rounds: int) -> None:
    sent = SentLetters()
    here, there = _SPAWN.Pipe()
    arguments = (str(folder), to_pem(who), port, sent, there)
    gateway = _SPAWN.Process(target=serve_and_send, args=arguments)
    gateway.start()
    endpoint = here.recv()
    accepted, through = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        letters = len(load(endpoint, 8, 2.0))
        accepted.append(letters / (time.perf_counter() - started))
        sent.want(letters)
        sent.wait()
        through.append(letters / (time.perf_counter() - started))
    print(
        f"end to end, SOAP to recorded upload, RSA-{who.private_key.key_size}:"
        f" {statistics.median(through):.0f} letters/s [{min(through):.0f}-{max(through):.0f}];"
        f" meanwhile {statistics.median(accepted):.0f} letters/s were accepted",
        flush=True,
    )
    here.send("stop")
    gateway.join()


def main() -> None:
    parts = ("G7", "G8", "G11", "whole")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--letters", type=int, default=40, help="in each round")
    parser.add_argument("--threads", type=int, default=1, help="sending, in each process of G7")
    parser.add_argument("--big-mb", type=int, default=100)
    parser.add_argument("--bits", type=int, default=2048, help="of the RSA keys")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    who, rounds, letters = identity(options.bits), options.rounds, options.letters
    with NetworkSink() as network, tempfile.TemporaryDirectory() as name:
        folders = {part: Path(name) / part for part in parts}
        for folder in folders.values():
            folder.mkdir()
        if "G8" in options.only:
            measure_one_worker(folders["G8"], network.port, who, rounds, letters)
        if "whole" in options.only:
            measure_whole_way(folders["whole"], network.port, who, rounds)
        if "G7" in options.only:
            measure_two_processes(
                folders["G7"], network.port, who, rounds, 2 * letters, options.threads
            )
        if "G11" in options.only:
            measure_big(folders["G11"], network.port, who, rounds, options.big_mb)


if __name__ == "__main__":
    main()
