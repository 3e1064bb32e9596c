"""Content goes when its message is over and old; everything else stays."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.engine.housekeeping import Housekeeping
from gateway.model import Direction, Document, Event, Status
from gateway.store import jobs, messages
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message, Role
from gateway.store.retention import let_go, look

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
BEFORE = NOW - 90 * DAY


def kept(
    database: Database,
    blobs: BlobStore,
    *,
    age: timedelta = 100 * DAY,
    state: Status = Status.LEST,
    kind: Kind = Kind.LETTER,
    handled: bool = False,
    due: bool = False,
) -> int:
    writer = blobs.create()
    writer.write(b"et brev")
    blob = writer.commit()
    blobs.keep([blob])
    with database.write() as tx:
        stored = messages.add(
            tx,
            Message(
                direction=Direction.OUTGOING,
                kind=kind,
                message_id="5b6a1c0e-0000-4000-8000-000000000001",
                conversation_id="5b6a1c0e-0000-4000-8000-000000000001",
                sender="910077473",
                receiver="910075918",
                created=NOW - age,
                state=state,
            ),
        )
        messages.add_documents(tx, stored.row_id, [Document("b.txt", "text/plain", blob)])
        messages.add_event(tx, stored.row_id, Event(NOW - age, state))
        if handled:
            messages.change(tx, stored.row_id, handled=NOW - age)
        if due:
            jobs.add(tx, stored.row_id, Task.SEND, NOW)
    return stored.row_id


def run(database: Database, blobs: BlobStore) -> None:
    position, last = 0, False
    while not last:
        with database.read() as tx:
            found = look(tx, BEFORE, position, limit=2)
        with database.write() as tx:
            keys = let_go(tx, found.over, BEFORE, NOW)
        for key in keys:
            blobs.delete(key)
        position, last = found.end, found.last


def has_documents(database: Database, blobs: BlobStore, row_id: int) -> bool:
    with database.read() as tx:
        found = messages.documents(tx, row_id, blobs, Role.FILE)
    return bool(found)


@pytest.mark.parametrize(
    ("what", "stays"),
    [
        ({}, False),
        ({"state": Status.INNKOMMENDE_LEVERT}, False),
        ({"state": Status.FEIL, "handled": True}, False),
        ({"age": 80 * DAY}, True),
        ({"state": Status.FEIL}, True),
        ({"state": Status.OPPRETTET}, True),
        ({"state": Status.SENDT, "due": True}, True),
        ({"kind": Kind.OTHER, "state": Status.LEVERT}, True),
    ],
)
def test_what_is_over_and_old_is_let_go(
    database: Database, tmp_path: Path, what: dict, stays: bool
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    row_id = kept(database, blobs, **what)
    run(database, blobs)
    assert has_documents(database, blobs, row_id) is stays
    files = [path for path in blobs.folder.rglob("*") if path.is_file()]
    assert len(files) == (1 if stays else 0)


def test_it_is_written_into_the_timeline_and_moves_nothing_up(
    database: Database, tmp_path: Path
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    rows = [kept(database, blobs) for _ in range(5)]
    run(database, blobs)
    with database.read() as tx:
        for row_id in rows:
            last = messages.events(tx, row_id)[-1]
            assert (last.at, last.description) == (NOW, "Dokumentene er slettet etter 90 dager")
            assert messages.get(tx, row_id).updated == NOW - 100 * DAY


def test_housekeeping_does_it_and_sweeps_what_has_no_row(
    database: Database, tmp_path: Path
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    row_id = kept(database, blobs)
    orphan = BlobStore(tmp_path / "blobs").create()  # of a process that was killed
    orphan.write(b"rest")
    path = orphan.commit().path
    context = SimpleNamespace(database=database, blobs=blobs, now=lambda: NOW)
    housekeeping = Housekeeping(context, 90 * DAY)  # type: ignore[arg-type]
    housekeeping.sweep(before=time.time() + 1)
    assert not path.exists()
    assert has_documents(database, blobs, row_id)
    housekeeping.let_go()
    assert not has_documents(database, blobs, row_id)
