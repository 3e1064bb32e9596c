"""Trouble on the network, injected over real HTTP: nothing lost, nothing doubled.

The scenarios of altinn-transport 5.6 that need no dying process.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator

import pytest
from letters_and_traces import (
    Pair,
    filed,
    letter_of,
    melding,
    post,
    put_message,
    receipts,
    timeline,
    until,
)

from gateway.demo import Demo
from gateway.model import ReceiptType, Status
from gateway.ports import Parcel
from gateway.settings import Messages
from gateway.simulators.archive import Behaviour
from gateway.store import arrivals, messages
from gateway.store.messages import Kind
from gateway.store.tables import message as messages_table

CONTENT = random.Random(1).randbytes(300_000)


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair whose network is made to fail; retries and waits are short."""
    quick = Messages(retry_seconds=0.3, unclear_seconds=3)
    with Demo(tmp_path_factory.mktemp("troubled"), lambda line: None, messages=quick) as demo:
        yield Pair(demo)


@pytest.fixture(autouse=True)
def _no_fault_survives(troubled: Pair) -> Iterator[None]:
    yield
    troubled.demo.network.faults.remove()


def send(pair: Pair) -> str:
    conversation_id, answer = pair.a.archive.send_letter(
        pair.b.orgnr, [("brev.pdf", "application/pdf", CONTENT)]
    )
    assert answer.type is ReceiptType.OK
    return conversation_id


def arrives_once(pair: Pair, conversation_id: str, seconds: float = 30) -> None:
    """Filed once, intact, with one receipt home, and published once on the network."""
    until(lambda: Status.LEVERT in timeline(pair.a, conversation_id), seconds)
    until(lambda: receipts(pair.a, conversation_id), seconds)
    (letter,) = filed(pair.b, conversation_id)
    assert [one.content.sha256 for one in letter.documents] == [hashlib.sha256(CONTENT).hexdigest()]
    assert [one.type for one in receipts(pair.a, conversation_id)] == [ReceiptType.OK]
    assert len(published(pair, conversation_id)) == 1


def published(pair: Pair, conversation_id: str) -> list[str]:
    """The transfers with this letter of which the network has the bytes."""
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    return [
        one.id
        for one in pair.demo.network.transfers
        if one.reference == letter.transport_ref
        and one.sender.endswith(pair.a.orgnr)
        and one.size > len(CONTENT)  # statuses and receipts echo the reference
    ]


@pytest.mark.parametrize("call", ["initialize", "upload", "list", "overview", "download"])
@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_request_or_answer_makes_no_second_letter(
    troubled: Pair, call: str, drop: str
) -> None:
    troubled.demo.network.fault(call, drop=drop)
    arrives_once(troubled, send(troubled))


def test_a_lost_confirm_is_repeated_until_the_network_has_it(troubled: Pair) -> None:
    troubled.demo.network.fault("confirm", drop="after")
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)
    (transfer,) = published(troubled, conversation_id)
    by_id = {one.id: one for one in troubled.demo.network.transfers}
    until(lambda: by_id[transfer].status.name == "AllConfirmedDownloaded")


def test_an_upload_that_breaks_off_goes_on_with_the_same_transfer(troubled: Pair) -> None:
    troubled.demo.network.fault("upload", drop="during", cut_after=50_000)
    arrives_once(troubled, send(troubled))


def test_a_download_that_breaks_off_arrives_intact(troubled: Pair) -> None:
    troubled.demo.network.fault("download", cut_after=40_000)
    arrives_once(troubled, send(troubled))


def test_a_byte_changed_in_transit_is_noticed_and_fetched_again(troubled: Pair) -> None:
    troubled.demo.network.fault("download", flip_byte=30_000)
    arrives_once(troubled, send(troubled))


@pytest.mark.parametrize("call", ["token", "exchange", "initialize", "upload", "process"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_service_that_is_down_for_a_moment_delays_and_loses_nothing(
    troubled: Pair, call: str, status: int
) -> None:
    troubled.demo.network.fault(call, status=status, times=2, body="{}")
    arrives_once(troubled, send(troubled))


def test_a_429_is_waited_out_as_long_as_the_network_asks(troubled: Pair) -> None:
    for call in ("initialize", "upload", "list", "download"):
        troubled.demo.network.fault(call, status=429, body="{}", headers={"Retry-After": "1"})
    arrives_once(troubled, send(troubled))


def test_a_package_sent_twice_is_filed_once_and_its_status_repeated(troubled: Pair) -> None:
    """As an Integrasjonspunkt does that retries (scenario 14)."""
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)
    context = troubled.a.gateway.context
    letter = letter_of(troubled.a, conversation_id)
    assert letter is not None
    with context.database.read() as tx:
        built = messages.package(tx, letter.row_id, context.blobs)
    assert built is not None
    content, md5 = built
    again = Parcel(troubled.a.orgnr, troubled.b.orgnr, str(uuid.uuid4()), content, md5)
    transfer = context.transport.announce(again)
    context.transport.upload(transfer, again)

    def confirmed() -> bool:
        with troubled.b.gateway.database.read() as tx:
            return arrivals.state(tx, transfer) is arrivals.ArrivalState.CONFIRMED

    until(confirmed)
    assert len(filed(troubled.b, conversation_id)) == 1
    with troubled.b.gateway.database.read() as tx:
        statuses = messages.select(
            tx,
            messages_table.c.kind == Kind.STATUS,
            messages_table.c.message_id == letter.message_id,
        )
    assert statuses[0].status_value == "LEVERT"
    assert len(statuses) == 3


def test_a_package_that_is_no_zip_is_kept_for_the_operator(troubled: Pair) -> None:
    context = troubled.a.gateway.context
    writer = context.blobs.create()
    writer.write(b"this is not a zip")
    content = writer.commit()
    md5 = hashlib.md5(b"this is not a zip", usedforsecurity=False).hexdigest()
    parcel = Parcel(troubled.a.orgnr, troubled.b.orgnr, str(uuid.uuid4()), content, md5)
    transfer = context.transport.announce(parcel)
    context.transport.upload(transfer, parcel)

    def kept() -> set[str]:
        with troubled.b.gateway.database.read() as tx:
            if arrivals.state(tx, transfer) is not arrivals.ArrivalState.QUARANTINED:
                return set()
            return arrivals.quarantined(tx)

    until(kept)
    blobs = troubled.b.gateway.blobs
    assert b"this is not a zip" in {blobs.content(key, 0, "").path.read_bytes() for key in kept()}
    by_id = {one.id: one for one in troubled.demo.network.transfers}
    until(lambda: by_id[transfer].status.name == "AllConfirmedDownloaded")
    troubled.a.gateway.blobs.delete(content.key)


def test_a_package_that_was_tampered_with_is_told_to_the_sender(troubled: Pair) -> None:
    """Changed at the network, checksum and all; the archive must never see it."""
    before = len(troubled.b.archive.letters)
    troubled.demo.network.fault("overview", times=None, merge={"checksum": None})
    troubled.demo.network.fault("download", times=None, flip_byte=200_000)
    conversation_id = send(troubled)
    until(lambda: receipts(troubled.a, conversation_id), 30)
    (receipt,) = receipts(troubled.a, conversation_id)
    assert receipt.type is ReceiptType.ERROR
    assert receipt.messages[0].text == "Meldingen kunne ikke pakkes ut hos mottaker"
    assert len(troubled.b.archive.letters) == before
    letter = letter_of(troubled.a, conversation_id)
    assert letter is not None
    assert letter.state is Status.FEIL


def test_a_letter_that_cannot_be_sent_before_its_deadline_is_told_to_the_archive(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The predecessor set a status and left the archive waiting for ever (2.2, loss 5)."""
    short = Messages(retry_seconds=0.2, ttl_hours=3 / 3600)
    with Demo(tmp_path_factory.mktemp("short"), lambda line: None, messages=short) as demo:
        pair = Pair(demo)
        demo.network.fault("upload", times=None, status=503, body="{}")
        conversation_id = f"991825827-1-{uuid.uuid4()}"
        body = put_message(
            melding(("brev.txt", b"x")), receiver=pair.b.orgnr, conversation_id=conversation_id
        )
        assert '<result type="OK"/>' in post(pair.a, body).text
        until(lambda: receipts(pair.a, conversation_id), 30)
        (receipt,) = receipts(pair.a, conversation_id)
        assert receipt.type is ReceiptType.ERROR
        assert receipt.messages[0].text == "Levetiden for meldingen er utgått. Må sendes på nytt"
        assert receipt.envelope.sender.orgnr == pair.b.orgnr
        assert receipt.envelope.receiver.orgnr == pair.a.orgnr
        assert timeline(pair.a, conversation_id) == [Status.OPPRETTET, Status.LEVETID_UTLOPT]
        assert filed(pair.b, conversation_id) == []


def test_an_archive_that_answers_nothing_is_asked_three_times_and_then_the_sender_is_told(
    troubled: Pair,
) -> None:
    """The predecessor took it for delivered, or lost it (2.2, loss 2)."""
    silent = Behaviour(answer="no result", files=False, receipt=None)
    troubled.b.archive.behave(silent, silent, silent)
    conversation_id = send(troubled)
    until(lambda: receipts(troubled.a, conversation_id), 40)
    assert [one.type for one in receipts(troubled.a, conversation_id)] == [ReceiptType.ERROR]


def test_a_repeat_after_an_unknown_outcome_is_marked_as_a_possible_duplicate(
    troubled: Pair,
) -> None:
    """Filed, but the answer was lost and no receipt came: the one window we cannot close."""
    troubled.b.archive.behave(Behaviour(answer="drop", receipt=None))
    conversation_id = send(troubled)
    until(lambda: receipts(troubled.a, conversation_id), 40)
    assert len(filed(troubled.b, conversation_id)) == 2
    with troubled.b.gateway.database.read() as tx:
        received = messages.find(
            tx,
            messages_table.c.archive_conversation_id == conversation_id,
            messages_table.c.kind == Kind.LETTER,
        )
    assert received is not None
    assert any("possible duplicate" in one for one in received.warnings)
