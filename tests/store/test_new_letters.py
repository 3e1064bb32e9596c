"""Letters that are stored in one go are told apart as if they had come one by one."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.engine.context import Books, Policy, Served
from gateway.engine.ledger import Ledger
from gateway.engine.new_letters import NewLetter, NewLetters
from gateway.model import Direction, Document, Status
from gateway.store import jobs, messages
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.messages import Duplicate, Kind, Message, Role

OURS, RECEIVER, OTHER_RECEIVER = "910077473", "910075918", "974760673"
LATER = datetime.now(UTC) + timedelta(days=2)


class Node:
    """One gateway's part that stores letters; `hold` keeps it busy with a first one."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.blobs = BlobStore(folder)
        self._busy, self._may_go_on = threading.Event(), threading.Event()
        self._may_go_on.set()
        books = Books(
            database=database,
            blobs=self.blobs,
            policy=Policy((Served(OURS, "p360"),), "urn:test"),
            now=self._now,
        )
        self.letters = NewLetters(Ledger(books))

    def _now(self) -> datetime:
        self._busy.set()
        assert self._may_go_on.wait(30)
        return datetime.now(UTC)

    def letter(
        self, archive_id: str | None, receiver: str = RECEIVER, sender: str = OURS
    ) -> NewLetter:
        spool = self.blobs.bundle()
        contents = []
        for data in (b"document", b"<arkivmelding/>"):
            writer = spool.create()
            writer.write(data)
            contents.append(writer.commit())
        self.blobs.keep(contents)
        now = datetime.now(UTC)
        message = Message(
            direction=Direction.OUTGOING,
            kind=Kind.LETTER,
            message_id="",
            conversation_id="",
            archive_conversation_id=archive_id,
            sender=sender,
            receiver=receiver,
            created=now,
            expires=now + timedelta(hours=24),
            duplicate_key=archive_id and f"out|{sender}|{archive_id.lower()}|{receiver}",
        )
        return NewLetter(
            message,
            str(uuid.uuid4()),
            Document("arkivmelding.xml", "text/xml", contents[1]),
            (Document("brev.txt", "text/plain", contents[0]),),
        )

    def store_in_one_go(self, *letters: NewLetter) -> list[Future[None]]:
        """All of these together, in their order, after one that keeps the node busy."""
        with ThreadPoolExecutor(len(letters) + 1) as callers:
            self._busy.clear()
            self._may_go_on.clear()
            first = callers.submit(self.letters.store, self.letter(None))
            assert self._busy.wait(30)
            asked = []
            for number, letter in enumerate(letters, start=1):
                asked.append(callers.submit(self.letters.store, letter))
                while len(self.letters._together._waiting) < number:
                    assert not asked[-1].done()
            self._may_go_on.set()
        first.result()
        return asked


@pytest.fixture
def node(database: Database, tmp_path: Path) -> Node:
    return Node(database, tmp_path / "blobs")


def stored(database: Database, archive_id: str) -> list[Message]:
    with database.read() as tx:
        found = messages.select(tx, messages.message.c.archive_conversation_id == archive_id)
    return found[::-1]


def test_letters_stored_in_one_go_have_all_that_a_letter_has(
    node: Node, database: Database
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(5)]
    for one in node.store_in_one_go(*map(node.letter, ids)):
        one.result()
    for archive_id in ids:
        (letter,) = stored(database, archive_id)
        assert (letter.message_id, letter.conversation_id) == (archive_id, archive_id)
        assert letter.state is Status.OPPRETTET
        with database.read() as tx:
            assert [one.status for one in messages.events(tx, letter.row_id)] == [Status.OPPRETTET]
            (metadata,) = messages.documents(tx, letter.row_id, node.blobs, Role.METADATA)
            (file,) = messages.documents(tx, letter.row_id, node.blobs, Role.FILE)
        assert metadata.content.open().read() == b"<arkivmelding/>"
        assert (file.filename, file.content.open().read()) == ("brev.txt", b"document")
    for task in (Task.SEND, Task.EXPIRE):
        with database.write() as tx:
            claimed = jobs.claim(tx, task, LATER, lease=timedelta(minutes=1), limit=10)
        assert len(claimed) == 6  # and the one that came first


def test_the_same_letter_twice_in_one_go_is_stored_once(node: Node, database: Database) -> None:
    archive_id = str(uuid.uuid4())
    first, again = node.store_in_one_go(node.letter(archive_id), node.letter(archive_id.upper()))
    assert first.exception() is None
    assert isinstance(again.exception(), Duplicate)
    assert len(stored(database, archive_id)) == 1


def test_letters_to_several_receivers_in_one_go_share_their_conversation(
    node: Node, database: Database
) -> None:
    archive_id = str(uuid.uuid4())
    for one in node.store_in_one_go(
        node.letter(archive_id), node.letter(archive_id, OTHER_RECEIVER)
    ):
        one.result()
    first, second = stored(database, archive_id)
    assert first.message_id == archive_id != second.message_id
    assert first.conversation_id == second.conversation_id == archive_id


def test_the_same_id_from_two_organisations_in_one_go_is_two_conversations(
    node: Node, database: Database
) -> None:
    archive_id = str(uuid.uuid4())
    letters = node.letter(archive_id), node.letter(archive_id, RECEIVER, OTHER_RECEIVER)
    for one in node.store_in_one_go(*letters):
        one.result()
    first, second = stored(database, archive_id)
    assert first.conversation_id == archive_id
    assert second.conversation_id == second.message_id != archive_id


def test_a_letter_that_the_database_refuses_does_not_take_others_with_it(
    node: Node, database: Database
) -> None:
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite takes text of any length")
    good, too_long = str(uuid.uuid4()), str(uuid.uuid4())
    fine, refused = node.store_in_one_go(node.letter(good), node.letter(too_long, "9" * 40))
    assert fine.exception() is None
    assert "value too long" in str(refused.exception())
    assert len(stored(database, good)) == 1
    assert stored(database, too_long) == []


def test_two_nodes_that_get_the_same_letters_store_each_once(
    database_url: str, tmp_path: Path
) -> None:
    databases = [Database(database_url) for _ in range(2)]
    nodes = [Node(one, tmp_path / "blobs") for one in databases]
    ids = [str(uuid.uuid4()) for _ in range(40)]
    with ThreadPoolExecutor(8) as callers:
        asked = {
            archive_id: [
                callers.submit(node.letters.store, node.letter(archive_id)) for node in nodes
            ]
            for archive_id in ids
        }
    for archive_id, outcomes in asked.items():
        errors = [one.exception() for one in outcomes]
        assert sorted(type(error).__name__ for error in errors) == ["Duplicate", "NoneType"]
        assert len(stored(databases[0], archive_id)) == 1
    for one in databases:
        one.close()
