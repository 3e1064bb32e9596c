"""An archive that takes a letter and sends no AppReceipt, or sends one late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from letters_and_traces import Pair, receipts, timeline, until

from gateway.demo import Demo
from gateway.model import OK, AppReceipt, Direction, Event, ReceiptType, Status, StatusMessage
from gateway.settings import Messages
from gateway.simulators.archive import Behaviour
from gateway.store import jobs, messages
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message
from gateway.store.search import Filter, search
from gateway.store.tables import message as messages_table

SILENT = Behaviour(receipt=None)
REFUSAL = AppReceipt(ReceiptType.ERROR, (StatusMessage("17", "Saken er avsluttet"),))


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Gateways that wait for an archive's own AppReceipt for a second."""
    with Demo(
        tmp_path_factory.mktemp("hasty"),
        lambda line: None,
        messages=Messages(receipt_hours=1 / 3600),
    ) as demo:
        yield Pair(demo)


def send(pair: Pair) -> str:
    conversation_id, _ = pair.a.archive.send_letter(pair.b.orgnr, [("a.txt", "text/plain", b"hei")])
    return conversation_id


def at_b(pair: Pair, conversation_id: str) -> Message | None:
    with pair.b.gateway.database.read() as tx:
        return messages.find(
            tx,
            messages_table.c.archive_conversation_id == conversation_id,
            messages_table.c.direction == Direction.INCOMING,
            messages_table.c.kind == Kind.LETTER,
        )


def events_at_b(pair: Pair, conversation_id: str) -> list[Event]:
    letter = at_b(pair, conversation_id)
    assert letter is not None
    with pair.b.gateway.database.read() as tx:
        return messages.events(tx, letter.row_id)


def answered_in_its_place(pair: Pair, behaviour: Behaviour) -> str:
    """A letter whose archive said so when it took it, and no more until the time was over."""
    pair.b.archive.behave(behaviour)
    conversation_id = send(pair)
    until(lambda: receipts(pair.a, conversation_id))
    return conversation_id


def late(pair: Pair, conversation_id: str, receipt: AppReceipt) -> None:
    (letter,) = [x for x in pair.b.archive.letters if x.conversation_id == conversation_id]
    assert pair.b.archive.send_receipt(letter.envelope, receipt).type is ReceiptType.OK


def needing_a_person(pair: Pair) -> list[str]:
    with pair.b.gateway.database.read() as tx:
        found = search(tx, Filter(attention=True), limit=100).messages
    return [one.conversation_id for one in found]


def test_the_sender_gets_the_archives_answer_when_its_own_receipt_never_comes(hasty: Pair) -> None:
    conversation_id = answered_in_its_place(hasty, SILENT)
    (receipt,) = receipts(hasty.a, conversation_id)
    assert receipt.type is ReceiptType.OK
    until(lambda: Status.LEST in timeline(hasty.a, conversation_id))
    letter = at_b(hasty, conversation_id)
    assert letter is not None
    assert letter.state is Status.INNKOMMENDE_LEVERT
    assert any("ikke sendt egen kvittering" in (one.description or "")
               for one in events_at_b(hasty, conversation_id))  # fmt: skip


def test_a_warning_is_passed_on_with_its_messages(hasty: Pair) -> None:
    said = (StatusMessage("7", "Arkivdel mangler"), StatusMessage("8", "Lagt i postmottak"))
    conversation_id = answered_in_its_place(
        hasty, Behaviour(answer="result", type=ReceiptType.WARNING, messages=said, receipt=None)
    )
    (receipt,) = receipts(hasty.a, conversation_id)
    assert (receipt.type, receipt.messages) == (ReceiptType.WARNING, said)


def test_a_late_receipt_that_agrees_goes_no_further(hasty: Pair) -> None:
    conversation_id = answered_in_its_place(hasty, SILENT)
    late(hasty, conversation_id, AppReceipt(ReceiptType.OK, (StatusMessage("Recno", "1"),)))
    late(hasty, conversation_id, OK)  # to the letter what the sender was told
    until(lambda: Status.LEVERT in timeline(hasty.a, conversation_id))
    assert send_and_see_arrive(hasty)
    assert len(receipts(hasty.a, conversation_id)) == 1
    assert conversation_id not in needing_a_person(hasty)
    assert events_at_b(hasty, conversation_id)[-1].status is Status.ANNET


def test_a_late_receipt_that_contradicts_needs_a_person_and_is_not_lost(hasty: Pair) -> None:
    conversation_id = answered_in_its_place(hasty, SILENT)
    late(hasty, conversation_id, REFUSAL)
    assert conversation_id in needing_a_person(hasty)
    last = events_at_b(hasty, conversation_id)[-1]
    assert last.status is Status.FEIL
    assert "17: Saken er avsluttet" in (last.description or "")
    assert send_and_see_arrive(hasty)
    assert [one.type for one in receipts(hasty.a, conversation_id)] == [ReceiptType.OK]


def test_a_receipt_in_time_is_the_answer_and_ends_the_waiting(pair: Pair) -> None:
    pair.b.archive.behave(SILENT)
    conversation_id = send(pair)

    def awaited() -> bool:
        with pair.b.gateway.database.read() as tx:
            return Task.RECEIPT in jobs.waiting(tx)

    until(awaited)
    late(pair, conversation_id, REFUSAL)
    until(lambda: receipts(pair.a, conversation_id))
    assert [one.type for one in receipts(pair.a, conversation_id)] == [ReceiptType.ERROR]
    assert not awaited()


def send_and_see_arrive(pair: Pair) -> bool:
    """Another letter there and back, after which nothing of before is on its way."""
    conversation_id = send(pair)
    until(lambda: receipts(pair.a, conversation_id))
    return True
