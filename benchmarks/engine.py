"""The store under load: durable intake, group commit, claims, polls and a large backlog.

    python benchmarks/engine.py [--rows 1000000] [--postgresql] [--rounds 9] [--sync-ms 0]

Ratios to floors measured in the same process and in turn (performance 1.4, 6). The floor
of intake is the cheapest code that still does it durably: raw `sqlite3`, one row of
metadata and documents' bytes, one synced commit. Files are compared with files: the
gateway keeps the documents of a letter in one, so the floor writes and syncs one too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from growth import measure_growth

from gateway.engine.context import Books, Policy, Served
from gateway.engine.ledger import Ledger
from gateway.engine.new_letters import NewLetter, NewLetters
from gateway.model import Direction, Document, Status
from gateway.store import jobs, messages
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from postgresql_cluster import Cluster, server_programs

LETTER = os.urandom(20_000)


def now() -> datetime:
    return datetime.now(UTC)


def letter(number: int = 0, state: Status = Status.OPPRETTET) -> Message:
    identity = str(uuid.uuid4())
    return Message(
        direction=Direction.OUTGOING,
        kind=Kind.LETTER,
        message_id=identity,
        conversation_id=identity,
        archive_conversation_id=identity,
        sender="910077473",
        receiver="910075918",
        state=state,
        duplicate_key=f"out|{identity}|910075918",
        created=now(),
        expires=now() + timedelta(hours=24),
    )


# --- intake ---------------------------------------------------------------------------


def accepting(database: Database, blobs: BlobStore) -> Callable[[], None]:
    """What the engine does for a letter with one document, once it is read and translated."""
    policy = Policy((Served("910077473", "p360"),), "urn:benchmark")
    letters = NewLetters(Ledger(Books(database=database, blobs=blobs, policy=policy)))

    def accept() -> None:
        bundle = blobs.bundle()
        contents = []
        for data in (LETTER, LETTER[:3000]):
            writer = bundle.create()
            writer.write(data)
            contents.append(writer.commit())
        blobs.keep(contents)
        metadata = Document("arkivmelding.xml", "text/xml", contents[1])
        file = Document("b", "text/plain", contents[0])
        letters.store(NewLetter(letter(), str(uuid.uuid4()), metadata, (file,)))

    return accept


class Floor:
    """One file written, synced and named, and one commit of two rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._database = sqlite3.connect(
            folder / "floor.db", isolation_level=None, check_same_thread=False
        )
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE message (id TEXT PRIMARY KEY, sha256, created)")
        self._descriptor = os.open(folder, os.O_RDONLY)

    def accept(self) -> None:
        name = uuid.uuid4().hex
        descriptor = os.open(self._folder / f"{name}.part", os.O_WRONLY | os.O_CREAT)
        rows = []
        for position, data in enumerate((LETTER, LETTER[:3000])):
            os.write(descriptor, data)
            rows.append((f"{name} {position}", hashlib.sha256(data).hexdigest(), time.time()))
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(self._folder / f"{name}.part", self._folder / name)
        os.fsync(self._descriptor)
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO message VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")


def rate(act: Callable[[], None], seconds: float) -> float:
    started = time.perf_counter()
    count = 0
    while time.perf_counter() - started < seconds:
        act()
        count += 1
    return count / (time.perf_counter() - started)


def crowd(act: Callable[[], None], callers: int, seconds: float) -> tuple[float, list[float]]:
    """Calls a second by `callers` threads together, and how long each took."""
    took: list[float] = []
    stop = time.perf_counter() + seconds

    def run() -> None:
        while (started := time.perf_counter()) < stop:
            act()
            took.append(time.perf_counter() - started)

    threads = [threading.Thread(target=run) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / seconds, sorted(took)


def measure_intake(database: Database, folder: Path, rounds: int) -> None:
    accept = accepting(database, BlobStore(folder / "blobs"))
    floor = Floor(folder / "floor")
    ratios, floors, ours = [], [], []
    for _ in range(rounds):
        floors.append(rate(floor.accept, 0.25))
        ours.append(rate(accept, 0.25))
        ratios.append(ours[-1] / floors[-1])
    print(
        f"accept, 1 caller: {statistics.median(ours):.0f}/s, floor"
        f" {statistics.median(floors):.0f}/s, ratio {statistics.median(ratios):.2f}"
        f" [{sorted(ratios)[1]:.2f}-{sorted(ratios)[-2]:.2f}]"
    )
    alone = statistics.median(ours)
    for callers in (8, 32):
        speed, took = crowd(accept, callers, 3.0)
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        print(
            f"accept, {callers} callers: {speed:.0f}/s ({speed / alone:.1f} times one caller),"
            f" p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms (ratio {p99 / p50:.1f}),"
            f" worst {took[-1] * 1000:.0f} ms"
        )

    def row_only() -> None:
        with database.write() as tx:
            stored = messages.add(tx, letter())
            jobs.add(tx, stored.row_id, Task.SEND, now())

    one = rate(row_only, 1.0)
    speed, took = crowd(row_only, 32, 3.0)
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    print(
        f"rows only: {one:.0f}/s by one caller, {speed:.0f}/s by 32 ({speed / one:.1f} times),"
        f" p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, worst {took[-1] * 1000:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="finished messages")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sync-ms", type=float, default=0.0, help="added to every os.fsync")
    options = parser.parse_args()
    if options.sync_ms:
        real = os.fsync

        def slow(descriptor: int) -> None:
            time.sleep(options.sync_ms / 1000)
            real(descriptor)

        os.fsync = slow
    cluster = None
    with tempfile.TemporaryDirectory(prefix="edu-gateway-engine-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'gateway.db'}"
        if options.postgresql:
            programs = server_programs()
            if programs is None:
                sys.exit("no PostgreSQL server programs here")
            cluster = Cluster(programs)
            url = cluster.new_database()
        try:
            database = Database(url)
            print(database.engine.dialect.name)
            measure_intake(database, folder, options.rounds)
            database.close()
            databases = [
                Database(cluster.new_database() if cluster else f"sqlite:///{folder / name}.db")
                for name in ("small", "middle", "large")
            ]
            measure_growth(databases, folder, options.rows, accepting)
            for one in databases:
                one.close()
        finally:
            if cluster is not None:
                cluster.stop()


if __name__ == "__main__":
    main()
