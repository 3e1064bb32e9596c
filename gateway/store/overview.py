"""Lists and figures for people: which messages there are, and what waits.

Reading only. Lists are newest first by the time of their last event.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.model import Direction, Status
from gateway.store.arrivals import ArrivalState
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message, from_row
from gateway.store.tables import arrival, event, job, message, transfer

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ORGNR = re.compile(r"\d{9}")

CONVERSATIONS = (Kind.LETTER, Kind.RECEIPT, Kind.OTHER)
"""What the predecessor calls a conversation: everything but statuses and our own notices."""

FAILED = (Status.FEIL, Status.LEVETID_UTLOPT)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages; what is None or empty is not asked for.

    `text` is free: ``||`` means or, ``&&`` and; it finds parts of ids and statuses, and
    whole organisation numbers and references (registry-and-statuses 6.4). `attention`:
    failed and not yet marked as handled. `waiting`: kept for pick-up and not fetched.
    Times are compared with the last event.
    """

    text: str = ""
    direction: Direction | None = None
    kinds: tuple[Kind, ...] = CONVERSATIONS
    states: tuple[Status, ...] = ()
    message_id: str | None = None
    conversation_id: str | None = None
    sender: str | None = None
    receiver: str | None = None
    reference: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    attention: bool = False
    waiting: bool = False

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL on ``message``."""
        columns = message.c
        asked: list[sa.ColumnElement[bool]] = [columns.kind.in_(self.kinds)]
        for column, value in (
            (columns.direction, self.direction),
            (columns.message_id, self.message_id and self.message_id.lower()),
            (columns.sender, self.sender),
            (columns.receiver, self.receiver),
            (columns.reference, self.reference),
        ):
            if value:
                asked.append(column == value)
        if self.conversation_id:
            asked.append(_of_conversation(self.conversation_id))
        if self.states:
            asked.append(columns.state.in_(self.states))
        if self.since:
            asked.append(columns.updated >= self.since)
        if self.until:
            asked.append(columns.updated < self.until)
        if self.attention:
            failed = sa.bindparam(None, FAILED, expanding=True, literal_execute=True)
            asked += [columns.state.in_(failed), columns.handled.is_(None)]
        if self.waiting:
            asked += [
                columns.kind == sa.literal(Kind.OTHER, literal_execute=True),
                columns.state == sa.literal(Status.INNKOMMENDE_MOTTATT, literal_execute=True),
                columns.handled.is_(None),
            ]
        alternatives = [
            sa.and_(*[_term(term) for one in part.split("&&") if (term := one.strip())])
            for part in self.text.split("||")
            if part.replace("&&", "").strip()
        ]
        if alternatives:
            asked.append(sa.or_(*alternatives))
        return asked


def _of_conversation(given: str) -> sa.ColumnElement[bool]:
    return sa.or_(
        message.c.conversation_id == given.lower(), message.c.archive_conversation_id == given
    )


def _term(term: str) -> sa.ColumnElement[bool]:
    columns = message.c
    if _UUID.fullmatch(term.lower()):
        return sa.or_(columns.message_id == term.lower(), _of_conversation(term))
    if _ORGNR.fullmatch(term):
        return sa.or_(columns.sender == term, columns.receiver == term)
    return sa.or_(
        columns.message_id.icontains(term, autoescape=True),
        columns.conversation_id.icontains(term, autoescape=True),
        columns.archive_conversation_id.icontains(term, autoescape=True),
        columns.state.icontains(term, autoescape=True),
        columns.reference == term,
    )


def select(
    tx: Connection, wanted: Filter, *, limit: int, offset: int = 0, oldest_first: bool = False
) -> list[Message]:
    """One page of messages."""
    order = (
        (message.c.updated.asc(), message.c.id.asc())
        if oldest_first
        else (message.c.updated.desc(), message.c.id.desc())
    )
    rows = tx.execute(
        sa.select(message).where(*wanted.conditions()).order_by(*order).limit(limit).offset(offset)
    )
    return [from_row(row) for row in rows]


def count(tx: Connection, wanted: Filter) -> int:
    """How many there are."""
    return tx.execute(
        sa.select(sa.func.count()).select_from(message).where(*wanted.conditions())
    ).scalar_one()


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
) -> tuple[list[StatusRow], int]:
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
        asked.append(_of_conversation(conversation_id))
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
    total = tx.execute(sa.select(sa.func.count()).select_from(joined).where(*asked)).scalar_one()
    return found, total


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


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one neighbour: how many, and since when the oldest.

    `problem` is what went wrong with the one that waits longest, if anything did.
    """

    count: int
    oldest: datetime | None = None
    problem: str | None = None


def waiting(tx: Connection, task: Task) -> Waiting:
    """Messages that still have to be sent or delivered.

    A letter that the network has, and whose transfer is still watched, does not wait.
    """
    open_ = [job.c.task == task, job.c.due.isnot(None)]
    if task is Task.SEND:
        open_.append(message.c.state.in_((Status.OPPRETTET,)))
    joined = job.join(message, job.c.message == message.c.id)
    total = tx.execute(sa.select(sa.func.count()).select_from(joined).where(*open_)).scalar_one()
    if not total:
        return Waiting(0)
    oldest = tx.execute(
        sa.select(message.c.created, job.c.problem)
        .select_from(joined)
        .where(*open_)
        .order_by(message.c.created)
        .limit(1)
    ).one()
    return Waiting(total, oldest.created, oldest.problem)


def quarantined(tx: Connection) -> Sequence[sa.Row[Any]]:
    """Packages that could not be used and are kept, newest first."""
    return tx.execute(
        sa.select(arrival)
        .where(arrival.c.quarantine.isnot(None), arrival.c.state == ArrivalState.QUARANTINED)
        .order_by(arrival.c.seen.desc())
        .limit(1000)
    ).all()
