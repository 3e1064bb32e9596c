"""Opening the database, and transactions on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.store.tables import metadata


class Database:
    """One database of one gateway.

    `url` is SQLAlchemy's, such as ``sqlite:////var/lib/edu-gateway/gateway.db``. Tables
    are made when they are missing.
    """

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _durable_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        metadata.create_all(self.engine)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends, or did not happen."""
        with self.engine.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that blocks no writer."""
        with self.engine.connect().execution_options(gateway_reads_only=True) as tx:
            with tx.begin():
                yield tx

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _durable_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy must issue BEGIN itself, or Python's driver delays it until the first
    # write and two writers deadlock on upgrading their read locks.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get("gateway_reads_only")
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
