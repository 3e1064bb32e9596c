"""Circuits: neighbours that are away, and what waits for them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.String(27).with_variant(sa.String(27, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "circuit",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("outages", sa.Integer(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("probe_at", INSTANT),
        sa.Column("probe", NUMBER),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("job", sa.Column("waits_for", sa.String(80)))
    op.create_index(
        "job_waits_for",
        "job",
        ["waits_for"],
        sqlite_where=sa.text("waits_for IS NOT NULL"),
        postgresql_where=sa.text("waits_for IS NOT NULL"),
    )
