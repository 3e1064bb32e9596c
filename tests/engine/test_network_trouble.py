"""Trouble on the network, injected over real HTTP: nothing lost, nothing doubled.

The eighteen scenarios of altinn-transport 5.6 are in `test_scenarios`; these are the
variations and the neighbours.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from letters_and_traces import (
    Pair,
    arrives_once,
    filed,
    letter_of,
    melding,
    post,
    put_message,
    receipts,
    send,
    timeline,
    until,
)

from gateway.demo import Demo
from gateway.model import ReceiptType, Status
from gateway.ports import Parcel
from gateway.settings import Messages
from gateway.simulators.archive import Behaviour
from gateway.store import messages
from gateway.store.jobs import Task
from gateway.store.messages import Kind
from gateway.store.tables import job
from gateway.store.tables import message as messages_table


@pytest.mark.parametrize("call", ["initialize", "upload", "list", "overview", "download"])
@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_request_or_answer_makes_no_second_letter(
    troubled: Pair, call: str, drop: str
) -> None:
    troubled.demo.network.fault(call, drop=drop)
    arrives_once(troubled, send(troubled))


def test_an_upload_that_breaks_off_goes_on_with_the_same_transfer(troubled: Pair) -> None:
    troubled.demo.network.fault("upload", drop="during", cut_after=50_000)
    arrives_once(troubled, send(troubled))


def test_a_download_that_breaks_off_arrives_intact(troubled: Pair) -> None:
    troubled.demo.network.fault("download", cut_after=40_000)
    arrives_once(troubled, send(troubled))


def test_a_byte_changed_in_transit_is_noticed_and_fetched_again(troubled: Pair) -> None:
    troubled.demo.network.fault("download", flip_byte=30_000)
    arrives_once(troubled, send(troubled))


def test_who_lost_the_lease_while_announcing_uploads_nothing(
    troubled: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker knows nothing of that transfer and sends one of its own."""
    gateway, network = troubled.a.gateway, troubled.demo.network
    announce = gateway.context.transport.announce
    late: list[str] = []

    def announce_late(parcel: Parcel) -> str:
        transfer = announce(parcel)
        with gateway.database.read() as tx:
            letter = messages.find(tx, transport_ref=parcel.reference, kind=Kind.LETTER)
        if late or letter is None or letter.state is not Status.OPPRETTET:
            return transfer
        late.append(transfer)
        with gateway.database.write() as tx:
            mine = (job.c.task == Task.SEND, job.c.message == letter.row_id)
            long_ago = datetime.now(UTC) - timedelta(hours=1)
            tx.execute(job.update().where(*mine).values(due=long_ago))

        def sent_by_another() -> bool:
            with gateway.database.read() as tx:
                return messages.get(tx, letter.row_id).state is not Status.OPPRETTET

        until(sent_by_another)
        return transfer

    monkeypatch.setattr(gateway.context.transport, "announce", announce_late)
    arrives_once(troubled, send(troubled))
    by_id = {one.id: one.status.name for one in network.transfers}
    assert by_id[late[0]] == "Initialized"


def test_what_could_not_be_announced_is_not_packed_again(troubled: Pair) -> None:
    """A new package would have another checksum, and so would what is announced."""
    network = troubled.demo.network
    before = len(network.requests)
    network.fault("initialize", status=503, times=2, body="{}")
    arrives_once(troubled, send(troubled))
    announced = [one for one in list(network.requests)[before:] if one.call == "initialize"]
    refused = {one.request_md5 for one in announced if one.status == 503}
    assert refused <= {one.request_md5 for one in announced if one.status < 300}


@pytest.mark.parametrize("call", ["token", "exchange", "initialize", "upload", "process"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_service_that_is_down_for_a_moment_delays_and_loses_nothing(
    troubled: Pair, call: str, status: int
) -> None:
    troubled.demo.network.fault(call, status=status, times=2, body="{}")
    arrives_once(troubled, send(troubled))


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
