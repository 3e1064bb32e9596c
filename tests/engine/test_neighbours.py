"""A neighbour that is away with a backlog: one message tries, nobody else is held up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from letters_and_traces import CONTENT, Pair, arrives_once, filed, receipts, send, until

from gateway.demo import Demo, Side
from gateway.engine.alerts import Alerts, Notice
from gateway.engine.health import Finding, Subject
from gateway.engine.operations import Operations
from gateway.model import Status
from gateway.settings import Messages
from gateway.simulators.archive import Behaviour
from gateway.store import circuits, jobs, messages
from gateway.store.circuits import Trouble
from gateway.store.jobs import Task
from gateway.store.tables import message as messages_table

CLOSED_FOR_LUNCH = Behaviour(answer="status", status=503, files=False, receipt=None)
WORKERS = 4
BACKLOG = 20


@pytest.fixture(scope="module")
def quick_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    quick = Messages(retry_seconds=0.2)
    with Demo(tmp_path_factory.mktemp("circuits"), lambda line: None, messages=quick) as demo:
        yield Pair(demo)


@pytest.fixture
def quick(quick_pair: Pair) -> Iterator[Pair]:
    yield quick_pair
    quick_pair.b.archive.default = Behaviour()
    quick_pair.demo.network.faults.remove()


def troubles(side: Side) -> list[Trouble]:
    with side.gateway.database.read() as tx:
        return circuits.troubles(tx)


def outages(side: Side) -> int:
    return sum(one.circuit.outages for one in troubles(side))


def finding(side: Side, subject: Subject) -> Finding:
    return next(one for one in side.gateway.health.examine() if one.subject is subject)


class Ear:
    """Hears what a person is told."""

    name = "ear"

    def __init__(self) -> None:
        self.heard: list[Notice] = []

    def tell(self, notice: Notice) -> None:
        self.heard.append(notice)


def test_a_dead_archive_is_tried_by_one_letter_at_a_time_and_gets_all_when_it_is_back(
    quick: Pair,
) -> None:
    archive = quick.b.archive
    archive.default = CLOSED_FOR_LUNCH
    before = len(archive.requests)
    sent = [send(quick, b"x" * 200 + bytes([number])) for number in range(BACKLOG)]
    until(lambda: [one.waiting for one in troubles(quick.b)] in ([BACKLOG], [BACKLOG - 1]))
    until(lambda: outages(quick.b) >= 5)
    known = outages(quick.b)
    # Each outage is one try, and those count less than once that were under way together.
    assert len(archive.requests) - before <= known + WORKERS + 1

    ear = Ear()
    context = quick.b.gateway.context
    Alerts(context, quick.b.gateway.health, [ear]).check()
    Alerts(context, quick.b.gateway.health, [ear]).check()
    (told,) = [one for one in ear.heard if one.cause == "archive"]
    assert f"archive {quick.b.orgnr} was not there" in told.summary
    assert "HTTP 503" in told.summary
    assert finding(quick.b, Subject.ARCHIVE).figures["circuits"] == 1

    archive.default = Behaviour()
    until(lambda: all(receipts(quick.a, one) for one in sent), 30)
    assert [len(filed(quick.b, one)) for one in sent] == [1] * BACKLOG
    until(lambda: troubles(quick.b) == [])
    assert finding(quick.b, Subject.ARCHIVE).well


def test_a_closed_port_is_knocked_at_by_one_and_what_waits_comes_when_it_opens(
    quick: Pair,
) -> None:
    archive = quick.b.archive
    archive._port = int(archive.url.rpartition(":")[2].partition("/")[0])  # the same again
    archive.stop()
    try:
        sent = [send(quick, b"y" * 200 + bytes([number])) for number in range(5)]
        until(lambda: outages(quick.b) >= 4)
        assert "ArchiveUnreachable" in troubles(quick.b)[0].problem
    finally:
        archive.start()
    until(lambda: all(receipts(quick.a, one) for one in sent), 30)
    assert [len(filed(quick.b, one)) for one in sent] == [1] * 5


def test_a_person_need_not_wait_for_the_next_try(quick: Pair) -> None:
    archive = quick.b.archive
    archive.default = CLOSED_FOR_LUNCH
    sent = [send(quick, b"z" * 200 + bytes([number])) for number in range(3)]
    until(lambda: outages(quick.b) >= 7)  # the next try is three seconds away
    archive.default = Behaviour()
    waiting = troubles(quick.b)[0]
    with quick.b.gateway.database.read() as tx:
        (letter,) = messages.select(
            tx,
            messages_table.c.conversation_id == sent[0],
            messages_table.c.kind == messages.Kind.LETTER,
        )
    Operations(quick.b.gateway.context).retry(letter.row_id, "tester")
    until(lambda: troubles(quick.b) == [], 3)
    assert waiting.circuit.probe_at is not None
    assert waiting.circuit.probe_at > quick.b.gateway.context.now()
    until(lambda: all(receipts(quick.a, one) for one in sent))


def test_a_receiver_that_cannot_be_reached_holds_up_nobody_else(quick: Pair) -> None:
    """The registry fails for one receiver; its lookups are few, and others get their letters."""
    network, a = quick.demo.network, quick.a
    lost = network.add_organisation("974760673", "Bortkommen kommune")
    first, _ = a.archive.send_letter(lost.orgnr, [("b.pdf", "application/pdf", CONTENT)])
    operations = Operations(a.gateway.context)
    letter = operations.find(first)
    until(lambda: operations.find(first).state is Status.SENDT)

    a.gateway.context.addresses._cache_seconds = 0.0  # type: ignore[attr-defined]
    a.gateway.context.addresses._cache.clear()  # type: ignore[attr-defined]
    lookups = network.fault("process", transfer_id=lost.orgnr, status=503, times=None, body="{}")
    again = [operations.resend(letter.row_id, "tester", force=True) for _ in range(BACKLOG)]
    until(lambda: [one.waiting for one in troubles(a)] in ([BACKLOG], [BACKLOG - 1]))
    arrives_once(quick, send(quick))
    until(lambda: outages(a) >= 4)
    known = outages(a)
    assert lookups.acted <= known + WORKERS + 1
    (away,) = troubles(a)
    assert away.name == f"{a.orgnr} to {lost.orgnr}"
    assert not finding(a, Subject.RECEIVERS).well
    assert finding(a, Subject.NETWORK).well

    network.faults.remove()
    until(
        lambda: all(operations.show(one.row_id).message.state is Status.SENDT for one in again), 30
    )
    until(lambda: finding(a, Subject.RECEIVERS).well)


def test_a_circuit_that_nothing_waits_for_is_forgotten(quick: Pair) -> None:
    quick.b.archive.default = CLOSED_FOR_LUNCH
    conversation_id = send(quick, b"q" * 200)
    until(lambda: outages(quick.b) >= 3)
    with quick.b.gateway.database.write() as tx:
        (letter,) = messages.select(
            tx,
            messages_table.c.conversation_id == conversation_id,
            messages_table.c.kind == messages.Kind.LETTER,
        )
        jobs.cancel(tx, letter.row_id, Task.DELIVER)
    until(lambda: troubles(quick.b) == [])
