"""How the predecessor lost letters without a word (users-and-ecosystem 2.2).

These are the losses that no other test has as its subject; docs/promises.md lists all.
"""

from __future__ import annotations

import uuid

import pytest
from letters_and_traces import (
    Pair,
    arrives_once,
    letter_of,
    melding,
    post,
    put_message,
    receipts,
    send,
    until,
)

from gateway.engine import delivery
from gateway.model import ReceiptType, Status
from gateway.simulators.archive import Behaviour

AWAY = Behaviour(answer="status", status=503, files=False, receipt=None)


def test_loss_3_out_of_memory_while_delivering_drops_nothing(
    troubled: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = troubled.b.gateway.context.archive_of(troubled.b.orgnr)
    put_message = archive.put_message
    failures: list[object] = []

    def starved(handed_over: delivery.Delivery) -> object:
        if not failures:
            failures.append(handed_over)
            raise MemoryError
        return put_message(handed_over)

    monkeypatch.setattr(archive, "put_message", starved)
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)
    assert failures


def test_loss_4_a_receipt_that_is_retried_still_carries_the_archives_own_id(
    troubled: Pair,
) -> None:
    """And loss 6: a receipt that the archive did not take is not forgotten."""
    conversation_id = f"991825827-2013002997-{uuid.uuid4()}"
    body = put_message(
        melding(("brev.txt", b"x")), receiver=troubled.b.orgnr, conversation_id=conversation_id
    )
    troubled.a.archive.behave(AWAY, AWAY)
    assert '<result type="OK"/>' in post(troubled.a, body).text
    until(lambda: receipts(troubled.a, conversation_id), 30)
    assert [one.type for one in receipts(troubled.a, conversation_id)] == [ReceiptType.OK]


def test_loss_6_an_error_that_we_tell_the_archive_is_told_until_it_hears(troubled: Pair) -> None:
    """The network refuses the letter for ever while our own archive is away."""
    troubled.demo.network.fault("initialize", status=400, times=None, body="{}")
    troubled.a.archive.behave(AWAY, AWAY)
    conversation_id = send(troubled)
    until(lambda: receipts(troubled.a, conversation_id), 30)
    assert [one.type for one in receipts(troubled.a, conversation_id)] == [ReceiptType.ERROR]
    letter = letter_of(troubled.a, conversation_id)
    assert letter is not None
    assert letter.state is Status.FEIL
