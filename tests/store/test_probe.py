"""A look at a database from outside: it sees the state and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.errors import ConfigurationError
from gateway.store.database import Database
from gateway.store.probe import probe_database
from gateway.store.tables import lease


def test_before_the_first_start_there_are_no_tables_and_none_are_made(
    database_url: str, tmp_path: Path
) -> None:
    assert probe_database(database_url, 5).revision is None
    assert probe_database(database_url, 5).revision is None
    assert not list(tmp_path.iterdir())


def test_a_database_in_use(database: Database, database_url: str) -> None:
    state = probe_database(database_url, 5)
    assert state.revision == state.newest
    with database.read() as tx:
        assert tx.execute(sa.select(lease)).all() == []


def test_a_newer_database(database: Database, database_url: str) -> None:
    with database.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="9999"):
        probe_database(database_url, 5)


def test_a_database_that_is_locked_is_waited_for_in_vain(
    database: Database, database_url: str
) -> None:
    if database.shared:
        pytest.skip("readers and writers of PostgreSQL do not lock each other out")
    with database.write(), pytest.raises(ConfigurationError, match="locked"):
        probe_database(database_url, 0.1)


def test_a_database_that_takes_no_rows(database: Database, database_url: str) -> None:
    if not database.shared:
        pytest.skip("a right of PostgreSQL's")
    with database.engine.begin() as tx:
        tx.execute(sa.text("CREATE ROLE reader LOGIN"))
        tx.execute(sa.text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
    with pytest.raises(ConfigurationError, match="permission denied"):
        probe_database(database_url.replace("gateway@", "reader@"), 5)
