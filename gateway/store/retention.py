"""Letting go of documents whose message is over, by age and state.

The message, its timeline and its checksums stay; the content goes. Nothing that still
needs a person is touched: what failed and was not marked handled, what is kept for
pick-up, what has work left.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.model import Status
from gateway.store.messages import Kind
from gateway.store.tables import document, event, job, message

_OVER = (
    Status.LEST,
    Status.LEVERT,
    Status.MOTTATT,
    Status.SENDT,
    Status.INNKOMMENDE_LEVERT,
    Status.LEVETID_UTLOPT,
)


def let_go(tx: Connection, before: datetime, now: datetime, limit: int = 200) -> list[str] | None:
    """Remove the documents of some messages that were over `before`.

    The blob keys that no row refers to any more; None when nothing was left to do. The
    caller deletes the files after the commit: a killed process then leaves files without
    rows, which the sweep finds, and never a row without its file.
    """
    working = sa.exists().where(job.c.message == message.c.id, job.c.due.isnot(None))
    over = sa.or_(
        message.c.handled.isnot(None),
        sa.and_(message.c.state.in_(_OVER), message.c.kind != Kind.OTHER),
    )
    found = list(
        tx.execute(
            sa.select(document.c.message)
            .join(message, message.c.id == document.c.message)
            .where(message.c.updated < before, over, ~working)
            .group_by(document.c.message)
            .order_by(document.c.message)
            .limit(limit)
        ).scalars()
    )
    if not found:
        return None
    keys = list(
        tx.execute(sa.select(document.c.blob).where(document.c.message.in_(found))).scalars()
    )
    tx.execute(document.delete().where(document.c.message.in_(found)))
    days = (now - before).days
    # Not through `messages.add_event`: that would put old messages on top of every list.
    tx.execute(
        event.insert(),
        [
            {
                "message": one,
                "at": now,
                "status": Status.ANNET,
                "description": f"Dokumentene er slettet etter {days} dager",
            }
            for one in found
        ],
    )
    still = set(tx.execute(sa.select(document.c.blob).where(document.c.blob.in_(keys))).scalars())
    return [key for key in keys if key not in still]
