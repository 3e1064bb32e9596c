"""Lists by party, reference, failure and time cost the same however long the history is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

FAILED = "IN ('FEIL', 'LEVETID_UTLOPT')"


def upgrade() -> None:
    op.create_index("message_by_sender", "message", ["sender", "updated"])
    op.create_index("message_by_receiver", "message", ["receiver", "updated"])
    op.create_index("ix_event_at", "event", ["at"])
    op.drop_index("message_attention", "message")
    attention = f"state {FAILED} AND handled IS NULL"
    for name, table, columns, condition in (
        ("message_by_reference", "message", ["reference"], "reference IS NOT NULL"),
        ("message_attention", "message", ["handled", "updated"], attention),
        ("message_failed", "message", ["updated"], f"state {FAILED}"),
        ("event_failure", "event", ["id"], f"status {FAILED}"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
