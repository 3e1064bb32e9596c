"""Who does the work that only one node at a time should do; there is no leader."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from gateway.store.tables import lease


def acquire(tx: Connection, name: str, holder: str, now: datetime, until: datetime) -> bool:
    """Take or prolong `name` for `holder`; False while somebody else has it.

    One that lasts much longer than is asked for now was taken by a clock that was ahead.
    """
    absurd = lease.c.until > until + 10 * (until - now)
    over = sa.or_(lease.c.holder == holder, lease.c.until <= now, absurd)
    taken = tx.execute(
        lease.update().where(lease.c.name == name, over).values(holder=holder, until=until)
    )
    if taken.rowcount == 1:
        return True
    if holder_of(tx, name) is not None:
        return False
    try:
        with tx.begin_nested():
            tx.execute(lease.insert().values(name=name, holder=holder, until=until))
    except IntegrityError:  # another node was faster
        return False
    return True


def release(tx: Connection, name: str, holder: str) -> None:
    """Let others have it at once."""
    tx.execute(lease.delete().where(lease.c.name == name, lease.c.holder == holder))


def holder_of(tx: Connection, name: str) -> str | None:
    """Who had it last."""
    return tx.execute(sa.select(lease.c.holder).where(lease.c.name == name)).scalar()
