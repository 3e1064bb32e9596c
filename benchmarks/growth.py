"""The same questions to a small and to a large database: does history cost anything?

Part of `benchmarks/engine.py`, which runs it.
"""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.model import Status
from gateway.store import jobs, messages, overview
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.retention import look
from gateway.store.search import COUNTED, LOOKED_THROUGH, Filter, count, search
from gateway.store.tables import document, event, job, message

OURS = "910077473"
LEASE = timedelta(minutes=1)
_CHUNK = 20_000

Accepting = Callable[[Database, BlobStore], Callable[[], None]]


def now() -> datetime:
    return datetime.now(UTC)


def in_turn(*acts: Callable[[], None], times: int = 60) -> list[float]:
    """Median milliseconds of each, done in turn."""
    took: list[list[float]] = [[] for _ in acts]
    for _ in range(times):
        for act, mine in zip(acts, took, strict=True):
            started = time.perf_counter()
            act()
            mine.append(time.perf_counter() - started)
    return [statistics.median(mine) * 1000 for mine in took]


@dataclass(frozen=True, slots=True)
class Known:
    """What is there to be looked for."""

    message_id: str
    receiver: str
    reference: str
    blobs: list[str]


def fill(database: Database, waiting: int, finished: int) -> Known:
    """Generate two years of letters, each with a status and a receipt, as one gateway has
    them: sent by us to 400 others, some often; those that wait came last. Documents are
    kept for 90 days. One in a thousand failed and was handled."""
    moment = now()
    pause = timedelta(days=730) / (waiting + finished)
    template = dict.fromkeys((column.name for column in message.c if column.name != "id"), None)
    template |= {"direction": "OUTGOING", "sender": OURS, "losses": [], "warnings": []}
    chance = random.Random(1)
    known = Known("", "", "", [])
    for start in range(1, 1 + waiting + finished, _CHUNK):
        rows, work, events, documents = [], [], [], []
        for number in range(start, min(start + _CHUNK, 1 + waiting + finished)):
            identity = str(uuid.UUID(int=chance.getrandbits(128), version=4))
            waits = number > finished
            kind = ("letter", "letter", "status", "receipt")[number % 4]
            failed = number % 1000 == 1 and not waits
            at = moment - pause * (waiting + finished - number)
            state = Status.OPPRETTET if waits else Status.FEIL if failed else Status.LEST
            rows.append(
                {
                    **template,
                    "id": number,
                    "kind": kind,
                    "receiver": f"{920000000 + int(400 * chance.random() ** 3):09}",
                    "message_id": identity,
                    "conversation_id": identity,
                    "archive_conversation_id": identity,
                    "reference": f"26/{number}-1" if kind == "letter" else None,
                    "related_to": None if kind == "letter" else rows[-1]["message_id"],
                    "duplicate_key": f"out|{identity}",
                    "state": state,
                    "created": at,
                    "updated": at,
                    "handled": at if failed else None,
                }
            )
            work.append(
                {"message": number, "task": "send", "due": at if waits else None, "attempt": 1,
                 "held": False, "failures": 0}
            )  # fmt: skip
            for status in {Status.OPPRETTET, state}:
                events.append({"message": number, "at": at, "status": status})
            if kind == "letter" and moment - at < timedelta(days=90):
                blob = f"{chance.getrandbits(128):032x}"
                known.blobs.append(blob)
                documents.append(
                    {"message": number, "role": "file", "position": 1, "filename": "a.pdf",
                     "mime_type": "application/pdf", "blob": blob, "size": 1, "sha256": blob * 2}
                )  # fmt: skip
        with database.write() as tx:
            tx.execute(message.insert(), rows)
            tx.execute(job.insert(), work)
            tx.execute(event.insert(), events)
            if documents:
                tx.execute(document.insert(), documents)
    if database.shared:
        with database.write() as tx:
            for table in ("message", "job", "event", "document"):
                tx.execute(
                    sa.text(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
                        f" (SELECT max(id) FROM {table}))"
                    )
                )
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as server:
            server.execute(sa.text("VACUUM ANALYZE"))
    last = next(one for one in reversed(rows) if one["kind"] == "letter")
    return replace(
        known,
        message_id=last["message_id"],
        receiver=last["receiver"],
        reference=last["reference"],
        blobs=known.blobs[-1000:],
    )


def measure_growth(
    databases: Sequence[Database], folder: Path, rows: int, accepting: Accepting
) -> None:
    """The same questions to a database with 1 000 messages, to one with as many as are
    looked through for what no index knows, and to one with a long history."""
    sizes = [(100, 900), (1000, LOOKED_THROUGH), (max(rows // 10, 1), rows)]
    acts = []
    for number, (database, (waiting, finished)) in enumerate(zip(databases, sizes, strict=True)):
        started = time.monotonic()
        known = fill(database, waiting, finished)
        acts.append(questions(database, folder / str(number), known, accepting))
        took = time.monotonic() - started
        print(f"{waiting} waiting and {finished} finished messages made in {took:.0f} s")
    print(f"  {'milliseconds with messages':32} {'1 000':>8} {LOOKED_THROUGH:8} {rows:8}   ratios")
    for name in acts[0]:
        small, middle, large = in_turn(*(one[name] for one in acts))
        print(
            f"  {name:32} {small:8.2f} {middle:8.2f} {large:8.2f}"
            f"   {large / small:.2f} {large / middle:.2f}",
            flush=True,
        )


def questions(
    database: Database, folder: Path, known: Known, accepting: Accepting
) -> dict[str, Callable[[], object]]:
    """What is asked all day."""
    blobs = BlobStore(folder)

    def reading(ask: Callable[[Connection], object]) -> Callable[[], None]:
        def act() -> None:
            with database.read() as tx:
                ask(tx)

        return act

    def listed(count_to: int = COUNTED, **asked: object) -> Callable[[], None]:
        return reading(
            lambda tx: search(tx, Filter(**asked), limit=20, count_to=count_to)  # type: ignore[arg-type]
        )

    def statuses(**asked: object) -> Callable[[], None]:
        return reading(lambda tx: overview.statuses(tx, **asked, limit=10, count_to=10_000))  # type: ignore[arg-type]

    def claim(limit: int) -> None:
        with database.write() as tx:
            for one in jobs.claim(tx, Task.SEND, now(), lease=LEASE, limit=limit):
                jobs.defer(tx, one, now() - timedelta(hours=1))

    def status(tx: Connection) -> None:
        found = messages.find(tx, message_id=known.message_id)
        assert found is not None
        messages.events(tx, found.row_id)

    def needs_a_person(tx: Connection) -> None:
        count(tx, Filter(attention=True), count_to=10_000)
        overview.quarantined(tx)

    hour = {"since": now() - timedelta(hours=1), "until": now()}
    return {
        "claim 1": lambda: claim(1),
        "claim 10": lambda: claim(10),
        "accept": accepting(database, blobs),
        "poll, something due": reading(lambda tx: jobs.any_due(tx, Task.SEND, now())),
        "poll, nothing due": reading(lambda tx: jobs.any_due(tx, Task.DELIVER, now())),
        "status by id": reading(status),
        "by the archive's id": reading(
            lambda tx: messages.find(tx, archive_conversation_id=known.message_id)
        ),
        "is it answered": reading(
            lambda tx: messages.find(
                tx,
                message.c.related_to == known.message_id,
                message.c.direction == "INCOMING",
                message.c.kind.in_(("receipt", "notice")),
                message.c.sender == known.receiver,
                message.c.receiver == OURS,
            )
        ),
        "latest 100": reading(lambda tx: messages.select(tx, limit=100)),
        "what needs a person": reading(needs_a_person),
        "how many wait": reading(lambda tx: overview.waiting(tx, Task.SEND)),
        "list": listed(),
        "list, a day": listed(since=now() - timedelta(days=1)),
        "list, failed": listed(states=(Status.FEIL,)),
        "list, to one": listed(receiver=known.receiver),
        "list, to one, waiting": listed(receiver=known.receiver, states=(Status.OPPRETTET,)),
        "list, from us to one": listed(sender=OURS, receiver=known.receiver),
        "list, by reference": listed(reference=known.reference),
        "search, id": listed(text=known.message_id),
        "search, beginning of an id": listed(text=known.message_id[:8]),
        "search, organisation": listed(text=known.receiver),
        "search, ourselves": listed(text=OURS),
        "search, in vain": listed(text="finnes ikke"),
        "list, a state that none has": listed(states=(Status.SENDT,)),
        "API, conversations": listed(count_to=10_000),
        "API, conversations to one": listed(count_to=10_000, receiver=known.receiver),
        "API, statuses": statuses(),
        "API, statuses of an hour": statuses(**hour),
        "API, failures": statuses(status="FEIL"),
        "what may be let go": reading(lambda tx: look(tx, now() - timedelta(days=90))),
        "whose are 1 000 files": reading(lambda tx: messages.blob_keys(tx, known.blobs)),
    }
