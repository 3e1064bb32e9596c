"""What a person can see and do: list, show, retry, resend, mark, export, pick up, send.

The pages and the command line are thin calls of this. It works on the store alone, so
also from another process than the gateway's: its workers find the changed rows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.engine.context import Books
from gateway.engine.evidence import Dossier, write_evidence
from gateway.engine.ledger import Entry, Ledger
from gateway.lifecycle import Fact
from gateway.model import Content, Direction, Document, Status
from gateway.store import circuits, messages, overview
from gateway.store.blobs import Blob
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message, Role
from gateway.store.overview import FAILED, Filter, StatusRow
from gateway.store.tables import document as documents_table
from gateway.store.tables import job as jobs_table
from gateway.store.tables import message as messages_table
from gateway.store.tables import transfer as transfers_table

AVTALT_TYPE = "urn:no:difi:avtalt:xsd::avtalt"
AVTALT_PROCESS = "urn:no:difi:profile:avtalt:avtalt:ver1.0"

_PIECE = 1 << 20
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


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and how many there are in all."""

    messages: Sequence[Message]
    total: int


class Operations:
    """A person's view of one gateway's store. `who` is noted in timelines."""

    def __init__(self, books: Books, ledger: Ledger | None = None) -> None:
        self._books = books
        self._ledger = ledger or Ledger(books)

    # --- seeing -----------------------------------------------------------------------

    def page(self, wanted: Filter, *, number: int = 0, size: int = 20) -> Page:
        """Page `number`, from 0, of the messages that `wanted` asks for."""
        with self._books.database.read() as tx:
            found = overview.select(tx, wanted, limit=size, offset=number * size)
            return Page(found, overview.count(tx, wanted))

    def statuses(
        self, *, number: int = 0, size: int = 10, **wanted: Any
    ) -> tuple[Sequence[StatusRow], int]:
        """Page `number` of the entries of timelines, and how many there are in all.

        `wanted` as in `overview.statuses`.
        """
        with self._books.database.read() as tx:
            return overview.statuses(tx, **wanted, limit=size, offset=number * size)

    def timelines(self, row_ids: Sequence[int]) -> dict[int, list[StatusRow]]:
        """The timelines of several messages, by row number."""
        with self._books.database.read() as tx:
            return overview.timelines(tx, row_ids)

    def quarantined(self) -> Sequence[Any]:
        """Packages that could not be used and are kept, newest first."""
        with self._books.database.read() as tx:
            return overview.quarantined(tx)

    def temporary(self) -> BinaryIO:
        """A private file without a name, for something to be downloaded."""
        return self._books.blobs.temporary()

    def find(self, reference: str) -> Message:
        """The message with this row number, message id or conversation id.

        Raises `NotDone` when there is none, or more than one.
        """
        with self._books.database.read() as tx:
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
        blobs = self._books.blobs
        with self._books.database.read() as tx:
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
        write_evidence(self.show(row_id), target, self._books.now(), documents=documents)

    # --- doing ------------------------------------------------------------------------

    def retry(self, row_id: int, who: str, *, force: bool = False) -> None:
        """Try now what waits, or once more what was given up.

        An outgoing letter that was given up is not retried but sent again as new, since
        its archive has had its answer. Raises `NotDone`.
        """
        with self._ledger.entry() as entry:
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
            columns["expires"] = entry.now + self._books.policy.time_to_live
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
        with self._ledger.entry() as entry:
            old = _get(entry.tx, row_id)
            if old.direction is not Direction.OUTGOING or old.kind not in (
                Kind.LETTER,
                Kind.OTHER,
            ):
                raise NotDone(Obstacle.NOT_OURS_TO_SEND)
            if old.state not in FAILED and not force:
                raise NotDone(Obstacle.NOT_FAILED)
            new_id = self._books.new_id()
            new = messages.add(
                entry.tx,
                replace(
                    old,
                    id=None,
                    message_id=new_id,
                    conversation_id=new_id,
                    transport_ref=self._books.new_id(),
                    state=Status.OPPRETTET,
                    created=entry.now,
                    updated=None,
                    handled=None,
                    expires=entry.now + self._books.policy.time_to_live,
                    duplicate_key=None,
                    related_to=None,
                    warnings=(*old.warnings, f"sent again by {who}; first as {old.message_id}"),
                ),
            )
            for role in (Role.METADATA, Role.BUSINESS, Role.FILE):
                messages.add_documents(
                    entry.tx,
                    new.row_id,
                    messages.documents(entry.tx, row_id, self._books.blobs, role),
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
        with self._ledger.entry() as entry:
            message = _get(entry.tx, row_id)
            entry.note(message, f"Merket som håndtert av {who}: {reason.strip()}")
            messages.change(entry.tx, row_id, handled=entry.now)

    # --- avtalt -----------------------------------------------------------------------

    def pick_up(self, row_id: int, folder: Path, who: str) -> list[Path]:
        """Write a message that is not for the archive to `folder`; the files.

        Its sender gets LEVERT once everything is durably written. Picking it up again
        writes it again and tells nobody. Raises `NotDone`, `FileExistsError`.
        """
        dossier = self.show(row_id)
        message = dossier.message
        if message.kind is not Kind.OTHER or message.direction is not Direction.INCOMING:
            raise NotDone(Obstacle.NOT_FOR_PICKUP)
        folder.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        written = [_write(folder, one, taken) for _, one in dossier.documents]
        with self._ledger.entry() as entry:
            if _get(entry.tx, row_id).state is Status.INNKOMMENDE_LEVERT:
                entry.note(message, f"Hentet igjen av {who}")
            else:
                entry.record(message, Fact.PICKED_UP, f"Hentet av {who}")
        return written

    def send_avtalt(
        self,
        receiver: str,
        identifier: str,
        content: object,
        files: Iterable[tuple[str, str, BinaryIO]],
        who: str,
        *,
        process: str = AVTALT_PROCESS,
        sender: str | None = None,
    ) -> Message:
        """Send what two parties agreed on: any JSON `content`, and files with name and type.

        `sender` is one of the organisations that we serve, our own when it is left out.
        Accepted means durable; the gateway sends it as it sends letters. Raises `NotDone`.
        """
        books = self._books
        ours = books.policy.find(sender) if sender else books.policy.own
        if ours is None:
            raise NotDone(Obstacle.NOT_SERVED)
        said = json.dumps({"identifier": identifier, "content": content}, ensure_ascii=False)
        kept: list[Content] = []
        business = Document("avtalt.json", "application/json", self._keep([said.encode()], kept))
        documents = [
            Document(name, mime, self._keep(_pieces(stream), kept)) for name, mime, stream in files
        ]
        new_id = books.new_id()
        books.blobs.keep(kept)
        with self._ledger.entry() as entry:
            stored = messages.add(
                entry.tx,
                Message(
                    direction=Direction.OUTGOING,
                    kind=Kind.OTHER,
                    message_id=new_id,
                    conversation_id=new_id,
                    sender=ours.orgnr,
                    receiver=receiver,
                    process=process,
                    document_type=AVTALT_TYPE,
                    channel=books.policy.channel,
                    transport_ref=books.new_id(),
                    created=entry.now,
                    expires=entry.now + books.policy.time_to_live,
                ),
            )
            messages.add_documents(entry.tx, stored.row_id, [business], Role.BUSINESS)
            messages.add_documents(entry.tx, stored.row_id, documents)
            entry.record(stored, Fact.ACCEPTED, f"Sendt av {who}")
        return stored

    def _keep(self, pieces: Iterable[bytes], kept: list[Content]) -> Blob:
        writer = self._books.blobs.create(beside=kept)
        try:
            for piece in pieces:
                writer.write(piece)
            content = writer.commit()
        finally:
            writer.discard()
        kept.append(content)
        return content


def _get(tx: Connection, row_id: int) -> Message:
    try:
        return messages.get(tx, row_id)
    except LookupError as error:
        raise NotDone(Obstacle.UNKNOWN) from error


def _set(tx: Connection, table: sa.Table, row_id: int, **columns: Any) -> None:
    tx.execute(table.update().where(table.c.id == row_id).values(**columns))


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _write(folder: Path, document: Document, taken: set[str]) -> Path:
    """Copy a document to a new file, durably. The name was checked when it was unpacked.

    A sender may call a file as we call what lies outside the files; then it gets a number.
    """
    name = Path(document.filename).name
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{Path(document.filename).stem}-{number}{Path(document.filename).suffix}"
    taken.add(name.lower())
    path = folder / name
    with document.content.open() as source, path.open("xb") as target:
        for piece in _pieces(source):
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    return path
