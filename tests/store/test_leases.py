"""One node at a time does what only one should do."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from gateway.store import leases
from gateway.store.database import Database

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def take(database: Database, holder: str, now: datetime) -> bool:
    with database.write() as tx:
        return leases.acquire(tx, "poll 910077473", holder, now, now + MINUTE)


def test_a_lease_is_its_holders_until_it_ends(database: Database) -> None:
    assert take(database, "one", NOW)
    assert not take(database, "two", NOW + MINUTE / 2)
    assert take(database, "one", NOW + MINUTE / 2), "the holder may prolong it"
    assert not take(database, "two", NOW + MINUTE)
    assert take(database, "two", NOW + 2 * MINUTE), "the lease of a dead node ends"
    assert not take(database, "one", NOW + 2 * MINUTE)


def test_a_released_lease_is_free_at_once(database: Database) -> None:
    assert take(database, "one", NOW)
    with database.write() as tx:
        leases.release(tx, "poll 910077473", "two")
        leases.release(tx, "poll 910077473", "one")
    assert take(database, "two", NOW)


def test_of_many_that_ask_at_once_one_gets_it(database: Database) -> None:
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda name=f"node {n}": answers.append(take(database, name, NOW)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]
