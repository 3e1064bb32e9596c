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

import sqlalchemy as sa

from gateway.model import Direction, Document, Event, Status
from gateway.store import jobs, messages, overview
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message, Role
from gateway.store.overview import Filter
from gateway.store.tables import event, job, message

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from postgresql_cluster import Cluster, server_programs

LEASE = timedelta(minutes=1)
LETTER = os.urandom(20_000)
_CHUNK = 20_000


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


def accept(database: Database, blobs: BlobStore) -> None:
    """What the engine does for a letter with one document, after reading it."""
    bundle = blobs.bundle()
    contents = []
    for data in (LETTER, LETTER[:3000]):
        writer = bundle.create()
        writer.write(data)
        contents.append(writer.commit())
    blobs.keep(contents)
    with database.write() as tx:
        stored = messages.add(tx, letter())
        messages.begin_timelines(tx, [(stored.row_id, Event(now(), Status.OPPRETTET))])
        jobs.add(tx, stored.row_id, Task.SEND, now())
        jobs.add(tx, stored.row_id, Task.EXPIRE, now() + timedelta(hours=24))
        metadata = Document("arkivmelding.xml", "text/xml", contents[1])
        messages.add_documents(tx, stored.row_id, [metadata], Role.METADATA)
        messages.add_documents(tx, stored.row_id, [Document("b", "text/plain", contents[0])])


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
    blobs = BlobStore(folder / "blobs")
    floor = Floor(folder / "floor")
    ratios, floors, ours = [], [], []
    for _ in range(rounds):
        floors.append(rate(floor.accept, 0.25))
        ours.append(rate(lambda: accept(database, blobs), 0.25))
        ratios.append(ours[-1] / floors[-1])
    print(
        f"accept, 1 caller: {statistics.median(ours):.0f}/s, floor"
        f" {statistics.median(floors):.0f}/s, ratio {statistics.median(ratios):.2f}"
        f" [{sorted(ratios)[1]:.2f}-{sorted(ratios)[-2]:.2f}]"
    )
    alone = statistics.median(ours)
    for callers in (8, 32):
        speed, took = crowd(lambda: accept(database, blobs), callers, 3.0)
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


# --- backlog --------------------------------------------------------------------------


def in_turn(
    first: Callable[[], None], second: Callable[[], None], times: int = 60
) -> tuple[float, float, float]:
    """Median milliseconds of both, done in turn, and the median ratio of the pairs."""
    took: list[tuple[float, float]] = []
    for _ in range(times):
        pair = []
        for act in (first, second):
            started = time.perf_counter()
            act()
            pair.append(time.perf_counter() - started)
        took.append((pair[0], pair[1]))
    small, large = (statistics.median(column) * 1000 for column in zip(*took, strict=True))
    return small, large, statistics.median(later / earlier for earlier, later in took)


def fill(database: Database, waiting: int, finished: int) -> list[str]:
    """Generate rows; some message ids to look for."""
    moment = now() - timedelta(days=1)
    template = dict.fromkeys((column.name for column in message.c if column.name != "id"), None)
    template |= {
        "direction": "OUTGOING", "kind": "letter", "sender": "910077473",
        "receiver": "910075918", "created": moment, "updated": moment,
        "losses": [], "warnings": [], "state": Status.LEST,
    }  # fmt: skip
    known = []
    with database.read() as tx:
        first = (tx.execute(sa.select(sa.func.max(message.c.id))).scalar() or 0) + 1
    for start in range(first, first + waiting + finished, _CHUNK):
        numbers = range(start, min(start + _CHUNK, first + waiting + finished))
        rows, work, events = [], [], []
        for number in numbers:
            identity = str(uuid.uuid4())
            rows.append(
                {
                    **template,
                    "id": number,
                    "message_id": identity,
                    "conversation_id": identity,
                    "archive_conversation_id": identity,
                    "duplicate_key": f"out|{identity}|910075918",
                }
            )
            due = moment if number < first + waiting else None
            work.append(
                {"message": number, "task": "send", "due": due, "attempt": 1, "held": False,
                 "failures": 0}
            )  # fmt: skip
            events.append({"message": number, "at": moment, "status": "OPPRETTET"})
        known.append(rows[-1]["message_id"])
        with database.write() as tx:
            tx.execute(message.insert(), rows)
            tx.execute(job.insert(), work)
            tx.execute(event.insert(), events)
    if database.shared:
        with database.write() as tx:
            for table in ("message", "job", "event"):
                tx.execute(
                    sa.text(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
                        f" (SELECT max(id) FROM {table}))"
                    )
                )
    return known


def measure_growth(small: Database, large: Database, folder: Path, rows: int) -> None:
    """The same questions to a database with 1 000 messages and to one with a long history."""
    started = time.monotonic()
    waiting = max(rows // 10, 1)
    acts = [
        questions(small, folder / "small", fill(small, 1000, 0)),
        questions(large, folder / "large", fill(large, waiting, rows)),
    ]
    if large.shared:
        for database in (small, large):
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
                tx.execute(sa.text("VACUUM ANALYZE"))
    took = time.monotonic() - started
    print(f"{waiting} waiting and {rows} finished messages made in {took:.0f} s")
    for name, act in acts[0].items():
        before, now_, ratio = in_turn(act, acts[1][name])
        print(
            f"  {name:20} {before:7.2f} ms at 1 000, {now_:7.2f} ms now, ratio {ratio:.2f}",
            flush=True,
        )


def questions(database: Database, folder: Path, known: list[str]) -> dict[str, Callable[[], None]]:
    """What is asked all day; `known` are ids of messages that are there."""
    blobs = BlobStore(folder)

    def claim(limit: int) -> None:
        with database.write() as tx:
            for one in jobs.claim(tx, Task.SEND, now(), lease=LEASE, limit=limit):
                jobs.defer(tx, one, now() - timedelta(hours=1))

    def look_for(task: Task) -> None:
        with database.read() as tx:
            jobs.any_due(tx, task, now())

    def status() -> None:
        with database.read() as tx:
            found = messages.find(tx, message_id=known[-1])
            assert found is not None
            messages.events(tx, found.row_id)

    def needs_a_person() -> None:
        with database.read() as tx:
            overview.count(tx, Filter(attention=True))
            overview.quarantined(tx)

    def latest() -> None:
        with database.read() as tx:
            messages.select(tx, limit=100)

    return {
        "claim 1": lambda: claim(1),
        "claim 10": lambda: claim(10),
        "accept": lambda: accept(database, blobs),
        "poll, something due": lambda: look_for(Task.SEND),
        "poll, nothing due": lambda: look_for(Task.DELIVER),
        "status by id": status,
        "latest 100": latest,
        "what needs a person": needs_a_person,
    }


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
            small, large = (
                Database(cluster.new_database() if cluster else f"sqlite:///{folder / name}.db")
                for name in ("small", "large")
            )
            measure_growth(small, large, folder, options.rows)
            small.close()
            large.close()
        finally:
            if cluster is not None:
                cluster.stop()


if __name__ == "__main__":
    main()
