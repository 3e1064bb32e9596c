"""Circuits where several nodes see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from test_nodes import add_jobs

from gateway.lifecycle import Circuit
from gateway.store import circuits, jobs
from gateway.store.database import Database
from gateway.store.jobs import Job, Task

NAME = "archive 910075918"
LEASE = timedelta(minutes=1)


@pytest.fixture
def two(database: Database) -> tuple[Job, Job]:
    """Two jobs, claimed by two nodes."""
    add_jobs(database, 2)
    with database.write() as tx:
        one, other = jobs.claim(tx, Task.SEND, datetime.now(UTC), lease=LEASE, limit=2)
    return one, other


def test_one_tries_and_when_it_dies_another_may(database: Database, two: tuple[Job, Job]) -> None:
    one, other = two
    now = datetime.now(UTC)
    with database.write() as tx:
        circuits.record(tx, NAME, Circuit(3, now, now + timedelta(seconds=20)), "away")
        assert not circuits.take_probe(tx, NAME, one, now), "too early"
        now += timedelta(seconds=21)
        assert circuits.due(tx, now) == [NAME]
        assert circuits.take_probe(tx, NAME, one, now)
        assert not circuits.take_probe(tx, NAME, other, now)
        assert circuits.due(tx, now) == [], "somebody tries already"
        assert jobs.renew(tx, other, now + timedelta(hours=1))
    now += LEASE
    with database.write() as tx:
        assert circuits.take_probe(tx, NAME, other, now)
        assert circuits.is_probe(tx, NAME, other)


def test_what_waits_is_due_when_it_closes_and_not_before(
    database: Database, two: tuple[Job, Job]
) -> None:
    now = datetime.now(UTC)
    with database.write() as tx:
        circuits.record(tx, NAME, Circuit(3, now, now + timedelta(seconds=20)), "away")
        for job in two:
            assert jobs.park(tx, job, now + timedelta(hours=1), NAME)
        assert not jobs.any_due(tx, Task.SEND, now)
        (trouble,) = circuits.troubles(tx)
        assert (trouble.waiting, trouble.problem) == (2, "away")
        assert circuits.wake_one(tx, NAME, now)
        assert len(jobs.claim(tx, Task.SEND, now, lease=LEASE, limit=9)) == 1
        assert circuits.close(tx, NAME, now) == 1
        assert circuits.find(tx, NAME) is None
        assert len(jobs.claim(tx, Task.SEND, now, lease=LEASE, limit=9)) == 1
        assert not circuits.wake_one(tx, NAME, now)
