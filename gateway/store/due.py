"""What has become due, asked in one statement: it is asked every second of the year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.store.jobs import Task
from gateway.store.tables import circuit, job

_NOW = sa.bindparam("now", type_=job.c.due.type)
_NEIGHBOUR = "neighbour"


@dataclass(frozen=True, slots=True)
class Due:
    """`tasks` of which there is a job to be done now; `neighbours`: one may be tried again."""

    tasks: frozenset[Task]
    neighbours: bool


def _first_due(task: Task) -> sa.ScalarSelect[Any]:
    # In the order of the index, or a server may prefer to read the whole table.
    found = sa.select(job.c.id).where(job.c.task == task, job.c.due <= _NOW).order_by(job.c.due)
    return found.limit(sa.literal_column("1")).scalar_subquery()


_DUE = sa.select(
    *(_first_due(task).label(task) for task in Task),
    sa.exists().where(circuit.c.probe_at <= _NOW).label(_NEIGHBOUR),
)


def look(tx: Connection, now: datetime) -> Due:
    """As `jobs.any_due` for every task."""
    row = tx.execute(_DUE, {"now": now}).one()._mapping
    return Due(frozenset(task for task in Task if row[task] is not None), bool(row[_NEIGHBOUR]))
