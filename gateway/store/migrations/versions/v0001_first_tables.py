"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.String(27).with_variant(sa.String(27, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("cause", sa.String(100), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("told", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("cause"),
    )
    op.create_table(
        "arrival",
        sa.Column("transfer_id", sa.String(64), nullable=False),
        sa.Column("party", sa.String(35), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("seen", INSTANT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("quarantine", sa.String(64)),
        sa.PrimaryKeyConstraint("transfer_id"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "message",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("conversation_id", sa.String(36), nullable=False),
        sa.Column("archive_conversation_id", sa.Text()),
        sa.Column("sender", sa.String(35), nullable=False),
        sa.Column("receiver", sa.String(35), nullable=False),
        sa.Column("sender_ref", sa.Text()),
        sa.Column("receiver_ref", sa.Text()),
        sa.Column("process", sa.Text()),
        sa.Column("document_type", sa.Text()),
        sa.Column("related_to", sa.String(36)),
        sa.Column("status_value", sa.String(20)),
        sa.Column("channel", sa.String(25)),
        sa.Column("channel_id", sa.Text()),
        sa.Column("transport_ref", sa.Text()),
        sa.Column("security_level", sa.Integer()),
        sa.Column("reference", sa.Text()),
        sa.Column("receipt", sa.JSON()),
        sa.Column("losses", sa.JSON()),
        sa.Column("warnings", sa.JSON()),
        sa.Column("signature", sa.JSON()),
        sa.Column("content_hash", sa.String(64)),
        sa.Column("duplicate_key", sa.Text()),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created", INSTANT, nullable=False),
        sa.Column("expires", INSTANT),
        sa.Column("updated", INSTANT),
        sa.Column("handled", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("duplicate_key"),
    )
    op.create_index("ix_message_updated", "message", ["updated"])
    op.create_index("message_by_archive_conversation", "message", ["archive_conversation_id"])
    op.create_index("message_by_conversation", "message", ["conversation_id"])
    op.create_index("message_by_message_id", "message", ["message_id"])
    op.create_index("message_by_related", "message", ["related_to"])
    op.create_table(
        "document",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("message", NUMBER, nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("blob", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("md5", sa.String(32)),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_document_blob", "document", ["blob"])
    op.create_index("ix_document_message", "document", ["message"])
    op.create_table(
        "event",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("message", NUMBER, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("description", sa.Text()),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_event_message", "event", ["message"])
    op.create_table(
        "job",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("message", NUMBER, nullable=False),
        sa.Column("task", sa.String(8), nullable=False),
        sa.Column("due", INSTANT),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("unclear", INSTANT),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message", "task"),
    )
    op.create_index(
        "job_due",
        "job",
        ["task", "due"],
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_table(
        "transfer",
        sa.Column("transfer_id", sa.String(64), nullable=False),
        sa.Column("message", NUMBER, nullable=False),
        sa.Column("created", INSTANT, nullable=False),
        sa.Column("uploaded", INSTANT),
        sa.Column("abandoned", INSTANT),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("transfer_id"),
    )
    op.create_index("ix_transfer_message", "transfer", ["message"])
