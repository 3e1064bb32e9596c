"""Messages with their documents and their timeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from gateway.model import (
    AppReceipt,
    Direction,
    Document,
    Event,
    Loss,
    Outcome,
    ReceiptType,
    Status,
    StatusMessage,
)
from gateway.store.blobs import Blob, BlobStore
from gateway.store.tables import document, event, message


class Kind(StrEnum):
    """What a message is."""

    LETTER = "letter"
    RECEIPT = "receipt"
    """An AppReceipt or arkivmelding_kvittering that one archive sends the other."""
    STATUS = "status"
    """A status SBD of ours."""
    NOTICE = "notice"
    """An AppReceipt that we make for our own archive; it never saw the network."""
    OTHER = "other"
    """Something that is not for the archive, kept for pick-up."""


class Role(StrEnum):
    """What a document is in its message."""

    METADATA = "metadata"
    """arkivmelding.xml"""
    FILE = "file"
    BUSINESS = "business"
    """The business message of an avtalt, JSON."""
    PACKAGE = "package"
    """The finished package, identical for every attempt."""


@dataclass(frozen=True, slots=True)
class Message:
    """One row of ``message``. `id` is None until it is stored."""

    direction: Direction
    kind: Kind
    message_id: str
    conversation_id: str
    sender: str
    receiver: str
    created: datetime
    state: Status = Status.OPPRETTET
    archive_conversation_id: str | None = None
    sender_ref: str | None = None
    receiver_ref: str | None = None
    process: str | None = None
    document_type: str | None = None
    related_to: str | None = None
    status_value: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    transport_ref: str | None = None
    security_level: int | None = None
    reference: str | None = None
    receipt: AppReceipt | None = None
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()
    signature: dict[str, Any] | None = None
    content_hash: str | None = None
    duplicate_key: str | None = None
    expires: datetime | None = None
    updated: datetime | None = None
    """Time of the newest event."""
    handled: datetime | None = None
    """When a person said that nothing more is to be done about it."""
    id: int | None = field(default=None)

    @property
    def row_id(self) -> int:
        """The id of a stored message."""
        assert self.id is not None, "the message is not stored yet"
        return self.id


class Duplicate(Exception):
    """A message with the same `Message.duplicate_key` is there already."""


_INSERT = message.insert()
_COLUMNS = tuple(one.name for one in fields(Message) if one.name != "id")


def add(tx: Connection, new: Message) -> Message:
    """Store `new`; the same with its id. Raises `Duplicate`; the transaction lives on."""
    try:
        # SQLite takes back a failed statement alone, PostgreSQL needs a savepoint for it.
        with nullcontext() if tx.dialect.name == "sqlite" else tx.begin_nested():
            result = tx.execute(_INSERT, _to_row(new))
    except IntegrityError as error:
        if new.duplicate_key and find(tx, duplicate_key=new.duplicate_key):
            raise Duplicate(new.duplicate_key) from error
        raise
    (row_id,) = result.inserted_primary_key or (None,)
    return replace(new, id=row_id)


_INSERT_ALL = _INSERT.returning(message.c.id, message.c.message_id)


def add_all(tx: Connection, new: Sequence[Message]) -> list[Message]:
    """Store several whose message ids differ; the same with their ids.

    Raises `sqlalchemy.exc.IntegrityError` for a duplicate; the transaction is then lost.
    """
    if not new:
        return []
    rows = tx.execute(_INSERT_ALL, [_to_row(one) for one in new])
    ids = {row.message_id: row.id for row in rows}
    return [replace(one, id=ids[one.message_id]) for one in new]


def _to_row(new: Message) -> dict[str, Any]:
    values = {name: getattr(new, name) for name in _COLUMNS}
    values["receipt"] = _receipt_to_json(new.receipt)
    values["losses"] = [loss._asdict() for loss in new.losses]
    values["warnings"] = list(new.warnings)
    values["updated"] = new.updated or new.created
    return values


def get(tx: Connection, row_id: int) -> Message:
    """The message with this row id. Raises LookupError."""
    found = find(tx, id=row_id)
    if found is None:
        raise LookupError(f"message {row_id} is not stored")
    return found


def lock(tx: Connection, row_id: int) -> None:
    """Let no other transaction judge this message before ours has ended.

    SQLite has one writer at a time anyway.
    """
    if tx.dialect.name == "sqlite":
        return
    tx.execute(
        sa.select(message.c.id).where(message.c.id == row_id).with_for_update(key_share=True)
    )


def find(tx: Connection, *where: sa.ColumnElement[bool], **values: object) -> Message | None:
    """The oldest message with these `values` that fulfils all conditions on `tables.message`."""
    found = _oldest(tuple(values))
    row = tx.execute(found.where(*where) if where else found, values).first()
    return None if row is None else from_row(row)


class Namesake(NamedTuple):
    """An outgoing letter with an id or a duplicate key that a new one would have too."""

    duplicate_key: str | None
    archive_conversation_id: str | None
    sender: str
    message_id: str
    conversation_id: str


_NAMESAKES = (
    sa.select(*(message.c[name] for name in Namesake._fields))
    .where(
        message.c.direction == Direction.OUTGOING,
        message.c.kind == Kind.LETTER,
        sa.or_(
            message.c.duplicate_key.in_(sa.bindparam("keys", expanding=True)),
            message.c.archive_conversation_id.in_(sa.bindparam("archive_ids", expanding=True)),
            message.c.message_id.in_(sa.bindparam("message_ids", expanding=True)),
        ),
    )
    .order_by(message.c.id)
)


def namesakes(tx: Connection, new: Sequence[Message]) -> list[Namesake]:
    """The letters that new ones from an archive have to be told apart from, oldest first."""
    archive_ids = [one.archive_conversation_id for one in new if one.archive_conversation_id]
    wanted = {
        "keys": [one.duplicate_key for one in new if one.duplicate_key],
        "archive_ids": archive_ids,
        "message_ids": [one.lower() for one in archive_ids],
    }
    return [Namesake(*row) for row in tx.execute(_NAMESAKES, wanted)]


@cache
def _oldest(columns: tuple[str, ...]) -> sa.Select[Any]:
    """Made once for each set of columns: making it takes longer than running it."""
    equal = [message.c[name] == sa.bindparam(name) for name in columns]
    return sa.select(message).where(*equal).order_by(message.c.id).limit(1)


def select(tx: Connection, *where: sa.ColumnElement[bool], limit: int = 1000) -> list[Message]:
    """Messages that fulfil all conditions, newest first."""
    rows = tx.execute(sa.select(message).where(*where).order_by(message.c.id.desc()).limit(limit))
    return [from_row(row) for row in rows]


def change(tx: Connection, row_id: int, **columns: Any) -> None:
    """Set columns of a stored message."""
    tx.execute(_changing(tuple(columns)), {**columns, "changed": row_id})


@cache
def _changing(columns: tuple[str, ...]) -> sa.Update:
    values = {name: sa.bindparam(name) for name in columns}
    return message.update().where(message.c.id == sa.bindparam("changed")).values(values)


def keep_answer(tx: Connection, row_id: int, answer: AppReceipt) -> None:
    """Remember what our archive answered when it was handed this letter."""
    change(tx, row_id, receipt=_receipt_to_json(answer))


def note_losses(tx: Connection, row_id: int, losses: Iterable[Loss]) -> None:
    """Set what translation could not carry over."""
    change(tx, row_id, losses=[loss._asdict() for loss in losses])


_INSERT_EVENT = event.insert()


def begin_timelines(tx: Connection, first: Iterable[tuple[int, Event]]) -> None:
    """The first events of messages that have just been stored with their time and state."""
    values = [
        {"message": row_id, "at": one.at, "status": one.status, "description": one.description}
        for row_id, one in first
    ]
    if values:
        tx.execute(_INSERT_EVENT, values)


def add_event(tx: Connection, row_id: int, new: Event, **columns: Any) -> None:
    """Append to the timeline, and set `columns` of the message."""
    begin_timelines(tx, [(row_id, new)])
    change(tx, row_id, updated=new.at, **columns)


_STATUSES = (
    sa.select(event.c.status).where(event.c.message == sa.bindparam("of")).order_by(event.c.id)
)


def statuses(tx: Connection, row_id: int) -> list[Status]:
    """Those of the timeline, in its order."""
    return [Status(one) for one in tx.execute(_STATUSES, {"of": row_id}).scalars()]


def events(tx: Connection, row_id: int) -> list[Event]:
    """The timeline, in the order in which things were learnt."""
    rows = tx.execute(sa.select(event).where(event.c.message == row_id).order_by(event.c.id))
    return [Event(row.at, Status(row.status), row.description) for row in rows]


_INSERT_DOCUMENT = document.insert()


def add_documents(
    tx: Connection,
    row_id: int,
    documents: Iterable[Document],
    role: Role = Role.FILE,
    md5: str | None = None,
) -> None:
    """Attach documents whose content lies in the blob store."""
    values = [
        _document(row_id, role, position, one) | {"md5": md5}
        for position, one in enumerate(documents, start=1)
    ]
    if values:
        tx.execute(_INSERT_DOCUMENT, values)


def add_contents(
    tx: Connection, contents: Iterable[tuple[int, Document | None, Iterable[Document]]]
) -> None:
    """Attach to several messages, by their row ids, their metadata and their files."""
    values = []
    for row_id, metadata, files in contents:
        if metadata is not None:
            values.append(_document(row_id, Role.METADATA, 1, metadata))
        values += [
            _document(row_id, Role.FILE, position, one)
            for position, one in enumerate(files, start=1)
        ]
    if values:
        tx.execute(_INSERT_DOCUMENT, values)


def _document(row_id: int, role: Role, position: int, one: Document) -> dict[str, object]:
    return {
        "message": row_id,
        "role": role,
        "position": position,
        "filename": one.filename,
        "mime_type": one.mime_type,
        "title": one.title,
        "blob": one.content.key,  # type: ignore[attr-defined]
        "start": one.content.start,  # type: ignore[attr-defined]
        "size": one.content.size,
        "sha256": one.content.sha256,
    }


def documents(tx: Connection, row_id: int, blobs: BlobStore, *roles: Role) -> tuple[Document, ...]:
    """The documents of a message, metadata first, else in their order."""
    rows = tx.execute(
        sa.select(document)
        .where(document.c.message == row_id, document.c.role.in_(roles))
        .order_by(document.c.role != Role.METADATA, document.c.position)
    )
    return tuple(
        Document(
            row.filename,
            row.mime_type,
            blobs.content(row.blob, row.size, row.sha256, row.start),
            row.title,
        )
        for row in rows
    )


def package(tx: Connection, row_id: int, blobs: BlobStore) -> tuple[Blob, str] | None:
    """The finished package of a message with its MD5, once it was built."""
    row = tx.execute(
        sa.select(document).where(document.c.message == row_id, document.c.role == Role.PACKAGE)
    ).first()
    return None if row is None else (blobs.content(row.blob, row.size, row.sha256), row.md5)


def blob_keys(tx: Connection, keys: Sequence[str]) -> set[str]:
    """Those of `keys` that some message refers to."""
    rows = tx.execute(sa.select(document.c.blob).where(document.c.blob.in_(keys)))
    return set(rows.scalars())


def _receipt_to_json(receipt: AppReceipt | None) -> Any:
    if receipt is None:
        return None
    return {"type": receipt.type, "messages": [[m.code, m.text] for m in receipt.messages]}


def _receipt_from_json(value: Any) -> AppReceipt | None:
    if value is None:
        return None
    return AppReceipt(
        ReceiptType(value["type"]), tuple(StatusMessage(*one) for one in value["messages"])
    )


def from_row(row: Row[Any]) -> Message:
    """A whole row of ``message``."""
    values = dict(row._mapping)
    values["direction"] = Direction(values["direction"])
    values["kind"] = Kind(values["kind"])
    values["state"] = Status(values["state"])
    values["receipt"] = _receipt_from_json(values["receipt"])
    values["losses"] = tuple(
        Loss(**{**one, "outcome": Outcome(one["outcome"])}) for one in values["losses"] or ()
    )
    values["warnings"] = tuple(values["warnings"] or ())
    return Message(**values)
