"""Documents of one message share a file; what needs a person is found at once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ATTENTION = "state IN ('FEIL', 'LEVETID_UTLOPT') AND handled IS NULL"
PICKUP = "kind = 'other' AND state = 'INNKOMMENDE_MOTTATT' AND handled IS NULL"


def upgrade() -> None:
    start = sa.Column("start", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("document", start)
    for name, table, column, condition in (
        ("message_attention", "message", "updated", ATTENTION),
        ("message_pickup", "message", "updated", PICKUP),
        ("arrival_quarantined", "arrival", "seen", "quarantine IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
