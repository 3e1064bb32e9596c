"""Letters and receipts between two archives, the whole way."""

from __future__ import annotations

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
from letters_and_traces import (
    filed,
    letter_of,
    melding,
    post,
    put_message,
    receipts,
    timeline,
    until,
)

from gateway.model import ReceiptType, Status, StatusMessage
from gateway.simulators.archive import Behaviour
from gateway.store import messages


def test_a_letter_each_way_comes_home_with_its_receipt(pair) -> None:
    assert pair.demo.run() == []


def test_the_sender_sees_every_status(pair) -> None:
    conversation_id, answer = pair.a.archive.send_letter(
        pair.b.orgnr, [("a.txt", "text/plain", b"hei")]
    )
    assert answer.type is ReceiptType.OK
    until(lambda: len(timeline(pair.a, conversation_id)) >= 5)
    assert sorted(timeline(pair.a, conversation_id)) == sorted(
        [Status.OPPRETTET, Status.SENDT, Status.MOTTATT, Status.LEVERT, Status.LEST]
    )


def test_a_conversation_id_that_is_no_uuid_comes_back_as_it_was(pair) -> None:
    conversation_id = f"991825827-2013002997-{uuid.uuid4()}"
    body = put_message(
        melding(("brev.txt", b"innhold")),
        receiver=pair.b.orgnr,
        conversation_id=conversation_id,
    )
    assert '<result type="OK"/>' in post(pair.a, body).text
    until(lambda: receipts(pair.a, conversation_id))
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    assert str(uuid.UUID(letter.message_id)) == letter.message_id
    assert letter.message_id == letter.conversation_id


def test_a_repeated_put_message_is_answered_ok_and_sent_once(pair) -> None:
    conversation_id = str(uuid.uuid4())
    body = put_message(
        melding(("brev.txt", b"en gang")), receiver=pair.b.orgnr, conversation_id=conversation_id
    )
    for _ in range(3):
        assert '<result type="OK"/>' in post(pair.a, body).text
    until(lambda: receipts(pair.a, conversation_id))
    assert len(filed(pair.b, conversation_id)) == 1


def test_of_a_letter_that_came_twice_at_once_no_second_copy_stays_on_disk(pair) -> None:
    body = put_message(
        melding(("brev.txt", b"samtidig")),
        receiver=pair.b.orgnr,
        conversation_id=str(uuid.uuid4()),
    )
    gateway = pair.a.gateway

    def files() -> set[str]:
        return {path.name for path in gateway.blobs.folder.glob("??/*")}

    def have_rows(names: set[str]) -> bool:
        with gateway.database.read() as tx:
            return messages.blob_keys(tx, sorted(names)) == names

    before = files()
    with ThreadPoolExecutor(8) as callers, gateway.database.write():  # nobody can finish
        answers = [callers.submit(post, pair.a, body) for _ in range(8)]
        until(lambda: len(files() - before) >= 8)
    assert all('<result type="OK"/>' in one.result().text for one in answers)
    until(lambda: have_rows(files() - before))


def test_the_same_conversation_id_with_other_content_is_an_error(pair) -> None:
    conversation_id = str(uuid.uuid4())
    for content, expected in ((b"en", '<result type="OK"/>'), (b"to", '<result type="ERROR">')):
        body = put_message(
            melding(("brev.txt", content)), receiver=pair.b.orgnr, conversation_id=conversation_id
        )
        assert expected in post(pair.a, body).text
    until(lambda: receipts(pair.a, conversation_id))
    assert [one.content.sha256 for one in filed(pair.b, conversation_id)[0].documents] == [
        hashlib.sha256(b"en").hexdigest()
    ]


def test_an_archive_that_refuses_is_heard_by_the_sender_with_every_message(pair) -> None:
    said = (StatusMessage("17", "Saken er avsluttet"), StatusMessage("18", "Ingen tilgang"))
    pair.b.archive.behave(
        Behaviour(type=ReceiptType.ERROR, messages=said, files=False, receipt=None)
    )
    conversation_id, _ = pair.a.archive.send_letter(
        pair.b.orgnr, [("a.txt", "text/plain", b"avvist")]
    )
    until(lambda: receipts(pair.a, conversation_id))
    (receipt,) = receipts(pair.a, conversation_id)
    assert (receipt.type, receipt.messages) == (ReceiptType.ERROR, said)
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    assert letter.state is Status.FEIL


def test_an_archive_that_is_down_gets_the_letter_when_it_is_back(pair) -> None:
    down = Behaviour(answer="status", status=503, files=False, receipt=None)
    pair.b.archive.behave(down, down)
    conversation_id, _ = pair.a.archive.send_letter(
        pair.b.orgnr, [("a.txt", "text/plain", b"tredje gang")]
    )
    until(lambda: receipts(pair.a, conversation_id), seconds=30)
    assert len(filed(pair.b, conversation_id)) == 1


def test_a_warning_from_the_archive_counts_as_delivered(pair) -> None:
    pair.b.archive.behave(Behaviour(type=ReceiptType.WARNING))
    conversation_id, _ = pair.a.archive.send_letter(
        pair.b.orgnr, [("a.txt", "text/plain", b"advarsel")]
    )
    until(lambda: Status.LEVERT in timeline(pair.a, conversation_id))
    assert len(filed(pair.b, conversation_id)) == 1


def test_a_receipt_seen_after_a_lost_answer_spares_the_archive_a_second_copy(pair) -> None:
    """The archive filed the letter and sent its receipt, but its answer was lost."""
    pair.b.archive.behave(Behaviour(answer="drop"))
    conversation_id, _ = pair.a.archive.send_letter(
        pair.b.orgnr, [("a.txt", "text/plain", b"tapt svar")]
    )
    until(lambda: Status.LEVERT in timeline(pair.a, conversation_id))
    until(lambda: receipts(pair.a, conversation_id))  # it may come after the status
    assert len(filed(pair.b, conversation_id)) == 1
    assert len(receipts(pair.a, conversation_id)) == 1


def test_references_travel_both_ways(pair) -> None:
    conversation_id = str(uuid.uuid4())
    body = put_message(
        melding(("brev.txt", b"med referanse")),
        receiver=pair.b.orgnr,
        conversation_id=conversation_id,
    ).replace(b"</orgnr></sender>", b"</orgnr><ref>2026/17</ref></sender>")
    assert '<result type="OK"/>' in post(pair.a, body).text
    until(lambda: filed(pair.b, conversation_id))
    envelope = filed(pair.b, conversation_id)[0].envelope
    assert envelope.sender.ref == "2026/17"
    assert envelope.sender.orgnr == pair.a.orgnr
    assert envelope.sender.name == pair.a.name


def test_the_wsdl_is_served_where_the_archive_looks(pair) -> None:
    answer = httpx.get(pair.a.gateway.url + "?wsdl")
    assert answer.status_code == 200
    assert pair.a.gateway.url in answer.text
