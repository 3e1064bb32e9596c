"""Opening the database, and transactions on it."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, OperationalError

from gateway.errors import ConfigurationError
from gateway.store.group_commit import GroupCommit
from gateway.store.migrate import migrate

NODE = f"{socket.gethostname()}:{os.getpid()}"
"""This process, as other nodes and the database's own lists name it."""


class Database:
    """One database of one gateway, or of several nodes that share their work.

    `url` is SQLAlchemy's, such as ``sqlite:////var/lib/edu-gateway/gateway.db`` or
    ``postgresql+psycopg://user:password@host/name``. Opening brings the tables up to
    date; raises `ConfigurationError` when they belong to a newer version, and when the
    database cannot be opened. `shared`: other nodes may be working on it too.
    """

    def __init__(self, url: str) -> None:
        try:
            self.engine = _engine(url)
            self.shared = self.engine.dialect.name != "sqlite"
            reading: dict[str, Any] = {"gateway_reads_only": True}
            if self.shared:  # each statement would otherwise see another moment
                reading |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            self._reading = self.engine.execution_options(**reading)
            self._group = None if self.shared else GroupCommit(self.engine)
            migrate(self.engine, NODE)
        except (ArgumentError, ImportError) as error:
            raise ConfigurationError(f"database.url: {error}") from error
        except OperationalError as error:
            raise ConfigurationError(f"the database cannot be opened: {error.orig}") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends, or did not happen."""
        with self._group.write() if self._group else self.engine.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that blocks no writer."""
        with self._reading.begin() as tx:
            yield tx

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _engine(url: str) -> sa.Engine:
    if sa.make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(
            url,
            pool_size=16,
            max_overflow=32,
            hide_parameters=True,  # errors are logged, and titles and names are parameters
            pool_pre_ping=True,  # a database that was away must not cost a letter's attempt
            connect_args={
                "application_name": f"edu-gateway {NODE}",
                "connect_timeout": 10,
                # A forgotten transaction would keep the server from cleaning the queue.
                "options": "-c idle_in_transaction_session_timeout=300000",
            },
        )
    engine = sa.create_engine(url, hide_parameters=True)
    sa.event.listen(engine, "connect", _durable_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    _WhileReadOnly(engine)
    return engine


class _WhileReadOnly:
    """Keeps no SQLite connection while the disk takes no writes.

    What SQLite found when it opened the files is shared by all connections of the process
    until the last of them is closed; with some always kept, it would never look again.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._refused = False
        sa.event.listen(engine, "handle_error", self._look)
        sa.event.listen(engine, "checkin", self._let_go)
        sa.event.listen(engine, "commit", self._written)

    def _look(self, trouble: sa.engine.ExceptionContext) -> None:
        code = getattr(trouble.original_exception, "sqlite_errorcode", 0)
        if code & 0xFF != sqlite3.SQLITE_READONLY:
            return
        self._refused = trouble.is_disconnect = True
        if trouble.execution_context is not None:
            # Or the file stays open for as long as somebody holds the exception.
            trouble.execution_context.cursor.close()

    def _let_go(self, _connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
        if self._refused:
            record.invalidate()

    def _written(self, connection: Connection) -> None:
        if not _reads_only(connection):
            self._refused = False


def _durable_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy must issue BEGIN itself, or Python's driver delays it until the first
    # write and two writers deadlock on upgrading their read locks.
    connection.isolation_level = None
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if _reads_only(connection) else "BEGIN IMMEDIATE")


def _reads_only(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("gateway_reads_only"))
