"""What the sleeping workers are woken for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from test_nodes import add_jobs

from gateway.lifecycle import Circuit
from gateway.store import circuits, due, jobs
from gateway.store.database import Database
from gateway.store.due import Due
from gateway.store.jobs import Task

LEASE = timedelta(minutes=1)
NOTHING = Due(frozenset(), neighbours=False)


def test_each_task_is_due_when_its_time_has_come_and_not_before(database: Database) -> None:
    add_jobs(database, 1)
    now = datetime.now(UTC)
    with database.write() as tx:
        (job,) = jobs.claim(tx, Task.SEND, now, lease=LEASE)
        jobs.add(tx, job.message, Task.EXPIRE, now + timedelta(hours=24))
    with database.read() as tx:
        assert due.look(tx, now) == NOTHING, "somebody has it"
        assert due.look(tx, now + LEASE).tasks == {Task.SEND}, "who had it is dead"
        later = now + timedelta(hours=24)
        assert due.look(tx, later).tasks == {Task.SEND, Task.EXPIRE}
    with database.write() as tx:
        assert jobs.finish(tx, job)
    with database.read() as tx:
        assert due.look(tx, now + LEASE) == NOTHING


def test_a_neighbour_is_tried_again_when_its_time_has_come(database: Database) -> None:
    now = datetime.now(UTC)
    again = now + timedelta(seconds=20)
    with database.write() as tx:
        circuits.record(tx, "archive 910075918", Circuit(3, now, again), "away")
    with database.read() as tx:
        assert due.look(tx, now) == NOTHING
        assert due.look(tx, again) == Due(frozenset(), neighbours=True)
