"""What became of every package that the network offered us."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.store.tables import arrival


class ArrivalState(StrEnum):
    """How far we are with an offered package."""

    SEEN = "seen"
    STORED = "stored"
    CONFIRMED = "confirmed"
    QUARANTINED = "quarantined"
    GONE = "gone"
    """The network had dropped it before we had it."""


def state(tx: Connection, transfer_id: str) -> ArrivalState | None:
    """How far we are; None when it was never seen."""
    value = tx.execute(
        sa.select(arrival.c.state).where(arrival.c.transfer_id == transfer_id)
    ).scalar()
    return None if value is None else ArrivalState(value)


def record(
    tx: Connection,
    transfer_id: str,
    party: str,
    new: ArrivalState,
    now: datetime,
    *,
    problem: str | None = None,
    quarantine: str | None = None,
) -> None:
    """Set the state of a package."""
    values = {"state": new, "problem": problem}
    if quarantine is not None:
        values["quarantine"] = quarantine
    if state(tx, transfer_id) is None:
        tx.execute(
            arrival.insert().values(transfer_id=transfer_id, party=party, seen=now, **values)
        )
    else:
        tx.execute(arrival.update().where(arrival.c.transfer_id == transfer_id).values(**values))


def failed(tx: Connection, transfer_id: str, party: str, now: datetime, problem: str) -> int:
    """Count a failure to take it in; how many there were now."""
    if state(tx, transfer_id) is None:
        record(tx, transfer_id, party, ArrivalState.SEEN, now, problem=problem)
    tx.execute(
        arrival.update()
        .where(arrival.c.transfer_id == transfer_id)
        .values(failures=arrival.c.failures + 1, problem=problem)
    )
    failures = tx.execute(
        sa.select(arrival.c.failures).where(arrival.c.transfer_id == transfer_id)
    ).scalar_one()
    return int(failures)


def quarantined(tx: Connection) -> set[str]:
    """Blob keys of packages kept for the operator."""
    return set(
        tx.execute(
            sa.select(arrival.c.quarantine).where(arrival.c.quarantine.isnot(None))
        ).scalars()
    )
