"""Work to be done on messages, claimed with a lease.

``due`` means both "not before" and "the lease ends": a worker that dies simply lets its
job become due again, and no reaper is needed (performance 0, decision 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.store.tables import job, transfer


class Task(StrEnum):
    """What is to be done with a message."""

    SEND = "send"
    DELIVER = "deliver"
    EXPIRE = "expire"
    """See at its deadline whether a letter has arrived."""
    RECEIPT = "receipt"
    """See whether the archive has sent its own AppReceipt for a letter that it took."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. It is ours only while the row's attempt is `attempt`."""

    id: int
    message: int
    task: Task
    attempt: int
    failures: int
    unclear: datetime | None = None
    """Since when the other side may have acted without our knowing (`begin`)."""


_ADD = job.insert().from_select(
    ["message", "task", "due"],
    sa.select(
        sa.bindparam("to_message", type_=job.c.message.type),
        sa.bindparam("new_task", type_=job.c.task.type),
        sa.bindparam("when", type_=job.c.due.type),
    ).where(
        ~sa.exists().where(
            job.c.message == sa.bindparam("to_message"), job.c.task == sa.bindparam("new_task")
        )
    ),
)


def add(tx: Connection, message: int, task: Task, due: datetime) -> None:
    """Ask for `task`; harmless when it was asked for before."""
    add_all(tx, [(message, task, due)])


def add_all(tx: Connection, asked: Iterable[tuple[int, Task, datetime]]) -> None:
    """Ask for several tasks of several messages, as `add` does."""
    values = [
        {"to_message": message, "new_task": task, "when": due} for message, task, due in asked
    ]
    if values:
        tx.execute(_ADD, values)


def claim(
    tx: Connection, task: Task, now: datetime, *, lease: timedelta, limit: int = 1
) -> list[Job]:
    """Take due jobs for the time of `lease`, the longest waiting first."""
    rows = tx.execute(_claimable(limit), {"asked": task, "now": now}).all()
    claimed = [
        Job(row.id, row.message, Task(row.task), row.attempt + 1, row.failures, row.unclear)
        for row in rows
    ]
    if claimed:
        tx.execute(
            job.update()
            .where(job.c.id.in_([one.id for one in claimed]))
            .values(due=now + lease, attempt=job.c.attempt + 1, held=True, waits_for=None)
        )
    return claimed


def renew(tx: Connection, ours: Job, until: datetime) -> bool:
    """Keep a job that takes long; False when it is done or somebody else has it."""
    result = tx.execute(
        job.update()
        .where(job.c.id == ours.id, job.c.attempt == ours.attempt, job.c.held.is_(True))
        .values(due=until)
    )
    return result.rowcount == 1


def any_due(tx: Connection, task: Task, now: datetime) -> bool:
    """Whether claiming is worth a write lock."""
    return tx.execute(_due(1), {"asked": task, "now": now}).first() is not None


@cache
def _due(limit: int) -> sa.Select[Any]:
    """The jobs of the task ``asked`` that are due ``now``, the longest waiting first."""
    return (
        sa.select(job.c.id)
        .where(job.c.due <= sa.bindparam("now"), job.c.task == sa.bindparam("asked"))
        .order_by(job.c.due)
        .limit(sa.literal_column(str(int(limit))))  # never bound (performance 2.3)
    )


@cache
def _claimable(limit: int) -> sa.Select[Any]:
    return _due(limit).with_only_columns(*job.c).with_for_update(skip_locked=True)


_OURS = (job.c.id == sa.bindparam("claimed"), job.c.attempt == sa.bindparam("our_attempt"))
_HELD = sa.select(job.c.id).where(*_OURS, job.c.held.is_(True)).with_for_update()


def is_ours(tx: Connection, claimed: Job) -> bool:
    """Whether the lease still holds; nobody takes the job before this transaction ends."""
    ours = {"claimed": claimed.id, "our_attempt": claimed.attempt}
    return tx.execute(_HELD, ours).first() is not None


def begin(tx: Connection, ours: Job, now: datetime) -> bool:
    """Remember that the other side is about to act; False when the lease was lost."""
    return _update(tx, ours, unclear=now)


def finish(tx: Connection, done: Job) -> bool:
    """Mark it done; False when the lease was lost and somebody else has it."""
    return _update(tx, done, due=None, held=False, problem=None, unclear=None)


def postpone(
    tx: Connection, failed: Job, due: datetime, problem: str, *, unclear: bool = False
) -> bool:
    """Try again at `due`; False when the lease was lost.

    `unclear`: nobody knows whether the other side acted, so what `begin` noted stays.
    """
    columns: dict[str, object] = {} if unclear else {"unclear": None}
    return _update(
        tx,
        failed,
        due=due,
        held=False,
        problem=problem,
        failures=failed.failures + 1,
        **columns,
    )


def defer(tx: Connection, waiting: Job, due: datetime) -> bool:
    """Look again at `due`; not a failure."""
    return _update(tx, waiting, due=due, held=False)


def park(tx: Connection, ours: Job, due: datetime, circuit: str) -> bool:
    """Wait until `circuit` closes, at the longest until `due`; not a failure."""
    return _update(tx, ours, due=due, held=False, waits_for=circuit)


def wake(tx: Connection, message: int, task: Task, due: datetime) -> None:
    """Make a job due earlier; one that is done or in somebody's hands is left alone."""
    tx.execute(
        job.update()
        .where(
            job.c.message == message,
            job.c.task == task,
            job.c.due > due,
            job.c.held.is_(False),
        )
        .values(due=due)
    )


def cancel(tx: Connection, message: int, task: Task) -> None:
    """There is no need for it any more; harmless when it is done or was never asked for."""
    tx.execute(
        job.update()
        .where(job.c.message == message, job.c.task == task, job.c.due.isnot(None))
        .values(due=None, held=False, waits_for=None, attempt=job.c.attempt + 1)
    )


def pull_back(tx: Connection, latest: datetime, now: datetime) -> int:
    """Make due what is to be sent or delivered, but only after `latest`; how many.

    No retry is that far away: the clock was ahead when it was written.
    """
    return tx.execute(
        job.update()
        .where(job.c.task.in_((Task.SEND, Task.DELIVER)), job.c.due > latest)
        .values(due=now)
    ).rowcount


def waiting(tx: Connection) -> dict[Task, int]:
    """How many jobs of each task are not done."""
    rows = tx.execute(
        sa.select(job.c.task, sa.func.count()).where(job.c.due.isnot(None)).group_by(job.c.task)
    )
    return {Task(task): count for task, count in rows}


def open_transfer(tx: Connection, message: int) -> str | None:
    """The transfer that carries this message's package, if one was announced."""
    return tx.execute(
        sa.select(transfer.c.transfer_id)
        .where(transfer.c.message == message, transfer.c.abandoned.is_(None))
        .order_by(transfer.c.created.desc())
        .limit(1)
    ).scalar()


def announce_transfer(tx: Connection, message: int, transfer_id: str, now: datetime) -> None:
    """Remember the transfer id between announcing and uploading (altinn-transport 6.3)."""
    tx.execute(transfer.insert().values(transfer_id=transfer_id, message=message, created=now))


def close_transfer(tx: Connection, transfer_id: str, now: datetime, *, uploaded: bool) -> None:
    """Record that the network has the package, or that this transfer is dead."""
    column = "uploaded" if uploaded else "abandoned"
    tx.execute(
        transfer.update().where(transfer.c.transfer_id == transfer_id).values(**{column: now})
    )


def _update(tx: Connection, ours: Job, **columns: object) -> bool:
    values = {**columns, "claimed": ours.id, "our_attempt": ours.attempt}
    return tx.execute(_setting(tuple(columns)), values).rowcount == 1


@cache
def _setting(columns: tuple[str, ...]) -> sa.Update:
    """Made once for each set of columns: making it takes longer than running it."""
    return job.update().where(*_OURS).values({name: sa.bindparam(name) for name in columns})


def dropped_transfers(tx: Connection, message: int) -> int:
    """How many of its transfers the network had whole and then threw away."""
    dropped = (
        transfer.c.message == message,
        transfer.c.uploaded.is_not(None),
        transfer.c.abandoned.is_not(None),
    )
    return tx.execute(sa.select(sa.func.count()).select_from(transfer).where(*dropped)).scalar_one()
