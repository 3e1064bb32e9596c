"""Documents of one message share a file: where in it each begins."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    start = sa.Column("start", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("document", start)
