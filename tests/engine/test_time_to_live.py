"""Deadlines (registry-and-statuses 4): its check points T1-T5, its quirks Q1 and Q2."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from letters_and_traces import (
    Pair,
    arrives_once,
    content_of,
    filed,
    inject,
    letter_of,
    receipts,
    received,
    send,
    sent_by,
    timeline,
    until,
)

from gateway.demo import Demo
from gateway.engine.deadline import Deadline
from gateway.engine.health import Subject
from gateway.engine.ledger import Ledger
from gateway.engine.operations import Operations
from gateway.model import ReceiptType, Status
from gateway.package import Sbd, arkivmelding_sbd, status_sbd
from gateway.settings import Messages
from gateway.simulators.archive import Behaviour
from gateway.store import circuits, messages
from gateway.store.jobs import Job, Task
from gateway.store.messages import Kind
from gateway.store.tables import job as jobs_table

AWAY = Behaviour(answer="status", status=503, files=False, receipt=None)
LONG_AGO = timedelta(hours=-1)


@pytest.fixture(scope="module")
def brief_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Letters and statuses live for three seconds."""
    brief = Messages(retry_seconds=0.2, ttl_hours=3 / 3600)
    with Demo(tmp_path_factory.mktemp("brief"), lambda line: None, messages=brief) as demo:
        yield Pair(demo)


@pytest.fixture
def brief(brief_pair: Pair) -> Iterator[Pair]:
    yield brief_pair
    brief_pair.demo.network.faults.remove()
    brief_pair.b.archive.default = Behaviour()
    for side in (brief_pair.a, brief_pair.b):  # what was away for one letter is there again
        with side.gateway.database.write() as tx:
            for one in circuits.troubles(tx):
                circuits.close(tx, one.name, side.gateway.context.now())


def letter_from_b(pair: Pair, expires: timedelta | None) -> Sbd:
    """A letter from B to A that came to the network otherwise than through B's archive."""
    now = datetime.now(UTC)
    first = send(pair)
    until(lambda: filed(pair.b, first))
    letter = arkivmelding_sbd(
        sender=pair.b.orgnr,
        receiver=pair.a.orgnr,
        message_id=str(uuid.uuid4()),
        conversation_id=str(uuid.uuid4()),
        created=now,
        expires=None if expires is None else now + expires,
    )
    inject(pair, letter, *content_of(pair.b, first))
    return letter


def test_t2_before_every_attempt_and_the_archive_is_told_although_the_cause_is_our_own(
    brief: Pair,
) -> None:
    """Wrong credentials on the way out, as in Digdir's acceptance test 1.2."""
    brief.demo.network.fault("exchange", status=403, times=None, body="{}")
    brief.demo.network.fault("initialize", status=403, times=None, body="{}")
    conversation_id = send(brief)
    assert timeline(brief.a, conversation_id) == [Status.OPPRETTET]  # queued is not sent
    until(lambda: receipts(brief.a, conversation_id), 30)
    assert [one.type for one in receipts(brief.a, conversation_id)] == [ReceiptType.ERROR]
    assert timeline(brief.a, conversation_id)[-1] is Status.LEVETID_UTLOPT
    known, told = (one.text for one in receipts(brief.a, conversation_id)[0].messages)
    assert known == "Levetiden for meldingen er utgått. Må sendes på nytt"
    assert "ikke sendt innen fristen" in told
    assert "meldingsnettverket ga oss ikke tilgang" in told
    assert "Driftsansvarlig må kontrollere organisasjon" in told


def story(pair: Pair, conversation_id: str) -> str:
    """What the timeline of an outgoing letter says of its end, and the alarm about it."""
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    last = Operations(pair.a.gateway.context).show(letter.row_id).events[-1]
    assert last.status is Status.LEVETID_UTLOPT
    found = {one.subject: one for one in pair.a.gateway.health.examine()}
    assert f"{letter.message_id}: {last.description}" in found[Subject.DEAD].summary
    return last.description or ""


@pytest.mark.parametrize(
    ("faults", "cause", "remedy"),
    [
        (
            {"initialize": (403, '{"code": "BRO-00005", "detail": "Not for 01017012345"}')},
            "meldingsnettverket avviste oss («",
            "Driftsansvarlig må kontrollere organisasjon, ressurs og rettigheter",
        ),
        (
            {"initialize": (503, "{}")},
            "meldingsnettverket var ikke tilgjengelig («",
            "Send meldingen på nytt når det er i orden igjen",
        ),
        (
            {"initialize": (401, ""), "exchange": (503, "{}")},
            "innloggingen til meldingsnettverket var ikke tilgjengelig («",
            "Send meldingen på nytt når det er i orden igjen",
        ),
        (
            {"upload": (503, "{}")},
            "det er uklart om meldingsnettverket fikk meldingen («",
            "Spør mottakeren om meldingen er kommet fram",
        ),
    ],
)
def test_a_letter_that_was_never_sent_tells_what_came_in_its_way_last(
    brief: Pair, faults: dict[str, tuple[int, str]], cause: str, remedy: str
) -> None:
    """In the receipt that its archive gets, in its timeline, and in what calls a person."""
    for call, (status, body) in faults.items():
        brief.demo.network.fault(call, status=status, times=None, body=body)
    conversation_id = send(brief)
    until(lambda: receipts(brief.a, conversation_id), 30)
    told = receipts(brief.a, conversation_id)[0].messages[1].text
    assert cause in told
    assert remedy in told
    assert "01017012345" not in told
    assert told in story(brief, conversation_id)


def test_t3_a_letter_that_arrived_no_longer_minds_its_deadline(pair: Pair) -> None:
    """The deadline is for LEVERT; LEST may take weeks."""
    conversation_id = send(pair)
    arrives_once(pair, conversation_id)
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    context = pair.a.gateway.context
    with context.database.write() as tx:
        row = tx.execute(
            jobs_table.select().where(
                jobs_table.c.message == letter.row_id, jobs_table.c.task == Task.EXPIRE
            )
        ).one()
        messages.change(tx, letter.row_id, expires=context.now() + LONG_AGO)
    Deadline(context, Ledger(context)).check(
        Job(row.id, letter.row_id, Task.EXPIRE, row.attempt, row.failures)
    )
    assert Status.LEVETID_UTLOPT not in timeline(pair.a, conversation_id)


def test_t4_a_letter_that_arrives_too_late_is_told_to_its_sender_and_not_filed(pair: Pair) -> None:
    letter = letter_from_b(pair, LONG_AGO)
    until(lambda: sent_by(pair.a, Kind.RECEIPT, letter.message_id))
    (sent,) = sent_by(pair.a, Kind.RECEIPT, letter.message_id)
    assert sent.receipt is not None
    assert sent.receipt.type is ReceiptType.ERROR
    kept = received(pair.a, letter.message_id)
    assert kept is not None
    assert kept.state is Status.LEVETID_UTLOPT
    assert filed(pair.a, letter.conversation_id) == []


def test_a_letter_without_a_deadline_never_expires(pair: Pair) -> None:
    letter = letter_from_b(pair, None)
    until(lambda: filed(pair.a, letter.conversation_id))


def test_t5_a_letter_that_the_archive_could_not_take_in_time_is_told_to_its_sender(
    brief: Pair,
) -> None:
    brief.b.archive.default = AWAY
    conversation_id = send(brief)
    until(lambda: receipts(brief.a, conversation_id), 30)
    letter = letter_of(brief.a, conversation_id)
    assert letter is not None
    until(lambda: sent_by(brief.b, Kind.RECEIPT, letter.message_id), 30)
    kept = received(brief.b, letter.message_id)
    assert kept is not None
    assert kept.state is Status.LEVETID_UTLOPT
    (receipt,) = receipts(brief.a, conversation_id)
    assert receipt.type is ReceiptType.ERROR
    told = receipt.messages[1].text
    assert "Årsak hos mottakeren: sakarkivsystemet" in told
    assert "503" not in told  # what B's archive said is for B alone
    ended = Operations(brief.b.gateway.context).show(kept.row_id).events[-1]
    assert "503" in (ended.description or "")
    assert filed(brief.b, conversation_id) == []


def test_q1_a_status_that_comes_late_is_evidence_and_no_expiry(troubled: Pair) -> None:
    """The predecessor made an expired LEVERT into LEVETID_UTLOPT of the letter."""
    troubled.demo.network.fault("list", times=None, status=503, body="{}")
    conversation_id = send(troubled)
    until(lambda: Status.SENDT in timeline(troubled.a, conversation_id))
    letter = letter_of(troubled.a, conversation_id)
    assert letter is not None
    now = datetime.now(UTC)
    original = arkivmelding_sbd(
        sender=troubled.a.orgnr,
        receiver=troubled.b.orgnr,
        message_id=letter.message_id,
        conversation_id=letter.conversation_id,
        created=now,
        expires=None,
    )
    inject(troubled, status_sbd(original, "LEVERT", created=now, expires=now + LONG_AGO))
    troubled.demo.network.faults.remove()
    until(lambda: Status.LEVERT in timeline(troubled.a, conversation_id))
    assert Status.LEVETID_UTLOPT not in timeline(troubled.a, conversation_id)


def test_q2_a_status_of_ours_that_expires_says_nothing_of_the_letter(brief: Pair) -> None:
    """B takes the letter, and can tell nobody until its statuses have expired."""
    network = brief.demo.network
    closed = network.fault("list", times=None, status=503, body="{}")
    conversation_id = send(brief)
    until(lambda: Status.SENDT in timeline(brief.a, conversation_id))
    network.fault("initialize", times=None, status=503, body="{}")
    network.faults.remove(closed.id)
    letter = letter_of(brief.a, conversation_id)
    assert letter is not None
    until(lambda: received(brief.b, letter.message_id) is not None)

    def statuses() -> list[Status]:
        return [one.state for one in sent_by(brief.b, Kind.STATUS, letter.message_id)]

    until(lambda: Status.LEVETID_UTLOPT in statuses(), 30)
    kept = received(brief.b, letter.message_id)
    assert kept is not None
    assert kept.state is Status.INNKOMMENDE_LEVERT
    events = Operations(brief.b.gateway.context).show(kept.row_id).events
    assert Status.LEVETID_UTLOPT not in {one.status for one in events}
