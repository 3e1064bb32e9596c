"""One writer at a time, one sync for all who came meanwhile.

SQLite has a single writer and lets those who wait sleep and poll, so that a few callers
are enough for waits of seconds. Here they take turns on one connection, each within a
savepoint, and whoever finds nobody waiting behind commits for everybody since the last
commit (performance 2.4). Nobody returns before the commit that holds his work.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import own_copy

_LARGEST = 64


class _Batch:
    """Writers whose work is committed together, or not at all."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.writers = 0
        self.ended = threading.Event()
        self.error: SQLAlchemyError | None = None


class GroupCommit:
    """Write transactions on an SQLite database. A thread must not nest them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._batch: _Batch | None = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends, or did not happen."""
        with self._counting:
            self._waiting += 1
        self._turn.acquire()
        with self._counting:
            self._waiting -= 1
        try:
            batch = self._batch = self._batch or self._begin()
        except BaseException:
            self._turn.release()
            raise
        try:
            with _savepoint(batch):
                yield batch.connection
        finally:
            batch.writers += 1
            if self._waiting == 0 or batch.writers >= _LARGEST or batch.error is not None:
                self._end(batch)
            self._turn.release()
            # Even after a failure: what it saw of the others' work may not be durable yet.
            self._wait_for(batch)
        if batch.error is not None:
            raise own_copy(batch.error)

    def _begin(self) -> _Batch:
        connection = self._engine.connect()
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return _Batch(connection)

    def _end(self, batch: _Batch) -> None:
        """Commit for everybody in it; called by whose turn it is."""
        self._batch = None
        try:
            with batch.connection:
                if batch.error is not None:
                    return
                try:
                    batch.connection.commit()
                except SQLAlchemyError:
                    batch.connection.invalidate()  # nobody knows what state it is in
                    raise
        except SQLAlchemyError as error:
            batch.error = batch.error or error
        finally:
            batch.ended.set()

    def _wait_for(self, batch: _Batch) -> None:
        while not batch.ended.wait(1.0):
            # Whoever was waiting behind us went away without taking his turn.
            with self._turn:
                if self._batch is batch:
                    self._end(batch)


@contextmanager
def _savepoint(batch: _Batch) -> Iterator[None]:
    """One writer's share of a batch, undone alone when he fails."""
    run = batch.connection.exec_driver_sql
    run("SAVEPOINT writer")
    try:
        yield
        run("RELEASE writer")
    except BaseException:
        try:
            run("ROLLBACK TO writer")
            run("RELEASE writer")
        except SQLAlchemyError as error:  # a full disk undoes everybody's work
            batch.error = error
        raise
