"""Three nodes on one database: each job is one node's, for as long as that node lives."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from gateway.engine.context import Policy, Served
from gateway.engine.held import Held
from gateway.model import Direction
from gateway.store import jobs, leases, messages
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message

LEASE = timedelta(seconds=0.6)


def now() -> datetime:
    return datetime.now(UTC)


def held(database: Database, name: str) -> Held:
    policy = Policy((Served("910077473", "p360"),), "p")
    context = SimpleNamespace(database=database, now=now, clock=None, policy=policy)
    one = Held(context, name, LEASE)  # type: ignore[arg-type]
    one.start()
    return one


def add_jobs(database: Database, count: int) -> None:
    with database.write() as tx:
        for number in range(count):
            stored = messages.add(
                tx,
                Message(
                    direction=Direction.OUTGOING,
                    kind=Kind.LETTER,
                    message_id=f"5b6a1c0e-0000-4000-8000-{number:012}",
                    conversation_id=f"5b6a1c0e-0000-4000-8000-{number:012}",
                    sender="910077473",
                    receiver="910075918",
                    created=now(),
                ),
            )
            jobs.add(tx, stored.row_id, Task.SEND, now())


def test_three_nodes_share_the_jobs_and_do_each_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(3)]
    add_jobs(databases[0], 60)
    done: Counter[int] = Counter()
    by_node: Counter[int] = Counter()

    def work(node: int, database: Database) -> None:
        while True:
            with database.write() as tx:
                claimed = jobs.claim(tx, Task.SEND, now(), lease=timedelta(minutes=1), limit=2)
            if not claimed:
                return
            for job in claimed:
                done[job.message] += 1
                by_node[node] += 1
                time.sleep(0.002)
                with database.write() as tx:
                    assert jobs.finish(tx, job)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(databases)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 60
    assert set(done.values()) == {1}
    for database in databases:
        database.close()


def test_a_job_that_takes_longer_than_its_lease_is_kept(database: Database) -> None:
    """Such as sending a gigabyte."""
    add_jobs(database, 1)
    node = held(database, "one")
    with database.write() as tx:
        (job,) = jobs.claim(tx, Task.SEND, now(), lease=LEASE)
    with node.job(job):
        until = time.monotonic() + 3 * LEASE.total_seconds()
        while time.monotonic() < until:
            with database.write() as tx:
                assert jobs.claim(tx, Task.SEND, now(), lease=LEASE) == []
            time.sleep(0.05)
    with database.write() as tx:
        assert jobs.finish(tx, job), "it is still ours"
    node.stop()


def test_a_renewal_that_comes_too_late_does_not_wake_a_finished_job(database: Database) -> None:
    add_jobs(database, 1)
    with database.write() as tx:
        (job,) = jobs.claim(tx, Task.SEND, now(), lease=LEASE)
        assert jobs.finish(tx, job)
        assert not jobs.renew(tx, job, now() + LEASE)
        assert jobs.waiting(tx) == {}


def test_the_job_of_a_dead_node_goes_on_elsewhere_and_the_dead_cannot_finish_it(
    database: Database,
) -> None:
    add_jobs(database, 1)
    with database.write() as tx:
        (dead,) = jobs.claim(tx, Task.SEND, now(), lease=LEASE)
    time.sleep(LEASE.total_seconds() + 0.1)
    with database.write() as tx:
        (living,) = jobs.claim(tx, Task.SEND, now(), lease=LEASE)
        assert not jobs.finish(tx, dead)
        assert jobs.finish(tx, living)


@pytest.fixture
def shared(database: Database) -> Database:
    if not database.shared:
        pytest.skip("SQLite has one node")
    return database


def test_one_node_polls_until_it_dies(shared: Database) -> None:
    one, two, three = (held(shared, name) for name in ("one", "two", "three"))
    assert one.turn("poll")
    time.sleep(2 * LEASE.total_seconds())  # a long poll
    assert not two.turn("poll")
    one._stopping.set()  # as when it is killed: nothing is given back
    one._thread.join()
    time.sleep(LEASE.total_seconds() + 0.1)
    assert three.turn("poll")
    assert not two.turn("poll")
    two.stop()
    three.stop()


def test_a_node_that_stops_gives_its_turn_back_at_once(shared: Database) -> None:
    one, two = held(shared, "one"), held(shared, "two")
    assert one.turn("poll")
    assert not two.turn("poll")
    one.stop()
    assert two.turn("poll")
    two.stop()


def test_what_was_due_by_a_clock_that_was_ahead_is_done_now(database: Database) -> None:
    """Written three hours ahead; the clock was set right while the gateway was stopped."""
    add_jobs(database, 2)
    with database.write() as tx:
        one, other = jobs.claim(tx, Task.SEND, now(), lease=LEASE, limit=2)
        assert jobs.postpone(tx, one, now() + timedelta(hours=3), "away")
        assert jobs.postpone(tx, other, now() + timedelta(minutes=50), "away")
    node = held(database, "one")
    with database.write() as tx:
        (claimed,) = jobs.claim(tx, Task.SEND, now(), lease=LEASE, limit=2)
        assert claimed.id == one.id
    node.stop()


def test_a_turn_that_was_taken_by_a_clock_that_was_ahead_is_free(database: Database) -> None:
    with database.write() as tx:
        ahead = now() + timedelta(hours=3)
        assert leases.acquire(tx, "poll", "dead", ahead, ahead + LEASE)
        assert leases.acquire(tx, "poll", "alive", now(), now() + LEASE)
        assert not leases.acquire(tx, "poll", "other", now(), now() + LEASE)
