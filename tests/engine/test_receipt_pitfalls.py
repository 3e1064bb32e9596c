"""The pitfalls R1-R5 of receipts (registry-and-statuses 3.7): not repeated, and tolerated."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from letters_and_traces import (
    Pair,
    content_of,
    filed,
    inject,
    letter_of,
    melding,
    post,
    put_message,
    receipts,
    send,
    sent_by,
    timeline,
    until,
)

from gateway.model import (
    EXCHANGE_NAMESPACE,
    OK,
    AppReceipt,
    ReceiptType,
    Status,
    StatusMessage,
)
from gateway.package import Sbd, arkivmelding_sbd, kvittering_sbd
from gateway.simulators.archive import Behaviour
from gateway.simulators.network import PLAN
from gateway.store.messages import Kind

REFUSED = AppReceipt(ReceiptType.ERROR, (StatusMessage("Unknown", "Feilet under mottak"),))
SILENT = Behaviour(receipt=None)


def kvittering(pair: Pair, conversation_id: str, related: str, receipt: AppReceipt) -> Sbd:
    now = datetime.now(UTC)
    return kvittering_sbd(
        sender=pair.b.orgnr,
        receiver=pair.a.orgnr,
        message_id=str(uuid.uuid4()),
        conversation_id=conversation_id,
        related_to_message_id=related,
        receipt=receipt,
        created=now,
        expires=now + timedelta(days=1),
    )


def send_as(pair: Pair, conversation_id: str, receiver: str, content: bytes = b"x") -> None:
    body = put_message(
        melding(("brev.txt", content)), receiver=receiver, conversation_id=conversation_id
    )
    assert '<result type="OK"/>' in post(pair.a, body).text


def test_r1_a_kvittering_names_the_message_and_not_the_conversation(pair: Pair) -> None:
    """A sender of the new API: a reply in an older conversation."""
    first = send(pair)
    until(lambda: filed(pair.b, first))
    now = datetime.now(UTC)
    letter = arkivmelding_sbd(
        sender=pair.b.orgnr,
        receiver=pair.a.orgnr,
        message_id=str(uuid.uuid4()),
        conversation_id=str(uuid.uuid4()),
        created=now,
        expires=now + timedelta(days=1),
    )
    inject(pair, letter, *content_of(pair.b, first))
    until(lambda: filed(pair.a, letter.conversation_id))
    until(lambda: sent_by(pair.a, Kind.RECEIPT, letter.message_id))
    (sent,) = sent_by(pair.a, Kind.RECEIPT, letter.message_id)
    assert sent.conversation_id == letter.conversation_id


def test_r2_a_kvittering_with_a_conversation_id_of_its_own_finds_its_letter(pair: Pair) -> None:
    pair.b.archive.behave(SILENT)
    conversation_id = f"991825827-7-{uuid.uuid4()}"
    send_as(pair, conversation_id, pair.b.orgnr)
    until(lambda: Status.LEVERT in timeline(pair.a, conversation_id))
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    inject(pair, kvittering(pair, str(uuid.uuid4()), letter.message_id, OK))
    until(lambda: receipts(pair.a, conversation_id))
    assert Status.LEST in timeline(pair.a, conversation_id)


def test_r3_the_second_receipt_too_carries_the_archives_own_id(pair: Pair) -> None:
    """An archive that files at once and refuses the day after; both reach the sender."""
    conversation_id = f"991825827-8-{uuid.uuid4()}"
    send_as(pair, conversation_id, pair.b.orgnr)
    until(lambda: receipts(pair.a, conversation_id))
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    inject(pair, kvittering(pair, letter.conversation_id, letter.message_id, REFUSED))
    until(lambda: len(receipts(pair.a, conversation_id)) == 2)
    assert [one.type for one in receipts(pair.a, conversation_id)] == [
        ReceiptType.OK,
        ReceiptType.ERROR,
    ]


def test_r4_a_kvittering_that_we_make_names_the_message(pair: Pair) -> None:
    pair.b.archive.behave(Behaviour(type=ReceiptType.ERROR, files=False, receipt=None))
    conversation_id = send(pair)
    until(lambda: receipts(pair.a, conversation_id))
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    assert letter.state is Status.FEIL
    (sent,) = sent_by(pair.b, Kind.RECEIPT, letter.message_id)
    assert sent.related_to == letter.message_id


def test_r4_a_kvittering_that_names_no_message_is_matched_by_its_conversation(
    pair: Pair,
) -> None:
    """As the predecessor sent it when its archive could not be reached."""
    pair.b.archive.behave(SILENT)
    conversation_id = send(pair)
    until(lambda: Status.LEVERT in timeline(pair.a, conversation_id))
    inject(pair, kvittering(pair, conversation_id, "", REFUSED))
    until(lambda: receipts(pair.a, conversation_id))
    assert [one.messages for one in receipts(pair.a, conversation_id)] == [REFUSED.messages]
    assert Status.FEIL in timeline(pair.a, conversation_id)


def test_r5_a_receipt_to_somebody_outside_dpo_is_answered_ok_and_said_in_the_log(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    outside = "987464291"
    pair.demo.network.add_organisation(outside, "Papirkommune", processes=(PLAN,))
    body = put_message(
        f'<AppReceipt xmlns="{EXCHANGE_NAMESPACE}" type="OK"/>',
        receiver=pair.a.orgnr,  # P360 writes the parties of the letter
        sender=outside,
        conversation_id=str(uuid.uuid4()),
    )
    with caplog.at_level(logging.INFO, "gateway.audit"):
        assert '<result type="OK"/>' in post(pair.a, body).text
    assert f"receipt to {outside} was discarded: not on DPO" in caplog.text
