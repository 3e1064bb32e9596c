"""Messages, their duplicates, timelines and documents."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.model import (
    AppReceipt,
    Direction,
    Document,
    Event,
    Loss,
    Outcome,
    ReceiptType,
    Status,
    StatusMessage,
)
from gateway.store import arrivals, jobs, messages
from gateway.store.arrivals import ArrivalState
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.messages import Duplicate, Kind, Message, Role

NOW = datetime(2026, 11, 24, 8, 15, 30, 123456, tzinfo=UTC)
LEASE = timedelta(minutes=5)


def letter(**columns: object) -> Message:
    values: dict[str, object] = {
        "direction": Direction.OUTGOING,
        "kind": Kind.LETTER,
        "message_id": "5b6a1c0e-0000-4000-8000-000000000001",
        "conversation_id": "5b6a1c0e-0000-4000-8000-000000000001",
        "sender": "910077473",
        "receiver": "910075918",
        "created": NOW,
    }
    return Message(**{**values, **columns})  # type: ignore[arg-type]


def test_a_message_comes_back_as_it_was_stored(database: Database) -> None:
    receipt = AppReceipt(
        ReceiptType.ERROR,
        (StatusMessage("b", "ø"), StatusMessage("a", ""), StatusMessage("b", "ø")),
    )
    loss = Loss("journpost/jpTgkode", Outcome.LOST, "code", "no home", None, "U")
    new = letter(
        receipt=receipt, losses=(loss,), warnings=("w",), expires=NOW + timedelta(hours=24)
    )
    with database.write() as tx:
        stored = messages.add(tx, new)
    with database.read() as tx:
        assert messages.get(tx, stored.row_id) == replace(stored, updated=NOW)


def test_a_second_message_with_the_same_key_is_a_duplicate_and_harms_nothing(
    database: Database,
) -> None:
    with database.write() as tx:
        first = messages.add(tx, letter(duplicate_key="out|x|910075918"))
        with pytest.raises(Duplicate):
            messages.add(tx, letter(duplicate_key="out|x|910075918"))
        messages.add_event(tx, first.row_id, Event(NOW, Status.OPPRETTET))
    with database.read() as tx:
        assert len(messages.select(tx)) == 1
        assert [one.status for one in messages.events(tx, first.row_id)] == [Status.OPPRETTET]


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as tx:
        messages.add(tx, letter())
        raise RuntimeError
    with database.read() as tx:
        assert messages.select(tx) == []


def test_documents_keep_their_order_behind_the_metadata(database: Database, tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")

    def document(name: str) -> Document:
        writer = blobs.create()
        writer.write(name.encode())
        return Document(name, "text/plain", writer.commit(), None)

    with database.write() as tx:
        stored = messages.add(tx, letter())
        messages.add_documents(tx, stored.row_id, [document("b"), document("a")])
        messages.add_documents(tx, stored.row_id, [document("arkivmelding.xml")], Role.METADATA)
    with database.read() as tx:
        found = messages.documents(tx, stored.row_id, blobs, Role.METADATA, Role.FILE)
        assert [one.filename for one in found] == ["arkivmelding.xml", "b", "a"]
        keys = [one.content.key for one in found]  # type: ignore[attr-defined]
        assert messages.blob_keys(tx, [*keys, "unknown"]) == set(keys)


def test_a_claimed_job_is_nobody_elses_until_its_lease_ends(database: Database) -> None:
    with database.write() as tx:
        stored = messages.add(tx, letter())
        jobs.add(tx, stored.row_id, Task.SEND, NOW)
        jobs.add(tx, stored.row_id, Task.SEND, NOW)
        (job,) = jobs.claim(tx, Task.SEND, NOW, lease=LEASE, limit=10)
        assert jobs.claim(tx, Task.SEND, NOW + LEASE / 2, lease=LEASE) == []
        (again,) = jobs.claim(tx, Task.SEND, NOW + LEASE, lease=LEASE)
        assert again.attempt == job.attempt + 1
        assert not jobs.finish(tx, job), "the first worker has lost its lease"
        assert jobs.finish(tx, again)
        assert jobs.waiting(tx) == {}


def test_a_postponed_job_is_due_later_and_counts_its_failures(database: Database) -> None:
    later = NOW + timedelta(hours=1)
    with database.write() as tx:
        stored = messages.add(tx, letter())
        jobs.add(tx, stored.row_id, Task.DELIVER, NOW)
        (job,) = jobs.claim(tx, Task.DELIVER, NOW, lease=LEASE)
        assert jobs.postpone(tx, job, later, "ArchiveUnreachable: refused")
        assert not jobs.any_due(tx, Task.DELIVER, NOW + LEASE)
        (again,) = jobs.claim(tx, Task.DELIVER, later, lease=LEASE)
        assert again.failures == 1


def test_a_transfer_is_open_until_the_network_drops_it(database: Database) -> None:
    with database.write() as tx:
        stored = messages.add(tx, letter())
        jobs.announce_transfer(tx, stored.row_id, "t1", NOW)
        assert jobs.open_transfer(tx, stored.row_id) == "t1"
        jobs.close_transfer(tx, "t1", NOW, uploaded=False)
        assert jobs.open_transfer(tx, stored.row_id) is None


def test_an_arrival_remembers_how_far_we_are(database: Database) -> None:
    with database.write() as tx:
        assert arrivals.state(tx, "t1") is None
        assert arrivals.failed(tx, "t1", "910077473", NOW, "md5") == 1
        assert arrivals.failed(tx, "t1", "910077473", NOW, "md5") == 2
        assert arrivals.state(tx, "t1") is ArrivalState.SEEN
        arrivals.record(
            tx, "t1", "910077473", ArrivalState.QUARANTINED, NOW, problem="p", quarantine="k"
        )
        assert arrivals.quarantined(tx) == {"k"}


def test_writers_wait_for_each_other(database: Database) -> None:
    errors: list[Exception] = []

    def add_many() -> None:
        try:
            for _ in range(25):
                with database.write() as tx:
                    assert len(messages.select(tx)) >= 0  # read first, then write
                    messages.add(tx, letter())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with database.read() as tx:
        assert len(messages.select(tx)) == 100


def test_a_reader_sees_one_moment(database: Database) -> None:
    """An alarm was raised in vain because a count and a list did not agree."""
    with database.read() as reader:
        assert messages.select(reader) == []
        with database.write() as tx:
            messages.add(tx, letter())
        assert messages.select(reader) == []
    with database.read() as reader:
        assert len(messages.select(reader)) == 1
