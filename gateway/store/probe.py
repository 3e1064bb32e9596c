"""A look at a database without opening it for work: nothing is made, migrated or left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from gateway.errors import ConfigurationError
from gateway.store.database import NODE
from gateway.store.migrate import current_revision, newest_revision, refuse_unknown
from gateway.store.tables import lease


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """`revision` is None while there are no tables; `newest` is what they are brought to."""

    kind: str
    revision: str | None
    newest: str


def probe_database(url: str, patience: float) -> DatabaseState:
    """What state a database is in, and that its tables take rows.

    A gateway may be working on it meanwhile; `patience` is how many seconds it is waited
    for. A row is written and never committed. Raises `ConfigurationError`.
    """
    try:
        engine = _engine(url, patience)
    except (ArgumentError, ImportError) as error:
        raise ConfigurationError(f"database.url: {error}") from error
    kind = engine.dialect.name
    file = engine.url.database
    if kind == "sqlite" and file and not Path(file).exists():
        return DatabaseState(kind, None, newest_revision())
    try:
        with engine.connect() as connection:
            connection.begin()
            revision = current_revision(connection)
            refuse_unknown(revision)
            if revision == newest_revision():
                row = {"name": f"check {NODE}", "holder": NODE, "until": datetime.now(UTC)}
                connection.execute(lease.insert().values(row))
            connection.rollback()
    except DBAPIError as error:
        raise ConfigurationError(f"{kind}: {error.orig}") from error
    finally:
        engine.dispose()
    return DatabaseState(kind, revision, newest_revision())


def _engine(url: str, patience: float) -> sa.Engine:
    if sa.make_url(url).get_backend_name() != "sqlite":
        wait = {"connect_timeout": max(1, int(patience))}
        return sa.create_engine(url, hide_parameters=True, connect_args=wait)
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": patience})
    sa.event.listen(engine, "connect", _leave_begin_to_us)
    sa.event.listen(engine, "begin", lambda tx: tx.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _leave_begin_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
