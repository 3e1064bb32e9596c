"""The tables are what the migrations make of them, and one node at a time makes them."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gateway.errors import ConfigurationError
from gateway.store.database import Database
from gateway.store.migrate import migrate
from gateway.store.tables import metadata


def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    """When this fails, tables.py was changed: write the migration that goes with it."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_queue_index_holds_only_what_is_due(database: Database) -> None:
    with database.read() as tx:
        if database.shared:
            sql = tx.execute(
                sa.text("SELECT indexdef FROM pg_indexes WHERE indexname = 'job_due'")
            ).scalar_one()
        else:
            sql = tx.execute(
                sa.text("SELECT sql FROM sqlite_master WHERE name = 'job_due'")
            ).scalar_one()
    assert "due IS NOT NULL" in sql


def test_opening_again_changes_nothing(database_url: str) -> None:
    for _ in range(2):
        Database(database_url).close()


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(ConfigurationError, match="9999"):
        Database(database_url)


def test_nodes_that_start_at_once_all_find_the_tables(database_url: str) -> None:
    script = "import sys; from gateway.store.database import Database; Database(sys.argv[1])"
    nodes = [
        subprocess.Popen([sys.executable, "-c", script, database_url], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for node in nodes:
        _, errors = node.communicate(timeout=60)
        assert node.returncode == 0, errors.decode()


def test_who_waits_says_for_whom(
    database_url: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """One process holds the lock as if its migration took long; the other is told."""
    script = (
        "import sys, time\n"
        "from gateway.store.database import _engine, NODE\n"
        "from gateway.store.migrate import _alone\n"
        "with _alone(_engine(sys.argv[1]), NODE, 30):\n"
        "    print(NODE, flush=True)\n"
        "    time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, database_url], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    name = holder.stdout.readline().strip()
    opened = threading.Event()

    def open_database() -> None:
        Database(database_url).close()
        opened.set()

    with caplog.at_level(logging.WARNING, "gateway.store.migrate"):
        thread = threading.Thread(target=open_database)
        thread.start()
        deadline = time.monotonic() + 20
        while name not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
    assert name in caplog.text
    assert not opened.is_set()
    holder.kill()  # the lock dies with its holder
    holder.wait()
    thread.join(30)
    assert opened.is_set()


def test_who_waits_gives_up_in_the_end(database_url: str) -> None:
    from gateway.store import database as module
    from gateway.store.migrate import _alone

    first, second = module._engine(database_url), module._engine(database_url)
    with _alone(first, "the first", 5), pytest.raises(ConfigurationError, match="too long"):
        migrate(second, "the second", patience=0.5)
    first.dispose()
    second.dispose()
