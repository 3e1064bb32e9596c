"""The tables. Times are UTC; content is named by blob key, never stored in a column."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect


class Instant(TypeDecorator[datetime]):
    """A point in time as sortable text: ``2026-11-24T08:15:30.000000Z``.

    The same on every database, and readable for a person with a SQL prompt.
    """

    # PostgreSQL would otherwise sort by the rules of some human language.
    impl = String(27).with_variant(String(27, collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


# SQLite numbers rows by itself only in a column of exactly this type.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

message = Table(
    "message",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("direction", String(8), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("message_id", String(36), nullable=False),
    Column("conversation_id", String(36), nullable=False),
    # What the archive called the conversation; the network wants a UUID (design 7).
    Column("archive_conversation_id", Text),
    Column("sender", String(35), nullable=False),
    Column("receiver", String(35), nullable=False),
    Column("sender_ref", Text),
    Column("receiver_ref", Text),
    Column("process", Text),
    Column("document_type", Text),
    Column("related_to", String(36)),
    Column("status_value", String(20)),
    Column("channel", String(25)),
    Column("channel_id", Text),
    Column("transport_ref", Text),
    Column("security_level", Integer),
    Column("reference", Text),
    Column("receipt", JSON),
    Column("losses", JSON),
    Column("warnings", JSON),
    Column("signature", JSON),
    Column("content_hash", String(64)),
    # Unique where a second message would be a duplicate, null elsewhere (design 6, 11).
    Column("duplicate_key", Text, unique=True),
    Column("state", String(20), nullable=False),
    Column("created", Instant, nullable=False),
    Column("expires", Instant),
    # Time of the newest event.
    Column("updated", Instant, index=True),
    # When a person said that nothing more is to be done about it.
    Column("handled", Instant),
    Index("message_by_message_id", "message_id"),
    Index("message_by_conversation", "conversation_id"),
    Index("message_by_archive_conversation", "archive_conversation_id"),
    Index("message_by_related", "related_to"),
    # To and from somebody, newest first.
    Index("message_by_sender", "sender", "updated"),
    Index("message_by_receiver", "receiver", "updated"),
)
Index(
    "message_by_reference",
    message.c.reference,
    sqlite_where=message.c.reference.isnot(None),
    postgresql_where=message.c.reference.isnot(None),
)
# What needs a person is asked for every minute. These hold only that, for a query that
# spells the same conditions out (`gateway.store.search`); history costs them nothing.
_ATTENTION = text("state IN ('FEIL', 'LEVETID_UTLOPT') AND handled IS NULL")
_FAILED = text("state IN ('FEIL', 'LEVETID_UTLOPT')")
_PICKUP = text("kind = 'other' AND state = 'INNKOMMENDE_MOTTATT' AND handled IS NULL")
for _name, _columns, _where in (
    # By `handled` too, or SQLite could not tell that it is better than the next.
    ("message_attention", (message.c.handled, message.c.updated), _ATTENTION),
    ("message_failed", (message.c.updated,), _FAILED),
    ("message_pickup", (message.c.updated,), _PICKUP),
):
    Index(_name, *_columns, sqlite_where=_where, postgresql_where=_where)

document = Table(
    "document",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("message", ForeignKey("message.id"), nullable=False, index=True),
    Column("role", String(8), nullable=False),
    Column("position", Integer, nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("title", Text),
    # A file may hold several documents; this one begins at byte `start`.
    Column("blob", String(64), nullable=False, index=True),
    Column("start", BigInteger, nullable=False, server_default="0"),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("md5", String(32)),
)

event = Table(
    "event",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("message", ForeignKey("message.id"), nullable=False, index=True),
    Column("at", Instant, nullable=False, index=True),
    Column("status", String(20), nullable=False),
    Column("description", Text),
)
_FAILURE = text("status IN ('FEIL', 'LEVETID_UTLOPT')")
Index("event_failure", event.c.id, sqlite_where=_FAILURE, postgresql_where=_FAILURE)

job = Table(
    "job",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("message", ForeignKey("message.id"), nullable=False),
    Column("task", String(8), nullable=False),
    # Next attempt, or the end of the lease while somebody works on it; null = done.
    Column("due", Instant),
    # Counts claims; a worker whose attempt is no longer the row's has lost its lease.
    Column("attempt", Integer, nullable=False, default=0),
    # Somebody has it now; stays set when that somebody dies.
    Column("held", Boolean, nullable=False, default=False),
    # Since when the other side may have acted without our knowing the outcome.
    Column("unclear", Instant),
    Column("failures", Integer, nullable=False, default=0),
    Column("problem", Text),
    # The circuit that it waits for; when that closes, it is due at once.
    Column("waits_for", String(80)),
    UniqueConstraint("message", "task"),
)
# Done jobs are not in it, so kept history costs the queue nothing; by task, so that a
# backlog of one task does not stand before the other.
Index(
    "job_due",
    job.c.task,
    job.c.due,
    sqlite_where=job.c.due.isnot(None),
    postgresql_where=job.c.due.isnot(None),
)

Index(
    "job_waits_for",
    job.c.waits_for,
    sqlite_where=job.c.waits_for.isnot(None),
    postgresql_where=job.c.waits_for.isnot(None),
)

# A neighbour that was not there the last time; no row when all is well.
circuit = Table(
    "circuit",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("outages", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    # Null while there were too few outages to make the others wait.
    Column("probe_at", Instant),
    # The job that tries; it counts only while somebody has that job.
    Column("probe", _Number),
    Column("problem", Text, nullable=False),
)

transfer = Table(
    "transfer",
    metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("message", ForeignKey("message.id"), nullable=False, index=True),
    Column("created", Instant, nullable=False),
    Column("uploaded", Instant),
    # The network dropped it; another one carries the package.
    Column("abandoned", Instant),
)

arrival = Table(
    "arrival",
    metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("party", String(35), nullable=False),
    Column("state", String(12), nullable=False),
    Column("seen", Instant, nullable=False),
    Column("failures", Integer, nullable=False, default=0),
    Column("problem", Text),
    Column("quarantine", String(64)),
)

Index(
    "arrival_quarantined",
    arrival.c.seen,
    sqlite_where=arrival.c.quarantine.isnot(None),
    postgresql_where=arrival.c.quarantine.isnot(None),
)

# Something that needs a person: one row per cause while it lasts.
alarm = Table(
    "alarm",
    metadata,
    Column("cause", String(100), primary_key=True),
    Column("summary", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("told", Instant, nullable=False),
)

# Work that only one node at a time should do, such as polling for one organisation.
lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Instant, nullable=False),
)
