"""The same questions to a small and to a large database: does history cost anything?

Part of `benchmarks/engine.py`, which runs it.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from gateway.model import Status
from gateway.store import jobs, messages, overview
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.overview import Filter
from gateway.store.tables import event, job, message

LEASE = timedelta(minutes=1)
_CHUNK = 20_000

Accept = Callable[[Database, BlobStore], None]


def now() -> datetime:
    return datetime.now(UTC)


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


def measure_growth(
    small: Database, large: Database, folder: Path, rows: int, accept: Accept
) -> None:
    """The same questions to a database with 1 000 messages and to one with a long history."""
    started = time.monotonic()
    waiting = max(rows // 10, 1)
    acts = [
        questions(small, folder / "small", fill(small, 1000, 0), accept),
        questions(large, folder / "large", fill(large, waiting, rows), accept),
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


def questions(
    database: Database, folder: Path, known: list[str], accept: Accept
) -> dict[str, Callable[[], None]]:
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
