"""Letting go of documents whose message is over, by age and state.

The message, its timeline and its checksums stay; the content goes. Nothing that still
needs a person is touched: what failed and was not marked handled, what is kept for
pick-up, what has work left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Slice:
    """Some messages that have documents, in the order in which they came.

    `over` are those whose documents may go; `end` is where the next slice begins. With
    `last` everything after this is too young.
    """

    over: list[int]
    end: int
    last: bool


def look(tx: Connection, before: datetime, after: int = 0, limit: int = 1000) -> Slice:
    """The next messages that have documents, and which of them were over `before`.

    It follows the documents that are kept, not the messages that have none any more, so
    what was let go long ago costs nothing.
    """
    documented = (
        sa.select(document.c.message)
        .where(document.c.message > after)
        .distinct()
        .order_by(document.c.message)
        .limit(limit)
        .subquery()
    )
    rows = tx.execute(
        sa.select(
            message.c.id,
            message.c.created < before,
            _was_over(before),
        )
        .select_from(documented.join(message, message.c.id == documented.c.message))
        .order_by(message.c.id)
    ).all()
    return Slice(
        [row_id for row_id, _, is_over in rows if is_over],
        rows[-1][0] if rows else after,
        len(rows) < limit or not any(is_old for _, is_old, _ in rows),
    )


def _was_over(before: datetime) -> sa.ColumnElement[bool]:
    working = sa.exists().where(job.c.message == message.c.id, job.c.due.isnot(None))
    over = sa.or_(
        message.c.handled.isnot(None),
        sa.and_(message.c.state.in_(_OVER), message.c.kind != Kind.OTHER),
    )
    return sa.and_(message.c.updated < before, over, ~working)


def let_go(tx: Connection, found: Sequence[int], before: datetime, now: datetime) -> list[str]:
    """Remove the documents of those that `look` has found and that are still over.

    The blob keys that no row refers to any more. The caller deletes the files after the
    commit: a killed process then leaves files without rows, which the sweep finds, and
    never a row without its file.
    """
    still_over = sa.select(message.c.id).where(message.c.id.in_(found), _was_over(before))
    over = list(tx.execute(still_over.order_by(message.c.id)).scalars())
    if not over:
        return []
    keys = list(
        tx.execute(sa.select(document.c.blob).where(document.c.message.in_(over))).scalars()
    )
    tx.execute(document.delete().where(document.c.message.in_(over)))
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
            for one in over
        ],
    )
    still = set(tx.execute(sa.select(document.c.blob).where(document.c.blob.in_(keys))).scalars())
    return [key for key in keys if key not in still]
