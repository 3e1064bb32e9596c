"""What the archive is told when its request cannot be taken, and that nothing stays half.

Codes and known texts are the predecessor's, byte for byte (bestedu-soap 3).
"""

from __future__ import annotations

import re
import uuid

import pytest
from letters_and_traces import (
    UNKNOWN_ORGNR,
    Pair,
    melding,
    post,
    put_message,
    receipts,
    stored_traces,
    until,
)

from gateway.store import jobs
from gateway.store.jobs import Task

GOOD = melding(("brev.txt", b"innhold"))


def result(text: str) -> tuple[str | None, list[tuple[str, str]]]:
    """Type and messages of a PutMessageResponse."""
    kind = re.search(r'<result type="(\w+)"', text)
    said = re.findall(r'<message code="([^"]*)"><text>([^<]*)</text></message>', text)
    return kind and kind[1], said


def refused(pair: Pair, body: bytes) -> tuple[str | None, list[tuple[str, str]]]:
    """The answer to `body`; nothing of it may be stored."""
    before = stored_traces(pair.a)
    answer = post(pair.a, body)
    assert answer.status_code == 200
    assert stored_traces(pair.a) == before
    return result(answer.text)


@pytest.fixture
def quiet(pair: Pair) -> Pair:
    """The pair with nothing under way, so that traces can be counted."""

    def idle() -> bool:
        with pair.a.gateway.database.read() as tx:
            return not {Task.SEND, Task.DELIVER} & jobs.waiting(tx).keys()

    until(idle, seconds=60)
    return pair


def test_an_unknown_receiver(quiet: Pair) -> None:
    body = put_message(GOOD, receiver=UNKNOWN_ORGNR, conversation_id=str(uuid.uuid4()))
    assert refused(quiet, body) == (
        "ERROR",
        [("16", "Fant ikke service record for identifikator")],
    )


def test_a_missing_receiver(quiet: Pair) -> None:
    body = put_message(GOOD, receiver="", conversation_id=str(uuid.uuid4()))
    kind, said = refused(quiet, body)
    assert (kind, said[0]) == ("ERROR", ("3", "Mottakers organisasjonsnummer mangler"))


@pytest.mark.parametrize("payload", ["", "  \n "])
def test_an_empty_payload(quiet: Pair, payload: str) -> None:
    body = put_message(payload, receiver=quiet.b.orgnr, conversation_id=str(uuid.uuid4()))
    assert refused(quiet, body) == ("ERROR", [("8", "Request has missing or empty payload")])


@pytest.mark.parametrize("payload", ["not XML", "<Melding>", "<other/>"])
def test_a_payload_that_cannot_be_read(quiet: Pair, payload: str) -> None:
    body = put_message(payload, receiver=quiet.b.orgnr, conversation_id=str(uuid.uuid4()))
    assert refused(quiet, body) == ("ERROR", [("Unknown", "Error parsing payload")])


@pytest.mark.parametrize(("part", "name"), [("noarksak", "Noarksak"), ("journpost", "Journpost")])
def test_a_letter_without_case_or_journal_post(quiet: Pair, part: str, name: str) -> None:
    conversation_id = str(uuid.uuid4())
    letter = melding(("brev.txt", b"innhold"), **{part: False})
    body = put_message(letter, receiver=quiet.b.orgnr, conversation_id=conversation_id)
    text = f"No {name} in MeldingType for message {conversation_id}, aborting conversion"
    assert refused(quiet, body) == ("ERROR", [("Unknown", text)])


def test_duplicate_file_names(quiet: Pair) -> None:
    body = put_message(
        melding(("a", b"1"), ("a", b"2")),
        receiver=quiet.b.orgnr,
        conversation_id=str(uuid.uuid4()),
    )
    assert refused(quiet, body) == (
        "ERROR",
        [("Unknown", "Found duplicate filenames in message: a, a")],
    )


def test_a_document_without_content_is_named(quiet: Pair) -> None:
    letter = melding(("vedtak.txt", b"x")).replace("<base64>eA==</base64>", "")
    body = put_message(letter, receiver=quiet.b.orgnr, conversation_id=str(uuid.uuid4()))
    kind, said = refused(quiet, body)
    assert kind == "ERROR"
    assert "vedtak.txt" in said[0][1]


def test_a_document_that_cannot_be_decoded_is_named(quiet: Pair) -> None:
    letter = melding(("vedtak.txt", b"x")).replace("eA==", "%%%")
    body = put_message(letter, receiver=quiet.b.orgnr, conversation_id=str(uuid.uuid4()))
    kind, said = refused(quiet, body)
    assert kind == "ERROR"
    assert "vedtak.txt" in said[0][1]


def test_a_body_that_is_not_xml_is_a_fault(quiet: Pair) -> None:
    before = stored_traces(quiet.a)
    answer = post(quiet.a, b"this is not SOAP")
    assert answer.status_code == 500
    assert "Client</faultcode>" in answer.text
    assert stored_traces(quiet.a) == before


def test_a_request_without_envelope_is_a_fault_that_says_so(quiet: Pair) -> None:
    body = re.sub(
        rb"<envelope.*</envelope>",
        b"",
        put_message(GOOD, receiver=quiet.b.orgnr, conversation_id=None),
    )
    answer = post(quiet.a, body)
    assert answer.status_code == 500
    assert "envelope" in answer.text


def test_a_receipt_for_an_unknown_letter_with_a_strange_id_is_refused(quiet: Pair) -> None:
    receipt = '<AppReceipt xmlns="http://www.arkivverket.no/Noark/Exchange/types" type="OK"/>'
    body = put_message(
        receipt, receiver=quiet.a.orgnr, sender=quiet.b.orgnr, conversation_id="EnTest"
    )
    kind, said = refused(quiet, body)  # A is a P360: the parties are turned round
    assert (kind, said[0]) == ("ERROR", ("5", "Kan ikke behandle melding"))


def test_a_letter_titled_appreceipt_is_a_letter(pair: Pair) -> None:
    """The predecessor searched the text and lost it (mapping B15)."""
    conversation_id = str(uuid.uuid4())
    letter = melding(("brev.txt", b"innhold"), title="Om AppReceipt og ns2:tegn")
    body = put_message(letter, receiver=pair.b.orgnr, conversation_id=conversation_id)
    assert result(post(pair.a, body).text) == ("OK", [])
    until(lambda: receipts(pair.a, conversation_id))
    (arrived,) = [one for one in pair.b.archive.letters if one.conversation_id == conversation_id]
    assert arrived.title == "Om AppReceipt og ns2:tegn"


def test_can_receive_is_true_for_a_participant_and_never_a_fault(pair: Pair) -> None:
    assert pair.a.archive.can_receive(pair.b.orgnr) is True
    for orgnr in (UNKNOWN_ORGNR, "", "nonsense", "01010112345"):
        assert pair.a.archive.can_receive(orgnr) is False
