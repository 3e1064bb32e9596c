"""What a person can see and do: list, show, retry, resend, mark, export.

The pages and the command line are thin calls of this. It works on the store alone, so
also from another process than the gateway's: its workers find the changed rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.engine.context import Books
from gateway.engine.evidence import Dossier, write_evidence
from gateway.engine.ledger import Entry, Ledger
from gateway.lifecycle import Fact
from gateway.model import Direction, Status
from gateway.store import circuits, messages, overview
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message, Role
from gateway.store.overview import StatusRow
from gateway.store.search import COUNTED, FAILED, Count, Filter, Page, search
from gateway.store.tables import document as documents_table
from gateway.store.tables import job as jobs_table
from gateway.store.tables import message as messages_table
from gateway.store.tables import transfer as transfers_table

_OUR_LETTER = (Kind.LETTER, Direction.OUTGOING)
_IDENTIFIED = (Kind.LETTER, Kind.RECEIPT, Kind.OTHER, Kind.NOTICE)


class Obstacle(StrEnum):
    """Why something cannot be done, for the person who asked."""

    UNKNOWN = "no such message"
    AMBIGUOUS = "several messages have this id; give the number of one"
    BUSY = "it is being worked on right now; try again in a moment"
    NOTHING_TO_RETRY = "there is nothing to try again: it is done, or was never to be done here"
    RESEND_INSTEAD = "its archive was told that it failed; send it again as new instead"
    SENDER_WAS_TOLD = "its sender was told that it failed; repeat it only if they know"
    NOT_OURS_TO_SEND = "only our own outgoing letters can be sent again"
    NOT_FAILED = "it has not failed, and might arrive twice"
    REASON_MISSING = "a reason is required"
    NOT_FOR_PICKUP = "it is not kept for pick-up"
    NOT_SERVED = "this gateway does not send for that organisation"


class NotDone(Exception):
    """What was asked for is not possible, and nothing was changed."""

    def __init__(self, obstacle: Obstacle, *candidates: Message) -> None:
        super().__init__(obstacle.value)
        self.obstacle = obstacle
        self.candidates = candidates

    @property
    def can_be_forced(self) -> bool:
        """Whether `force` overrides it."""
        return self.obstacle in (Obstacle.SENDER_WAS_TOLD, Obstacle.NOT_FAILED)


class Operations:
    """A person's view of one gateway's store. `who` is noted in timelines."""

    def __init__(self, books: Books, ledger: Ledger | None = None) -> None:
        self.books = books
        self.ledger = ledger or Ledger(books)

    # --- seeing -----------------------------------------------------------------------

    def page(
        self,
        wanted: Filter,
        *,
        number: int = 0,
        size: int = 20,
        count_to: int = COUNTED,
        everything: bool = False,
    ) -> Page:
        """Page `number`, from 0, of the messages that `wanted` asks for.

        `everything`: however much has to be looked through for it (`store.search`).
        """
        with self.books.database.read() as tx:
            return search(
                tx,
                wanted,
                limit=size,
                offset=number * size,
                count_to=count_to,
                everything=everything,
            )

    def statuses(
        self, *, number: int = 0, size: int = 10, **wanted: Any
    ) -> tuple[Sequence[StatusRow], Count]:
        """Page `number` of the entries of timelines, and how many there are in all.

        `wanted` as in `overview.statuses`.
        """
        with self.books.database.read() as tx:
            return overview.statuses(tx, **wanted, limit=size, offset=number * size)

    def timelines(self, row_ids: Sequence[int]) -> dict[int, list[StatusRow]]:
        """The timelines of several messages, by row number."""
        with self.books.database.read() as tx:
            return overview.timelines(tx, row_ids)

    def quarantined(self) -> Sequence[Any]:
        """Packages that could not be used and are kept, newest first."""
        with self.books.database.read() as tx:
            return overview.quarantined(tx)

    def temporary(self) -> BinaryIO:
        """A private file without a name, for something to be downloaded."""
        return self.books.blobs.temporary()

    def find(self, reference: str) -> Message:
        """The message with this row number, message id or conversation id.

        Raises `NotDone` when there is none, or more than one.
        """
        with self.books.database.read() as tx:
            columns = messages_table.c
            if re.fullmatch(r"\d{1,18}", reference):
                found = messages.select(tx, columns.id == int(reference))
                if found:
                    return found[0]
            identified = columns.kind.in_(_IDENTIFIED)
            for condition in (
                columns.message_id == reference.lower(),
                sa.or_(
                    columns.archive_conversation_id == reference,
                    columns.conversation_id == reference.lower(),
                ),
            ):
                found = messages.select(tx, identified, condition, limit=20)
                if len(found) > 1:  # a letter comes before its receipts
                    letters = [one for one in found if one.kind in (Kind.LETTER, Kind.OTHER)]
                    found = letters or found
                if len(found) == 1:
                    return found[0]
                if found:
                    raise NotDone(Obstacle.AMBIGUOUS, *found)
        raise NotDone(Obstacle.UNKNOWN)

    def show(self, row_id: int) -> Dossier:
        """All that is known of a message. Raises `NotDone` when there is none."""
        blobs = self.books.blobs
        with self.books.database.read() as tx:
            message = _get(tx, row_id)
            return Dossier(
                message,
                messages.events(tx, row_id),
                overview.work(tx, row_id),
                overview.transfers(tx, row_id),
                [
                    (role, one)
                    for role in Role
                    for one in messages.documents(tx, row_id, blobs, role)
                ],
                [(one, messages.events(tx, one.row_id)) for one in overview.related(tx, message)],
            )

    def export(self, row_id: int, target: BinaryIO, *, documents: bool = False) -> None:
        """Write the evidence of a message to `target` as a zip."""
        write_evidence(self.show(row_id), target, self.books.now(), documents=documents)

    # --- doing ------------------------------------------------------------------------

    def retry(self, row_id: int, who: str, *, force: bool = False) -> None:
        """Try now what waits, or once more what was given up.

        An outgoing letter that was given up is not retried but sent again as new, since
        its archive has had its answer. Raises `NotDone`.
        """
        with self.ledger.entry() as entry:
            message = _get(entry.tx, row_id)
            job = entry.tx.execute(
                sa.select(jobs_table)
                .where(
                    jobs_table.c.message == row_id,
                    jobs_table.c.task.in_((Task.SEND, Task.DELIVER)),
                )
                .order_by(jobs_table.c.id.desc())
                .limit(1)
                .with_for_update()
            ).first()
            if job is None:
                raise NotDone(Obstacle.NOTHING_TO_RETRY)
            given_up = message.state in FAILED
            if given_up and (message.kind, message.direction) == _OUR_LETTER:
                raise NotDone(Obstacle.RESEND_INSTEAD)
            if job.held and job.due is not None and job.due > entry.now:
                raise NotDone(Obstacle.BUSY)
            if job.due is None:
                self._begin_anew(entry, message, who, force)
                _set(
                    entry.tx,
                    jobs_table,
                    job.id,
                    due=entry.now,
                    failures=0,
                    problem=None,
                    unclear=None,
                )
            else:
                entry.note(message, f"Nytt forsøk nå, bestilt av {who}")
                if job.waits_for is not None:
                    circuits.try_now(entry.tx, job.waits_for, entry.now)
                _set(entry.tx, jobs_table, job.id, due=entry.now)
            entry.due.append(Task(job.task))

    def _begin_anew(self, entry: Entry, message: Message, who: str, force: bool) -> None:
        """Make a message that was given up ready for another attempt."""
        if message.state not in FAILED:
            raise NotDone(Obstacle.NOTHING_TO_RETRY)
        if message.kind is Kind.LETTER and not force and entry.answered(message) is not None:
            raise NotDone(Obstacle.SENDER_WAS_TOLD)
        columns: dict[str, Any] = {"handled": None}
        if message.expires is not None:
            columns["expires"] = entry.now + self.books.policy.time_to_live
        messages.change(entry.tx, message.row_id, **columns)
        if message.direction is Direction.OUTGOING:
            # The package states its deadline, so it has to be made again.
            entry.tx.execute(
                documents_table.delete().where(
                    documents_table.c.message == message.row_id,
                    documents_table.c.role == Role.PACKAGE,
                )
            )
            entry.tx.execute(
                transfers_table.update()
                .where(
                    transfers_table.c.message == message.row_id,
                    transfers_table.c.abandoned.is_(None),
                )
                .values(abandoned=entry.now)
            )
        entry.record(message, Fact.RETRIED, f"Nytt forsøk, bestilt av {who}")

    def resend(self, row_id: int, who: str, *, force: bool = False) -> Message:
        """Send the content of an outgoing letter once more, as a new message.

        The new one has ids and a deadline of its own; its archive gets its receipt under
        the conversation id that it knows. The old one is marked as handled. Raises
        `NotDone`; a letter that has not failed needs `force`.
        """
        with self.ledger.entry() as entry:
            old = _get(entry.tx, row_id)
            if old.direction is not Direction.OUTGOING or old.kind not in (
                Kind.LETTER,
                Kind.OTHER,
            ):
                raise NotDone(Obstacle.NOT_OURS_TO_SEND)
            if old.state not in FAILED and not force:
                raise NotDone(Obstacle.NOT_FAILED)
            new_id = self.books.new_id()
            new = messages.add(
                entry.tx,
                replace(
                    old,
                    id=None,
                    message_id=new_id,
                    conversation_id=new_id,
                    transport_ref=self.books.new_id(),
                    state=Status.OPPRETTET,
                    created=entry.now,
                    updated=None,
                    handled=None,
                    expires=entry.now + self.books.policy.time_to_live,
                    duplicate_key=None,
                    related_to=None,
                    warnings=(*old.warnings, f"sent again by {who}; first as {old.message_id}"),
                ),
            )
            for role in (Role.METADATA, Role.BUSINESS, Role.FILE):
                messages.add_documents(
                    entry.tx,
                    new.row_id,
                    messages.documents(entry.tx, row_id, self.books.blobs, role),
                    role,
                )
            entry.record(new, Fact.ACCEPTED, f"Sendt på nytt av {who}, først som {old.message_id}")
            entry.note(old, f"Sendt på nytt av {who} som {new_id}")
            messages.change(entry.tx, row_id, handled=entry.now)
        return new

    def mark_handled(self, row_id: int, reason: str, who: str) -> None:
        """Take a message off the list of those that need attention. Raises `NotDone`."""
        if not reason.strip():
            raise NotDone(Obstacle.REASON_MISSING)
        with self.ledger.entry() as entry:
            message = _get(entry.tx, row_id)
            entry.note(message, f"Merket som håndtert av {who}: {reason.strip()}")
            messages.change(entry.tx, row_id, handled=entry.now)


def _get(tx: Connection, row_id: int) -> Message:
    try:
        return messages.get(tx, row_id)
    except LookupError as error:
        raise NotDone(Obstacle.UNKNOWN) from error


def _set(tx: Connection, table: sa.Table, row_id: int, **columns: Any) -> None:
    tx.execute(table.update().where(table.c.id == row_id).values(**columns))
