"""The table of facts, and what a timeline amounts to."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle import (
    TABLE,
    Action,
    Fact,
    Sort,
    derived_state,
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


def test_the_page_in_docs_is_the_table() -> None:
    written = Path(__file__).parents[2] / "docs" / "lifecycle.md"
    assert written.read_text(encoding="utf-8") == page(), "run: python -m gateway.lifecycle"
