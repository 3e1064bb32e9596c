"""Finding messages for people and scripts, at a price that history does not raise.

Lists are newest first by the time of their last event. Two things are bounded, and a `Page`
says so whenever a bound was met: how far a total is counted, and how many messages are
looked through for what no index knows. docs/lists.md tells operators.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.model import Direction, Status
from gateway.store.messages import Kind, Message, from_row
from gateway.store.tables import message

CONVERSATIONS = (Kind.LETTER, Kind.RECEIPT, Kind.OTHER)
"""What the predecessor calls a conversation: everything but statuses and our own notices."""

FAILED = (Status.FEIL, Status.LEVETID_UTLOPT)

COUNTED = 1000
"""So far a list's total is counted for a person."""

LOOKED_THROUGH = 50_000
"""So many messages are looked through for what no index knows."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,27}")
_REFERENCE = re.compile(r"\S*\d-\d+")
_ORGNR = re.compile(r"\d{9}")

_Condition = sa.ColumnElement[bool]
_Column = sa.Column[Any]
_Rows = sa.Select[Any] | sa.CompoundSelect[Any]


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


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; with `more`, counting stopped here and there are more."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"more than {self.number}" if self.more else str(self.number)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and how many there are in all.

    `back_to`: only messages with their last event at this time or later were looked
    through; None when nothing was left out.
    """

    messages: Sequence[Message]
    total: Count
    back_to: datetime | None = None


def search(
    tx: Connection,
    wanted: Filter,
    *,
    limit: int,
    offset: int = 0,
    count_to: int = COUNTED,
    look_through: int = LOOKED_THROUGH,
    everything: bool = False,
) -> Page:
    """One page of the messages that `wanted` asks for.

    What an index knows (ids and their beginnings, parties, references, failures, times)
    is found however old it is. For the rest the newest `look_through` messages of those
    that an index can single out are looked through; with `everything` all of them.
    """

    def ask(question: _Question) -> Page:
        lead, back_to = question.reach(tx, look_through)
        return question.answer(tx, lead, None if everything else back_to, limit, offset, count_to)

    if tx.dialect.name == "postgresql":
        # A plan for any organisation is one for ourselves, who are in every row.
        tx.execute(sa.text("SET LOCAL plan_cache_mode = force_custom_plan"))
    question = _Question(wanted)
    page = ask(question)
    if page.total.number or not question.has_guesses:
        return page
    return ask(_Question(wanted, guess=False))


def count(tx: Connection, wanted: Filter, *, count_to: int) -> Count:
    """How many there are in all, as far as `count_to`."""
    question = _Question(wanted)
    lead, _ = question.reach(tx, LOOKED_THROUGH)
    return counted(tx, question.rows(lead, None, count_to + 1), count_to)


def counted(tx: Connection, rows: _Rows, count_to: int) -> Count:
    """How many `rows` there are, as far as `count_to`."""
    some = rows.limit(count_to + 1).subquery()
    number = tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return Count(min(number, count_to), number > count_to)


def of_conversation(given: str) -> _Condition:
    """Of the conversation that the network or the archive calls `given`."""
    return sa.or_(
        message.c.conversation_id == given.lower(), message.c.archive_conversation_id == given
    )


class _Question:
    """A filter as SQL. `guess`: what looks like a reference or the beginning of an id is one."""

    def __init__(self, wanted: Filter, *, guess: bool = True) -> None:
        self._wanted = wanted
        self._guess = guess
        self._text = [
            terms
            for part in wanted.text.split("||")
            if (terms := [term for one in part.split("&&") if (term := one.strip())])
        ]
        # A text that is an organisation, and nothing else, is its letters both ways.
        self._party = wanted.text.strip() if _ORGNR.fullmatch(wanted.text.strip()) else None
        if self._party is not None:
            self._text = []

    @property
    def has_guesses(self) -> bool:
        """Whether it matters what `guess` is."""
        return any(_guesses(term) for terms in self._text for term in terms)

    def answer(
        self,
        tx: Connection,
        lead: _Column | None,
        back_to: datetime | None,
        limit: int,
        offset: int,
        count_to: int,
    ) -> Page:
        """One page; `lead` and `back_to` as `reach` said."""
        some = self.rows(lead, back_to, limit, offset).subquery()
        found = [
            from_row(row)
            for row in tx.execute(
                sa.select(message)
                .join(some, some.c.id == message.c.id)
                .order_by(message.c.updated.desc(), message.c.id.desc())
            )
        ]
        if len(found) < limit and (found or not offset):  # the last page
            total = Count(offset + len(found))
        else:  # no less than what lies before the next page
            least = max(count_to, offset + len(found))
            total = counted(tx, self.rows(lead, back_to, least + 1), least)
        return Page(found, total, back_to)

    def rows(
        self, lead: _Column | None, back_to: datetime | None, limit: int, offset: int = 0
    ) -> _Rows:
        """The ids of `limit` messages after the newest `offset`, newest first."""
        columns = message.c
        rows = sa.select(columns.id, columns.updated).where(*self._conditions(lead))
        if back_to is not None:
            rows = rows.where(columns.updated >= back_to)
        rows = rows.order_by(columns.updated.desc(), columns.id.desc())
        if self._party is None:
            return rows.limit(limit).offset(offset)
        # Two indexes, each in its order already; an OR would be sorted as a whole.
        sent = rows.where(_led(columns.sender, lead) == self._party)
        got = rows.where(
            _led(columns.receiver, lead) == self._party, columns.sender.concat("") != self._party
        )
        newest = [sa.select(one.limit(offset + limit).subquery()) for one in (sent, got)]
        both = sa.union_all(*newest).order_by(sa.desc("updated"), sa.desc("id"))
        return both.limit(limit).offset(offset)

    def _conditions(self, lead: _Column | None) -> list[_Condition]:
        wanted, columns = self._wanted, message.c
        asked: list[_Condition] = [columns.kind.in_(wanted.kinds)]
        for column, value in (
            (columns.direction, wanted.direction),
            (columns.message_id, wanted.message_id and wanted.message_id.lower()),
            (columns.sender, wanted.sender),
            (columns.receiver, wanted.receiver),
            (columns.reference, wanted.reference),
        ):
            if value:
                asked.append(_led(column, lead) == value)
        if wanted.conversation_id:
            asked.append(of_conversation(wanted.conversation_id))
        if wanted.states:
            asked.append(columns.state.in_(wanted.states))
        alternatives = [sa.and_(*map(self._term, terms)) for terms in self._text]
        if alternatives:
            asked.append(sa.or_(*alternatives))
        return [*asked, *self._listed(), *self._period()]

    def _period(self) -> list[_Condition]:
        asked: list[_Condition] = []
        if self._wanted.since:
            asked.append(message.c.updated >= self._wanted.since)
        if self._wanted.until:
            asked.append(message.c.updated < self._wanted.until)
        return asked

    def _listed(self) -> list[_Condition]:
        """Conditions that have an index of their own, spelt out as it spells them."""
        wanted, columns = self._wanted, message.c
        asked: list[_Condition] = []
        if wanted.attention or (wanted.states and set(wanted.states) <= set(FAILED)):
            failed = sa.bindparam(None, FAILED, expanding=True, literal_execute=True)
            asked.append(columns.state.in_(failed))
        if wanted.attention:
            asked.append(columns.handled.is_(None))
        if wanted.waiting:
            asked += [
                columns.kind == sa.literal(Kind.OTHER, literal_execute=True),
                columns.state == sa.literal(Status.INNKOMMENDE_MOTTATT, literal_execute=True),
                columns.handled.is_(None),
            ]
        return asked

    def reach(self, tx: Connection, look_through: int) -> tuple[_Column | None, datetime | None]:
        """The column whose index is to lead to what is asked, and how far back to go on it.

        No column: the database may choose; no time: as far as there are messages.
        """
        wanted, columns = self._wanted, message.c
        if self._has_key():
            return None, None
        listed = self._listed()
        if self._is_known():
            return columns.state if listed else None, None

        def end(*asked: _Condition) -> datetime | None:
            """When the oldest of the newest `look_through` had its last event."""
            rows = sa.select(columns.updated).where(*asked, *self._period())
            oldest = rows.order_by(columns.updated.desc()).offset(look_through - 1).limit(1)
            return tx.execute(oldest).scalar()

        if listed:
            return columns.state, end(*listed)
        sides = (columns.sender, columns.receiver)
        if self._party is not None:
            ends = [one for side in sides if (one := end(side == self._party)) is not None]
            return None, max(ends, default=None)
        parties = [
            (column, end(column == value))
            for column, value in zip(sides, (wanted.sender, wanted.receiver), strict=True)
            if value
        ]
        if parties:  # the one with which one comes farthest
            return min(parties, key=lambda one: one[1] or datetime.min.replace(tzinfo=UTC))
        return None, end()

    def _has_key(self) -> bool:
        """Whether an index leads to a few messages."""
        wanted = self._wanted
        if wanted.message_id or wanted.conversation_id or wanted.reference:
            return True
        return bool(self._text) and all(any(map(self._is_key, terms)) for terms in self._text)

    def _is_known(self) -> bool:
        """Whether an index leads to what is asked, and most of what it leads to is asked."""
        wanted = self._wanted
        return (
            not self._text
            and wanted.direction is None
            and set(wanted.states) <= set(FAILED)
            and Kind.LETTER in wanted.kinds
            and not (wanted.sender and wanted.receiver)
        )

    def _is_key(self, term: str) -> bool:
        """Whether an index leads from this term to a few messages."""
        return bool(_UUID.fullmatch(term.lower())) or (self._guess and bool(_guesses(term)))

    def _term(self, term: str) -> _Condition:
        columns = message.c
        if _UUID.fullmatch(term.lower()):
            return sa.or_(columns.message_id == term.lower(), of_conversation(term))
        if self._guess and (guesses := _guesses(term)):
            return sa.or_(*guesses)
        if _ORGNR.fullmatch(term):
            return sa.or_(columns.sender == term, columns.receiver == term)
        return sa.or_(
            columns.message_id.icontains(term, autoescape=True),
            columns.conversation_id.icontains(term, autoescape=True),
            columns.archive_conversation_id.icontains(term, autoescape=True),
            columns.state.icontains(term, autoescape=True),
            columns.reference == term,
        )


def _led(column: _Column, lead: _Column | None) -> sa.ColumnElement[Any]:
    """`column`, as an expression without an index when another is to lead.

    SQLite cannot tell an index that leads to ten messages from one that leads to all.
    """
    return column if lead is None or lead is column else column.concat("")


def _guesses(term: str) -> list[_Condition]:
    """What an index can find of a term that is no whole id; nine digits are an organisation."""
    columns, start = message.c, term.lower()
    guesses = [columns.reference == term] if _REFERENCE.fullmatch(term) else []
    if _BEGINNING.fullmatch(start) and not _ORGNR.fullmatch(term):
        guesses += [_begins(columns.message_id, start), _begins(columns.conversation_id, start)]
    return guesses


def _begins(column: _Column, start: str) -> _Condition:
    """A range, which an index serves. No hex digit comes after ``g`` in any collation."""
    return sa.and_(column >= start, column < start + "g", column.startswith(start))
