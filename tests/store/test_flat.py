"""What is asked again and again costs the same however long the history is.

SQLite counts the steps of its machine, so nothing here depends on the clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.engine.ledger import Entry
from gateway.model import Direction, Status
from gateway.store import arrivals, due, jobs, messages, overview, retention
from gateway.store.database import Database
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message
from gateway.store.search import Filter, Page, count, search
from gateway.store.tables import document, event, job, message

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OURS, OTHER, RARE = "910077473", "910075918", "910076787"
SOME = 40
SHORT, LONG = 2_000, 10_000


def identity(number: int) -> str:
    """Counted from the newest, which is 0."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def fill(database: Database, length: int) -> None:
    """A history of letters of ours, one a minute until now: most of them arrived; the
    newest wait, and among the oldest are the only ones to somebody, and handled failures."""
    everything = dict.fromkeys((one.name for one in message.c if one.name != "id"), None)
    rows: dict[sa.Table, list[dict[str, Any]]] = {message: [], event: [], job: [], document: []}
    for number in reversed(range(length)):
        at = NOW - timedelta(minutes=number)
        waits, old = number < 5, length - number <= 10
        state = Status.OPPRETTET if waits else Status.FEIL if old else Status.LEST
        row = length - number
        rows[message].append(
            everything
            | {
                "id": row,
                "direction": Direction.OUTGOING,
                "kind": Kind.LETTER,
                "sender": OURS,
                "receiver": RARE if old else OTHER,
                "message_id": identity(number),
                "conversation_id": identity(number),
                "archive_conversation_id": identity(number),
                "duplicate_key": str(number),
                "reference": f"26/{number}-1",
                "state": state,
                "created": at,
                "updated": at,
                "handled": at if old else None,
            }
        )
        rows[event].append({"message": row, "at": at, "status": state})
        due = at if waits else None
        rows[job].append({"message": row, "task": Task.SEND, "due": due, "attempt": 1})
        if number < 100:
            rows[document].append(
                {"message": row, "role": "file", "position": 1, "filename": "a", "size": 1,
                 "mime_type": "text/plain", "blob": str(number), "sha256": "0" * 64}
            )  # fmt: skip
    with database.write() as tx:
        for table, values in rows.items():
            tx.execute(table.insert(), values)


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    """A short one and a long one."""
    folder: Path = tmp_path_factory.mktemp("histories")
    short, long = (Database(f"sqlite:///{folder / name}.db") for name in ("short", "long"))
    fill(short, SHORT)
    fill(long, LONG)
    yield short, long
    short.close()
    long.close()


def steps(database: Database, ask: Callable[[Connection], object]) -> int:
    """How many steps SQLite's machine takes, in hundreds."""
    taken = 0

    def count_step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with database.read() as tx:
        raw: Any = tx.connection.driver_connection
        raw.set_progress_handler(count_step, 100)
        try:
            ask(tx)
        finally:
            raw.set_progress_handler(None, 0)
    return taken


def listed(**asked: Any) -> Callable[[Connection], Page]:
    return lambda tx: search(tx, Filter(**asked), limit=20, count_to=SOME, look_through=SOME)


def statuses(**asked: Any) -> Callable[[Connection], object]:
    return lambda tx: overview.statuses(tx, **asked, limit=10, count_to=SOME)


LETTER = Message(Direction.OUTGOING, Kind.LETTER, identity(9), identity(9), OURS, OTHER, NOW)
ASKED: dict[str, Callable[[Connection], object]] = {
    "is there work": lambda tx: jobs.any_due(tx, Task.SEND, NOW),
    "what has become due": lambda tx: due.look(tx, NOW),
    "what waits": lambda tx: overview.waiting(tx, Task.SEND),
    "what needs a person": lambda tx: count(tx, Filter(attention=True), count_to=SOME),
    "what is kept for pick-up": lambda tx: count(tx, Filter(waiting=True), count_to=SOME),
    "which packages could not be used": overview.quarantined,
    "which packages are kept": arrivals.quarantined,
    "is it a repetition": lambda tx: messages.find(tx, duplicate_key="out|x|910075918"),
    "was this package seen": lambda tx: arrivals.state(tx, "x"),
    "was it answered": lambda tx: Entry(SimpleNamespace(), tx, NOW).answered(LETTER),  # type: ignore[arg-type]
    "by the archive's id": lambda tx: messages.find(tx, archive_conversation_id=identity(9)),
    "whose files are these": lambda tx: messages.blob_keys(tx, ["1", "2"]),
    "what may be let go": lambda tx: retention.look(tx, NOW - timedelta(days=1)),
    "the list": listed(),
    "the fifth page": lambda tx: search(tx, Filter(), limit=20, offset=80, count_to=SOME),
    "failures": listed(states=(Status.FEIL,)),
    "what needs attention": listed(attention=True),
    "to somebody": listed(receiver=OTHER),
    "to somebody long ago": listed(receiver=RARE),
    "from us, failed": listed(sender=OURS, states=(Status.FEIL,)),
    "from us to somebody": listed(sender=OURS, receiver=RARE),
    "to somebody, of a state that none has": listed(receiver=OTHER, states=(Status.SENDT,)),
    "of a direction that none has": listed(direction=Direction.INCOMING),
    "by reference": listed(reference="26/42-1"),
    "of a day": listed(since=NOW - timedelta(days=1)),
    "search: an id": listed(text=identity(1999)),
    "search: the beginning of an id": listed(text=identity(1999)[:9]),
    "search: a reference": listed(text="26/42-1"),
    "search: an organisation": listed(text=OTHER),
    "search: ourselves": listed(text=OURS),
    "search: an organisation that failed": listed(text=OURS, states=(Status.FEIL,)),
    "search: in vain": listed(text="finnes ikke"),
    "statuses": statuses(),
    "statuses of a message": statuses(message_id=identity(9)),
    "statuses of a conversation": statuses(conversation_id=identity(9)),
    "statuses: failures": statuses(status="FEIL"),
    "statuses of an hour": statuses(since=NOW - timedelta(hours=1), until=NOW),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_it_costs_the_same_with_a_long_history(
    histories: tuple[Database, Database], ask: Callable[[Connection], object]
) -> None:
    short, long = (steps(one, ask) for one in histories)
    assert long <= 1.5 * short + 3, f"{short} with {SHORT} messages, {long} with {LONG}"


@pytest.mark.parametrize("ask", ["what needs a person", "what needs attention"])
def test_failures_that_were_handled_cost_nothing_any_more(tmp_path: Path, ask: str) -> None:
    few, many = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("few", "many"))
    for database in (few, many):
        fill(database, SHORT)
    with many.write() as tx:
        handled = {"state": Status.FEIL, "handled": NOW}
        tx.execute(message.update().where(message.c.id <= SHORT - 100).values(**handled))
    before, now = (steps(one, ASKED[ask]) for one in (few, many))
    assert now <= 1.5 * before + 3
    for database in (few, many):
        database.close()


# --- what is bounded says so ----------------------------------------------------------

LENGTH = 300


@pytest.fixture
def history(database: Database) -> Database:
    fill(database, LENGTH)
    return database


def test_a_total_that_was_not_counted_to_its_end_says_so(history: Database) -> None:
    with history.read() as tx:
        page = search(tx, Filter(), limit=20, count_to=100)
        assert (page.total.number, page.total.more, page.back_to) == (100, True, None)
        later = search(tx, Filter(), limit=20, offset=200, count_to=100)
        assert (later.total.number, later.total.more) == (220, True)
        last = search(tx, Filter(), limit=20, offset=LENGTH - 5, count_to=100)
        assert (last.total.number, last.total.more) == (LENGTH, False)
        exact = search(tx, Filter(receiver=RARE), limit=5, count_to=100)
        assert (exact.total.number, exact.total.more) == (10, False)


def test_what_was_not_looked_through_is_said_and_can_be_asked_for(history: Database) -> None:
    """The oldest messages hold the only failure that is found by its state's name."""
    failures = Filter(text="feil")
    with history.read() as tx:
        recent = search(tx, failures, limit=20, look_through=100)
        assert (list(recent.messages), recent.total.number) == ([], 0)
        assert recent.back_to == NOW - timedelta(minutes=99)
        earlier = search(tx, Filter(text="feil", until=recent.back_to), limit=20, look_through=100)
        assert earlier.back_to == NOW - timedelta(minutes=199)
        everything = search(tx, failures, limit=20, look_through=100, everything=True)
        assert (everything.total.number, everything.back_to) == (10, None)
        enough = search(tx, failures, limit=20, look_through=LENGTH + 1)
        assert (enough.total.number, enough.back_to) == (10, None)


def test_what_an_index_knows_is_found_however_old(history: Database) -> None:
    oldest = identity(LENGTH - 1)
    with history.read() as tx:
        for wanted in (
            Filter(text=oldest.upper()),
            Filter(text=oldest[:8]),
            Filter(text=f"26/{LENGTH - 1}-1"),
            Filter(text=oldest[:20]),
            Filter(text=f"{oldest} && feil"),
            Filter(reference=f"26/{LENGTH - 1}-1"),
            Filter(
                receiver=RARE, sender=OURS, until=NOW - timedelta(minutes=LENGTH - 1, seconds=-1)
            ),
            Filter(message_id=oldest, direction=Direction.OUTGOING),
        ):
            page = search(tx, wanted, limit=20, look_through=100)
            assert [one.message_id for one in page.messages] == [oldest], wanted
            assert page.back_to is None
        assert search(tx, Filter(text=RARE), limit=20, look_through=100).total.number == 10


def test_a_part_of_an_id_that_could_be_a_beginning_is_found_too(history: Database) -> None:
    end = identity(3)[-12:]
    with history.read() as tx:
        page = search(tx, Filter(text=end), limit=20, look_through=100)
    assert [one.message_id for one in page.messages] == [identity(3)]
    assert page.back_to is not None


def test_a_letter_to_oneself_is_listed_once(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    with database.write() as tx:
        messages.add(
            tx, Message(Direction.OUTGOING, Kind.LETTER, identity(0), identity(0), OURS, OURS, NOW)
        )
    with database.read() as tx:
        assert search(tx, Filter(text=OURS), limit=20).total.number == 1
    database.close()


def test_of_more_than_can_be_counted_the_oldest_is_of_those_that_are_due_first(
    history: Database,
) -> None:
    with history.read() as tx:
        all_ = overview.waiting(tx, Task.SEND)
        some = overview.waiting(tx, Task.SEND, count_to=3)
    assert (all_.count.number, all_.count.more) == (5, False)
    assert (some.count.number, some.count.more) == (3, True)
    assert all_.oldest == some.oldest == NOW - timedelta(minutes=4)


def test_an_organisation_is_paged_through_both_ways_without_a_gap(history: Database) -> None:
    with history.write() as tx:
        tx.execute(
            message.update()
            .where(message.c.id % 3 == 0)
            .values(sender=OTHER, receiver=OURS, direction=Direction.INCOMING)
        )
    found: list[int] = []
    with history.read() as tx:
        while page := search(tx, Filter(text=OURS), limit=70, offset=len(found)).messages:
            found += [one.row_id for one in page]
    assert found == list(range(LENGTH, 0, -1))
