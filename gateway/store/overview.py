"""What people see of messages beside the lists: timelines, work, and figures.

Reading only. Lists of messages are in `gateway.store.search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.model import Status
from gateway.store.arrivals import ArrivalState
from gateway.store.jobs import Task
from gateway.store.messages import Message, from_row
from gateway.store.search import CONVERSATIONS, FAILED, Count, counted, of_conversation
from gateway.store.tables import arrival, event, job, message, transfer


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One entry of a timeline, with the message it belongs to."""

    id: int
    message: int
    at: datetime
    status: Status
    description: str | None
    message_id: str
    conversation_id: str


def statuses(
    tx: Connection,
    *,
    id: int | None = None,
    message_id: str | None = None,
    conversation_id: str | None = None,
    status: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int,
    offset: int = 0,
    newest_first: bool = False,
    count_to: int,
) -> tuple[list[StatusRow], Count]:
    """Entries of timelines of conversations, and how many there are in all."""
    asked: list[sa.ColumnElement[bool]] = [message.c.kind.in_(CONVERSATIONS)]
    for column, value in (
        (event.c.id, id),
        (message.c.message_id, message_id and message_id.lower()),
        (event.c.status, status and status.upper()),
    ):
        if value is not None:
            asked.append(column == value)
    if conversation_id is not None:
        asked.append(of_conversation(conversation_id))
    if status is not None and status.upper() in FAILED:  # as its index spells it
        failed = sa.bindparam(None, FAILED, expanding=True, literal_execute=True)
        asked.append(event.c.status.in_(failed))
    if since is not None:
        asked.append(event.c.at >= since)
    if until is not None:
        asked.append(event.c.at <= until)
    joined = event.join(message, event.c.message == message.c.id)
    rows = tx.execute(
        sa.select(
            event.c.id,
            event.c.message,
            event.c.at,
            event.c.status,
            event.c.description,
            message.c.message_id,
            message.c.conversation_id,
        )
        .select_from(joined)
        .where(*asked)
        .order_by(event.c.id.desc() if newest_first else event.c.id)
        .limit(limit)
        .offset(offset)
    )
    found = [
        StatusRow(
            row.id,
            row.message,
            row.at,
            Status(row.status),
            row.description,
            row.message_id,
            row.conversation_id,
        )
        for row in rows
    ]
    if found and len(found) < limit:  # the last page
        return found, Count(offset + len(found))
    entries = sa.select(event.c.id).select_from(joined).where(*asked)
    return found, counted(tx, entries, max(count_to, offset + len(found)))


# --- what is being done about one message ---------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """A job as a person sees it. `due` None: done. `waits_for`: an open circuit."""

    id: int
    task: Task
    due: datetime | None
    held: bool
    attempt: int
    failures: int
    problem: str | None
    unclear: datetime | None
    waits_for: str | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """One journey of a message's package on the network."""

    transfer_id: str
    created: datetime
    uploaded: datetime | None
    abandoned: datetime | None


def work(tx: Connection, row_id: int) -> list[Work]:
    """The jobs of a message."""
    rows = tx.execute(sa.select(job).where(job.c.message == row_id).order_by(job.c.id))
    return [
        Work(
            row.id,
            Task(row.task),
            row.due,
            row.held,
            row.attempt,
            row.failures,
            row.problem,
            row.unclear,
            row.waits_for,
        )
        for row in rows
    ]


def transfers(tx: Connection, row_id: int) -> list[Transfer]:
    """The transfers of a message, the first one first."""
    rows = tx.execute(
        sa.select(transfer).where(transfer.c.message == row_id).order_by(transfer.c.created)
    )
    return [Transfer(row.transfer_id, row.created, row.uploaded, row.abandoned) for row in rows]


def timelines(tx: Connection, row_ids: Sequence[int]) -> dict[int, list[StatusRow]]:
    """The timelines of several messages at once."""
    rows = tx.execute(
        sa.select(event, message.c.message_id, message.c.conversation_id)
        .select_from(event.join(message, event.c.message == message.c.id))
        .where(event.c.message.in_(row_ids))
        .order_by(event.c.id)
    )
    found: dict[int, list[StatusRow]] = {row_id: [] for row_id in row_ids}
    for row in rows:
        found[row.message].append(
            StatusRow(
                row.id,
                row.message,
                row.at,
                Status(row.status),
                row.description,
                row.message_id,
                row.conversation_id,
            )
        )
    return found


def related(tx: Connection, about: Message) -> list[Message]:
    """Everything else of the same conversation, oldest first: receipts, statuses, notices."""
    rows = tx.execute(
        sa.select(message)
        .where(message.c.conversation_id == about.conversation_id, message.c.id != about.row_id)
        .order_by(message.c.id)
        .limit(200)
    )
    return [from_row(row) for row in rows]


# --- figures --------------------------------------------------------------------------

COUNTED_WAITING = 10_000
"""So far what waits is counted; monitors ask for it all day."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one neighbour: how many, and since when the oldest.

    `problem` is what went wrong with the one that waits longest, if anything did. When
    `count` stopped, the oldest is that of the ones that are due first.
    """

    count: Count
    oldest: datetime | None = None
    problem: str | None = None


def waiting(tx: Connection, task: Task, *, count_to: int = COUNTED_WAITING) -> Waiting:
    """Messages that still have to be sent or delivered.

    A letter that the network has, and whose transfer is still watched, does not wait.
    """
    open_ = [job.c.task == task, job.c.due.isnot(None)]
    if task is Task.SEND:
        open_.append(message.c.state == Status.OPPRETTET)
    some = (
        sa.select(message.c.created, job.c.problem)
        .select_from(job.join(message, job.c.message == message.c.id))
        .where(*open_)
        .order_by(job.c.due)
        .limit(count_to + 1)
        .subquery()
    )
    oldest = tx.execute(
        sa.select(some, sa.func.count().over().label("number")).order_by(some.c.created).limit(1)
    ).first()
    if oldest is None:
        return Waiting(Count(0))
    count = Count(min(oldest.number, count_to), oldest.number > count_to)
    return Waiting(count, oldest.created, oldest.problem)


def quarantined(tx: Connection) -> Sequence[sa.Row[Any]]:
    """Packages that could not be used and are kept, newest first."""
    return tx.execute(
        sa.select(arrival)
        .where(arrival.c.quarantine.isnot(None), arrival.c.state == ArrivalState.QUARANTINED)
        .order_by(arrival.c.seen.desc())
        .limit(1000)
    ).all()
