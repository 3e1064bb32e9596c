"""What is asked again and again costs the same however long the history is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.store import arrivals, jobs, messages, overview
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.overview import Filter

NOW = datetime(2026, 11, 24, tzinfo=UTC)

ASKED: dict[str, Callable[[Connection], object]] = {
    "is there work": lambda tx: jobs.any_due(tx, Task.SEND, NOW),
    "what needs a person": lambda tx: overview.count(tx, Filter(attention=True)),
    "what is kept for pick-up": lambda tx: overview.count(tx, Filter(waiting=True)),
    "which packages could not be used": overview.quarantined,
    "which packages are kept": arrivals.quarantined,
    "is it a repetition": lambda tx: messages.find(tx, duplicate_key="out|x|910075918"),
    "was this package seen": lambda tx: arrivals.state(tx, "x"),
    "the list": lambda tx: overview.select(tx, Filter(), limit=50),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_no_table_is_read_from_end_to_end(
    tmp_path: object, ask: Callable[[Connection], object]
) -> None:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    asked: list[tuple[str, object]] = []

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def listen(_connection: object, _cursor: object, sql: str, values: object, *_: object) -> None:
        asked.append((sql, values))

    with database.read() as tx:
        ask(tx)
        (sql, values) = asked[-1]
        plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
    database.close()
    assert [step for step in plan if step.startswith("SCAN") and "USING INDEX" not in step] == []
