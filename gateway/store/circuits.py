"""Neighbours that are away, remembered where every node sees it (`lifecycle.Circuit`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from gateway.lifecycle import Circuit
from gateway.store.jobs import Job
from gateway.store.tables import circuit, job


@dataclass(frozen=True, slots=True)
class Trouble:
    """An open circuit as a person sees it: `waiting` messages, and what happened last."""

    name: str
    circuit: Circuit
    problem: str
    waiting: int


_FIND = sa.select(circuit.c.outages, circuit.c.since, circuit.c.probe_at).where(
    circuit.c.name == sa.bindparam("called")
)
_FIND_LOCKED = _FIND.with_for_update()


def find(tx: Connection, name: str, *, lock: bool = False) -> Circuit | None:
    """None when the neighbour was there the last time.

    `lock`: nobody closes it before this transaction has ended, so that what begins to
    wait in it is not forgotten.
    """
    row = tx.execute(_FIND_LOCKED if lock else _FIND, {"called": name}).first()
    return None if row is None else Circuit(*row)


def problem(tx: Connection, name: str) -> str:
    """What happened the last time that somebody tried; empty when the neighbour was there."""
    return tx.execute(sa.select(circuit.c.problem).where(circuit.c.name == name)).scalar() or ""


def is_probe(tx: Connection, name: str, ours: Job) -> bool:
    """Whether `ours` is the one that tries."""
    return (
        tx.execute(
            sa.select(circuit.c.name).where(circuit.c.name == name, circuit.c.probe == ours.id)
        ).first()
        is not None
    )


def take_probe(tx: Connection, name: str, ours: Job, now: datetime) -> bool:
    """Be the one that tries; False when it is too early or somebody else does.

    Who died trying has lost its lease, and the next one may.
    """
    taken = tx.execute(
        circuit.update()
        .where(circuit.c.name == name, circuit.c.probe_at <= now, ~_somebody_tries(now, ours.id))
        .values(probe=ours.id)
    )
    return taken.rowcount == 1


def _somebody_tries(now: datetime, but: int | None = None) -> sa.ColumnElement[bool]:
    alive = [job.c.id == circuit.c.probe, job.c.held.is_(True), job.c.due > now]
    return sa.exists().where(*alive, job.c.id != but if but is not None else sa.true())


def record(tx: Connection, name: str, new: Circuit, problem: str) -> None:
    """Write what an outage made of it; whoever tried, does so no more."""
    values = {
        "outages": new.outages,
        "since": new.since,
        "probe_at": new.probe_at,
        "probe": None,
        "problem": problem,
    }
    if tx.execute(circuit.update().where(circuit.c.name == name).values(**values)).rowcount:
        return
    try:
        with tx.begin_nested():
            tx.execute(circuit.insert().values(name=name, **values))
    except IntegrityError:  # another node met the same outage at the same moment
        pass


def close(tx: Connection, name: str, now: datetime) -> int:
    """The neighbour is there: everything that waited for it is due; how much that is."""
    tx.execute(circuit.delete().where(circuit.c.name == name))
    return tx.execute(
        job.update().where(job.c.waits_for == name).values(due=now, waits_for=None)
    ).rowcount


def try_now(tx: Connection, name: str, now: datetime) -> None:
    """Let the next message try, without waiting for the time of the next probe."""
    tx.execute(
        circuit.update()
        .where(circuit.c.name == name, circuit.c.probe_at > now)
        .values(probe_at=now, probe=None)
    )


def pull_back(tx: Connection, latest: datetime, now: datetime) -> None:
    """As `jobs.pull_back`: let somebody try what is to be tried only after `latest`."""
    tx.execute(circuit.update().where(circuit.c.probe_at > latest).values(probe_at=now))


def due(tx: Connection, now: datetime) -> Sequence[str]:
    """Those that somebody should try, and nobody does."""
    return (
        tx.execute(
            sa.select(circuit.c.name).where(circuit.c.probe_at <= now, ~_somebody_tries(now))
        )
        .scalars()
        .all()
    )


def wake_one(tx: Connection, name: str, now: datetime) -> bool:
    """Make one of those that wait due: whoever had the fewest attempts, then the oldest.

    False when nobody waits.
    """
    chosen = (
        sa.select(job.c.id)
        .where(job.c.waits_for == name)
        .order_by(job.c.attempt, job.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    woken = tx.execute(job.update().where(job.c.id == chosen).values(due=now, waits_for=None))
    return woken.rowcount == 1


def troubles(tx: Connection) -> list[Trouble]:
    """All open circuits, the longest open first."""
    waiting = (
        sa.select(sa.func.count())
        .where(job.c.waits_for == circuit.c.name)
        .correlate(circuit)
        .scalar_subquery()
    )
    rows = tx.execute(
        sa.select(circuit, waiting.label("waiting"))
        .where(circuit.c.probe_at.isnot(None))
        .order_by(circuit.c.since)
    )
    return [
        Trouble(row.name, Circuit(row.outages, row.since, row.probe_at), row.problem, row.waiting)
        for row in rows
    ]
