"""The table of facts, and what a timeline amounts to."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle import (
    FIRST_RETRY,
    LONGEST_OPEN,
    TABLE,
    Action,
    Circuit,
    Fact,
    Sort,
    after_outage,
    derived_state,
    may_try,
    page,
    retry_after,
    step,
)
from gateway.model import Status

ENDS_OUT = (Fact.UNSENDABLE, Fact.EXPIRED)
ENDS_IN = (Fact.REJECTED, Fact.UNDELIVERABLE, Fact.EXPIRED)


@pytest.mark.parametrize("fact", ENDS_OUT)
def test_an_outgoing_letter_that_cannot_arrive_is_told_to_the_archive(fact: Fact) -> None:
    assert Action.TELL_ARCHIVE in step(Sort.LETTER_OUT, fact).actions


@pytest.mark.parametrize("fact", ENDS_IN)
def test_an_incoming_letter_that_is_not_filed_is_told_to_its_sender(fact: Fact) -> None:
    assert Action.SEND_KVITTERING in step(Sort.LETTER_IN, fact).actions


def test_nothing_answers_a_receipt_with_a_receipt() -> None:
    for sort in (Sort.RECEIPT_IN, Sort.RECEIPT_OUT, Sort.NOTICE, Sort.STATUS_OUT):
        for fact in Fact:
            assert not {Action.SEND_KVITTERING, Action.TELL_ARCHIVE} & set(step(sort, fact).actions)


def test_a_status_has_no_statuses_of_its_own() -> None:
    for fact in Fact:
        assert not {Action.STATUS_MOTTATT, Action.STATUS_LEVERT} & set(
            step(Sort.STATUS_OUT, fact).actions
        )


def test_everything_that_arrives_for_the_archive_is_delivered_and_reported() -> None:
    for sort in (Sort.LETTER_IN, Sort.RECEIPT_IN):
        assert step(sort, Fact.ARRIVED).actions == (Action.STATUS_MOTTATT, Action.DELIVER)
        assert step(sort, Fact.FILED).actions[0] is Action.STATUS_LEVERT


def test_an_unknown_type_is_kept_and_never_given_to_the_archive() -> None:
    assert Action.DELIVER not in step(Sort.OTHER_IN, Fact.ARRIVED).actions


def test_a_late_receipt_is_evidence_and_not_an_expiry() -> None:
    assert step(Sort.RECEIPT_IN, Fact.EXPIRED).status is None


@given(st.lists(st.sampled_from(list(Status)), max_size=6))
def test_the_state_does_not_depend_on_the_order_of_arrival(statuses: list[Status]) -> None:
    states = {
        derived_state(order) for order in itertools.islice(itertools.permutations(statuses), 50)
    }
    assert len(states) == 1


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([Status.OPPRETTET, Status.SENDT, Status.LEVERT, Status.MOTTATT], Status.LEVERT),
        ([Status.LEST, Status.LEVERT], Status.LEST),
        ([Status.LEVERT, Status.FEIL], Status.FEIL),
        ([Status.SENDT, Status.LEVETID_UTLOPT], Status.LEVETID_UTLOPT),
        ([Status.LEVETID_UTLOPT, Status.LEVERT], Status.LEVERT),
        ([], Status.OPPRETTET),
    ],
)
def test_the_stronger_evidence_wins(statuses: list[Status], state: Status) -> None:
    assert derived_state(statuses) is state


def test_every_sort_knows_what_it_starts_with() -> None:
    for sort, facts in TABLE.items():
        assert Fact.ACCEPTED in facts or Fact.ARRIVED in facts, sort


def test_retries_wait_as_the_predecessor_did_and_never_more_than_an_hour() -> None:
    waits = [retry_after(n).total_seconds() for n in range(1, 8)]
    assert waits == [20, 60, 180, 540, 1620, 3600, 3600]
    assert retry_after(10_000) == timedelta(hours=1)


NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def after(*outages: bool, start: datetime = NOW, spread: float = 0.0) -> Circuit:
    """A circuit after outages a second apart, each of the one that tries or of another."""
    circuit = None
    for number, probing in enumerate(outages):
        at = start + timedelta(seconds=number)
        circuit = after_outage(circuit, at, probing=probing, spread=spread)
    assert circuit is not None
    return circuit


def test_a_circuit_opens_at_the_third_outage_in_a_row() -> None:
    assert not after(False, False).open
    third = after(False, False, False)
    assert third.open
    assert not may_try(third, NOW + timedelta(seconds=21))
    assert may_try(third, NOW + timedelta(seconds=22))


def test_only_the_one_that_tries_makes_the_pause_longer_and_never_beyond_five_minutes() -> None:
    opened = after(False, False, False)
    assert after_outage(opened, NOW + timedelta(seconds=3), probing=False) == opened
    pauses = []
    circuit, at = opened, NOW
    for _ in range(6):
        assert circuit.probe_at is not None
        at = circuit.probe_at
        circuit = after_outage(circuit, at, probing=True)
        assert circuit.probe_at is not None
        pauses.append((circuit.probe_at - at).total_seconds())
    assert pauses == [40, 80, 160, 300, 300, 300]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_every_pause_is_bounded_and_spread(outages: int, spread: float) -> None:
    circuit = after_outage(Circuit(outages + 2, NOW, NOW), NOW, probing=True, spread=spread)
    assert circuit.probe_at is not None
    pause = circuit.probe_at - NOW
    assert FIRST_RETRY <= pause <= LONGEST_OPEN * 1.1


def test_a_pause_that_the_neighbour_asked_for_is_kept() -> None:
    circuit = after_outage(Circuit(2, NOW), NOW, probing=False, asked=timedelta(minutes=30))
    assert circuit.probe_at == NOW + timedelta(minutes=30)


def test_an_outage_of_yesterday_is_no_outage_in_a_row() -> None:
    tomorrow = NOW + timedelta(days=1)
    assert after_outage(Circuit(2, NOW), tomorrow, probing=False) == Circuit(1, tomorrow)


def test_the_page_in_docs_is_the_table() -> None:
    written = Path(__file__).parents[2] / "docs" / "lifecycle.md"
    assert written.read_text(encoding="utf-8") == page(), "run: python -m gateway.lifecycle"
