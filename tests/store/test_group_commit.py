"""Writers on SQLite share commits, and none of them is told more than is true."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from gateway.store.database import Database

INSERT = sa.text("INSERT INTO lease VALUES (:name, 'x', '2026')")


@pytest.fixture
def sqlite(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield database
    database.close()


def names(database: Database) -> set[str]:
    with database.read() as tx:
        return set(tx.execute(sa.text("SELECT name FROM lease")).scalars())


def commits(database: Database) -> list[None]:
    seen: list[None] = []

    def count(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("gateway_reads_only"):
            seen.append(None)

    sa.event.listen(database.engine, "commit", count)
    return seen


def at_once(*acts) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_those_who_wait_share_one_commit(sqlite: Database) -> None:
    seen = commits(sqlite)
    first_is_in = threading.Event()

    def first() -> None:
        with sqlite.write() as tx:
            tx.execute(INSERT, {"name": "first"})
            first_is_in.set()
            time.sleep(0.3)  # the others come meanwhile

    def other(name: str) -> None:
        first_is_in.wait()
        with sqlite.write() as tx:
            tx.execute(INSERT, {"name": name})
        assert name in names(sqlite), "durable when the block has ended"

    at_once(first, *(lambda n=n: other(f"other {n}") for n in range(8)))
    assert len(names(sqlite)) == 9
    assert len(seen) == 1


def test_one_that_fails_is_undone_alone(sqlite: Database) -> None:
    entered = threading.Event()

    def good() -> None:
        with sqlite.write() as tx:
            tx.execute(INSERT, {"name": "good"})
            entered.set()
            time.sleep(0.2)

    def bad() -> None:
        entered.wait()
        with pytest.raises(RuntimeError), sqlite.write() as tx:
            tx.execute(INSERT, {"name": "bad"})
            raise RuntimeError
        # What it saw of the other one's work was durable before it was told.
        assert names(sqlite) == {"good"}

    at_once(good, bad)
    assert names(sqlite) == {"good"}


def test_when_the_commit_fails_everybody_is_told(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = threading.Event()
    told: list[str] = []

    def fail(_connection: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    def write(name: str, wait: bool) -> None:
        if wait:
            entered.wait()
        try:
            with sqlite.write() as tx:
                tx.execute(INSERT, {"name": name})
                entered.set()
                time.sleep(0.2)
        except OperationalError:
            told.append(name)

    monkeypatch.setattr(sqlite.engine.dialect, "do_commit", fail)
    at_once(lambda: write("a", False), lambda: write("b", True))
    monkeypatch.undo()
    assert sorted(told) == ["a", "b"]
    assert names(sqlite) == set()
    with sqlite.write() as tx:  # and it goes on afterwards
        tx.execute(INSERT, {"name": "c"})
    assert names(sqlite) == {"c"}


def test_many_writers_lose_nothing(sqlite: Database) -> None:
    def many(writer: int) -> None:
        for number in range(30):
            with sqlite.write() as tx:
                tx.execute(INSERT, {"name": f"{writer}/{number}"})

    at_once(*(lambda w=w: many(w) for w in range(12)))
    assert len(names(sqlite)) == 360
