"""Bringing the tables up to date when a gateway starts, one node at a time.

The lock is the database's own, so it ends with the process that holds it: an advisory
lock on PostgreSQL, the write lock on SQLite. A node that waits says for whom.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from gateway.errors import ConfigurationError

log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x656475  # "edu"; any number that nobody else uses in this database
_PATIENCE_SECONDS = 600.0
_HOLDER = sa.text(
    "SELECT a.application_name, a.client_addr, a.pid"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objid = :lock"
    " AND a.datname = current_database()"
)


def migrate(engine: sa.Engine, node: str, patience: float = _PATIENCE_SECONDS) -> None:
    """Bring the tables up to date.

    Raises `ConfigurationError` when they are of a newer version than this program, or
    when somebody else has been migrating for longer than `patience` seconds.
    """
    scripts = ScriptDirectory(str(_FOLDER))
    head = scripts.get_current_head()
    with engine.connect().execution_options(gateway_reads_only=True) as connection:
        if current_revision(connection) == head:
            return
    with _alone(engine, node, patience) as connection:
        revision = current_revision(connection)
        if revision == head:  # done by the node that we waited for
            return
        refuse_unknown(revision)
        log.info("tables go from revision %s to %s", revision, head)
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_FOLDER))
        command.upgrade(config, "head")


def current_revision(connection: Connection) -> str | None:
    """What the tables are at; None when there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """What this program brings the tables to."""
    head = ScriptDirectory(str(_FOLDER)).get_current_head()
    assert head is not None, "there are migrations"
    return head


def refuse_unknown(revision: str | None) -> None:
    """Raise `ConfigurationError` when a newer program has made the tables."""
    scripts = ScriptDirectory(str(_FOLDER))
    if revision not in {None, *(one.revision for one in scripts.walk_revisions())}:
        raise ConfigurationError(
            f"the database is at revision {revision}, which this version does not know;"
            " run the version that made it, or a newer one"
        )


@contextmanager
def _alone(engine: sa.Engine, node: str, patience: float) -> Iterator[Connection]:
    """A transaction that no other node can migrate beside."""
    alone = _alone_on_sqlite if engine.dialect.name == "sqlite" else _alone_on_postgresql
    with alone(engine, node, time.monotonic() + patience) as connection:
        yield connection


@contextmanager
def _alone_on_postgresql(engine: sa.Engine, node: str, deadline: float) -> Iterator[Connection]:
    told: str | None = None
    with engine.begin() as connection:
        while not connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))):
            row = connection.execute(_HOLDER, {"lock": _LOCK}).first()
            holder = "somebody" if row is None else f"{row[0]} ({row[1] or 'local'}, pid {row[2]})"
            told = _waiting(holder, told, deadline)
        yield connection


@contextmanager
def _alone_on_sqlite(engine: sa.Engine, node: str, deadline: float) -> Iterator[Connection]:
    database = engine.url.database or ":memory:"
    note = Path(f"{database}.migrating")
    told: str | None = None
    with engine.connect() as connection:
        _be_patient(connection, 0.2)
        while True:
            try:
                connection.begin()
                break
            except OperationalError:
                try:
                    holder = note.read_text(encoding="utf-8").strip()
                except OSError:
                    holder = "another process"
                told = _waiting(holder, told, deadline)
        _be_patient(connection, 30)
        if database != ":memory:":
            note.write_text(node, encoding="utf-8")
        try:
            yield connection
            connection.commit()
        finally:
            note.unlink(missing_ok=True)


def _be_patient(connection: Connection, seconds: float) -> None:
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")


def _waiting(holder: str, told: str | None, deadline: float) -> str:
    """Say once who is waited for, pause, and give up after the deadline."""
    if time.monotonic() > deadline:
        raise ConfigurationError(f"{holder} has been migrating the database for too long")
    if holder != told:
        log.warning("waiting for %s, which is migrating the database", holder)
    time.sleep(0.2)
    return holder
