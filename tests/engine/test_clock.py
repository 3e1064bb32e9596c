"""The machine's clock jumps by hours while letters are on their way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from letters_and_traces import CONTENT, Pair, arrives_once, receipts, send, timeline, until

from gateway.demo import Demo, Side
from gateway.engine.alerts import Alerts
from gateway.engine.clock import Clock
from gateway.engine.health import Finding, Subject
from gateway.model import Status
from gateway.settings import Messages
from gateway.store import jobs
from gateway.store.jobs import Task

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HOURS = timedelta(hours=30)
"""Longer than letters live."""


# --- the clock alone ------------------------------------------------------------------


class Machine:
    """A machine whose clock can be set, and whose time passes when told."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.set_by = timedelta()
        self.clock = Clock(lambda: START + self.set_by + self.true, lambda: self.passed)

    @property
    def true(self) -> timedelta:
        return timedelta(seconds=self.passed)

    def agrees(self) -> bool:
        return self.clock.now() == START + self.true


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_small_steps_are_followed_and_trouble_nobody(machine: Machine) -> None:
    for _ in range(20):
        machine.passed += 60
        machine.set_by += timedelta(seconds=2)  # a clock that runs fast, as NTP sees it
        assert machine.clock.now() == START + machine.true + machine.set_by
    assert machine.clock.trust().problem is None


@pytest.mark.parametrize("jump", [HOURS, -HOURS, timedelta(seconds=11)])
def test_time_goes_on_steadily_through_a_jump_and_afterwards(
    machine: Machine, jump: timedelta
) -> None:
    machine.set_by = jump
    for _ in range(10):
        machine.passed += 100
        assert machine.agrees()
    assert machine.clock.trust().doubt
    machine.set_by = timedelta()
    assert machine.agrees()
    assert machine.clock.trust().problem is None


def test_a_jump_that_the_network_contradicts_is_never_followed(machine: Machine) -> None:
    machine.set_by = HOURS
    for _ in range(100):
        machine.passed += 100
        machine.clock.hear(START + machine.true)
        assert machine.clock.step() == timedelta()
    assert machine.agrees()


def test_a_jump_that_the_network_confirms_is_followed(machine: Machine) -> None:
    """The clock was wrong before, or the machine was asleep."""
    machine.set_by = -HOURS
    assert machine.clock.trust().doubt
    machine.clock.hear(START - HOURS)
    assert machine.clock.step() == -HOURS
    machine.clock.follow()
    assert machine.clock.now() == START - HOURS
    assert machine.clock.trust().problem is None


def test_with_nobody_to_ask_a_clock_that_stays_is_believed_after_an_hour(machine: Machine) -> None:
    machine.set_by = HOURS
    machine.clock.now()
    machine.passed += 3500
    assert machine.clock.step() == timedelta()
    machine.passed += 200
    assert machine.clock.step() == HOURS


def test_a_clock_that_was_wrong_from_the_start_is_told_and_nothing_expires(
    machine: Machine,
) -> None:
    for _ in range(3):
        machine.clock.hear(START - timedelta(hours=3))
    trust = machine.clock.trust()
    assert (trust.offset, trust.doubt) == (timedelta(hours=3), True)
    assert "+3:00:00" in (trust.problem or "")


def test_one_strange_answer_is_no_alarm(machine: Machine) -> None:
    for said in (0, 0, 7200, 0, 1):
        machine.clock.hear(START + timedelta(seconds=said))
    assert machine.clock.trust().problem is None


# --- whole gateways -------------------------------------------------------------------


@pytest.fixture(scope="module")
def clocked_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    quick = Messages(retry_seconds=0.3)
    with Demo(tmp_path_factory.mktemp("clocks"), lambda line: None, messages=quick) as demo:
        yield Pair(demo)


@pytest.fixture
def clocked(clocked_pair: Pair) -> Iterator[Pair]:
    yield clocked_pair
    clocked_pair.demo.network.faults.remove()
    for side in clocked_pair.demo.sides:
        set_clock(side, timedelta())


def set_clock(side: Side, jump: timedelta) -> None:
    """As somebody does who sets the machine's clock."""
    clock = side.gateway.context.clock
    assert clock is not None
    clock.machine = lambda: datetime.now(UTC) + jump


def finding(side: Side) -> Finding:
    return next(one for one in side.gateway.health.examine() if one.subject is Subject.CLOCK)


@pytest.mark.parametrize("jump", [HOURS, -HOURS], ids=["forward", "back"])
def test_a_letter_on_its_way_survives_a_jump_of_the_clock(clocked: Pair, jump: timedelta) -> None:
    """No false LEVETID_UTLOPT, no hanging retry; an alarm while it lasts, and no restart."""
    fault = clocked.demo.network.fault("initialize", times=None, status=503, body="{}")
    conversation_id = send(clocked)
    until(lambda: fault.acted)
    for side in clocked.demo.sides:
        set_clock(side, jump)
    acted = fault.acted
    until(lambda: fault.acted > acted)  # the next retry comes as it would have come
    assert not finding(clocked.a).well
    alerts = Alerts(clocked.a.gateway.context, clocked.a.gateway.health, [])
    told = {one.cause: one.summary for one in alerts.check()}
    assert "jumped" in told["clock"]
    clocked.demo.network.faults.remove()
    arrives_once(clocked, conversation_id)
    assert Status.LEVETID_UTLOPT not in timeline(clocked.a, conversation_id)

    for side in clocked.demo.sides:
        set_clock(side, timedelta())
    until(lambda: finding(clocked.a).well)
    assert {one.cause: one.kind for one in alerts.check()}["clock"] == "resolved"
    arrives_once(clocked, send(clocked))


def test_a_deadline_by_a_doubtful_clock_waits_until_it_is_right(
    tmp_path: Path,
) -> None:
    short = Messages(retry_seconds=0.2, ttl_hours=2 / 3600)
    with Demo(tmp_path, lambda line: None, messages=short) as demo:
        pair = Pair(demo)
        demo.network.fault("initialize", times=None, status=503, body="{}")
        set_clock(pair.a, timedelta(minutes=5))
        conversation_id, _ = pair.a.archive.send_letter(
            pair.b.orgnr, [("b.pdf", "application/pdf", CONTENT)]
        )
        context = pair.a.gateway.context

        def overdue() -> bool:
            with context.database.read() as tx:
                letter = jobs.waiting(tx)
            return Task.SEND in letter and context.now() > deadline

        deadline = context.now() + timedelta(seconds=3)
        until(overdue)
        assert receipts(pair.a, conversation_id) == []
        set_clock(pair.a, timedelta())
        until(lambda: receipts(pair.a, conversation_id), 30)
        assert timeline(pair.a, conversation_id)[-1] is Status.LEVETID_UTLOPT
