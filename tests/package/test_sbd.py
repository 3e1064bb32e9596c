"""sbd.json: what we write, and everything that others write."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packing import FIXTURES, NOW

from gateway.errors import BadSbd, LimitExceeded
from gateway.model import AppReceipt, ReceiptType, Status, StatusMessage
from gateway.package import (
    Sbd,
    arkivmelding_sbd,
    avtalt_sbd,
    kvittering_sbd,
    read_sbd,
    status_sbd,
    write_sbd,
)

ID = "0b6f2b8e-52a6-4a0e-9a0c-6d2c6a3b1f10"
OTHER_ID = "7d9b1a44-9e0a-4f6c-8b1e-2f3a4b5c6d7e"
HEADER = "standardBusinessDocumentHeader"
LETTER = arkivmelding_sbd(
    sender="991825827",
    receiver="974760673",
    message_id=ID,
    conversation_id=ID,
    created=NOW,
    expires=NOW + timedelta(days=1),
    sender_ref="2026/17-3 æøå",
    receiver_ref="sak «ni»",
    channel="kanal-1",
    channel_id=OTHER_ID,
    security_level=3,
)
KVITTERING = kvittering_sbd(
    sender="974760673",
    receiver="991825827",
    message_id=OTHER_ID,
    conversation_id=ID,
    related_to_message_id=ID,
    receipt=AppReceipt(ReceiptType.ERROR, (StatusMessage("Recno", "315890"),)),
    created=NOW,
    expires=None,
)
AVTALT = avtalt_sbd(
    sender="974760673",
    receiver="991825827",
    message_id=OTHER_ID,
    conversation_id=ID,
    created=NOW,
    expires=None,
    identifier="avtale 7",
    content={"tall": [1, None, {"dyp": True}]},
)


def written(sbd: Sbd = LETTER) -> dict[str, Any]:
    root: dict[str, Any] = json.loads(write_sbd(sbd))
    return root


def changed(change: Callable[[dict[str, Any]], object], sbd: Sbd = LETTER) -> Sbd:
    root = written(sbd)
    change(root)
    return read_sbd(json.dumps(root).encode())


def scope(root: dict[str, Any], kind: str) -> dict[str, Any]:
    scopes = root[HEADER]["businessScope"]["scope"]
    return next(it for it in scopes if it["type"] == kind)


@pytest.mark.parametrize(
    "sbd",
    [
        LETTER,
        KVITTERING,
        AVTALT,
        status_sbd(LETTER, Status.LEVERT, created=NOW, expires=NOW),
    ],
    ids=lambda it: it.type,
)
def test_what_is_written_is_read(sbd: Sbd) -> None:
    found = read_sbd(write_sbd(sbd))
    assert replace(found, standard=None) == sbd
    assert found.standard is not None
    assert found.standard.endswith(f"::{sbd.type}")


def test_a_letter_is_written_as_the_network_does() -> None:
    root = written()
    assert list(root) == [HEADER, "arkivmelding"]
    assert root["arkivmelding"] == {"sikkerhetsnivaa": 3, "hoveddokument": "arkivmelding.xml"}
    header = root[HEADER]
    assert list(header) == [
        "headerVersion",
        "sender",
        "receiver",
        "documentIdentification",
        "businessScope",
    ]
    assert header["sender"] == [
        {"identifier": {"value": "0192:991825827", "authority": "iso6523-actorid-upis"}}
    ]
    assert header["documentIdentification"]["creationDateAndTime"] == "2026-11-24T10:30:00+01:00"
    assert [it["type"] for it in header["businessScope"]["scope"]] == [
        "ConversationId",
        "SenderRef",
        "ReceiverRef",
        "MessageChannel",
    ]
    assert "identifier" not in scope(root, "SenderRef")


def test_a_status_answers_with_the_originals_ids_and_channel() -> None:
    status = status_sbd(LETTER, Status.MOTTATT, created=NOW, expires=NOW + timedelta(days=1))
    assert (status.sender, status.receiver) == (LETTER.receiver, LETTER.sender)
    assert (status.message_id, status.conversation_id) == (ID, ID)
    assert (status.channel, status.channel_id) == ("kanal-1", OTHER_ID)
    assert status.process == "urn:no:difi:profile:arkivmelding:response:ver1.0"
    assert status.sender_ref is None
    avtalt = status_sbd(AVTALT, Status.MOTTATT, created=NOW, expires=None)
    assert avtalt.process == "urn:no:difi:profile:avtalt:response:ver1.0"


def test_an_answer_keeps_identifiers_with_parts() -> None:
    original = replace(LETTER, sender_id="0192:991825827:974760673")
    status = status_sbd(original, Status.LEVERT, created=NOW, expires=None)
    assert read_sbd(write_sbd(status)).receiver_id == "0192:991825827:974760673"
    assert status.receiver == "991825827"


def test_the_message_may_stand_before_the_header() -> None:
    root = written()
    assert list(reversed(root)) == ["arkivmelding", HEADER]
    turned = {name: root[name] for name in reversed(root)}
    assert read_sbd(json.dumps(turned).encode()).message_id == ID


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019-03-25T11:35:00+01:00", datetime(2019, 3, 25, 10, 35, tzinfo=UTC)),
        ("2019-03-25T11:35+01:00", datetime(2019, 3, 25, 10, 35, tzinfo=UTC)),
        ("2019-03-25T10:35:00Z", datetime(2019, 3, 25, 10, 35, tzinfo=UTC)),
        ("2019-03-25T11:35:00.7+01:00", datetime(2019, 3, 25, 10, 35, 0, 700_000, tzinfo=UTC)),
        (
            "2019-03-25T11:35:00.123456789+01:00",
            datetime(2019, 3, 25, 10, 35, 0, 123_456, tzinfo=UTC),
        ),
        ("2019-07-25T11:35:00", datetime(2019, 7, 25, 9, 35, tzinfo=UTC)),
        ("2019-03-25T11:35:00+01:00[Europe/Oslo]", datetime(2019, 3, 25, 10, 35, tzinfo=UTC)),
    ],
)
def test_every_form_of_time_that_others_write_is_read(text: str, moment: datetime) -> None:
    def change(root: dict[str, Any]) -> None:
        scope(root, "ConversationId")["scopeInformation"][0]["expectedResponseDateTime"] = text

    assert changed(change).expires == moment


@pytest.mark.parametrize(
    ("microsecond", "ending"), [(0, "00"), (700_000, "00.700"), (123_456, "00.123456")]
)
def test_fractions_have_none_three_or_six_digits(microsecond: int, ending: str) -> None:
    root = written(replace(LETTER, created=NOW.replace(microsecond=microsecond)))
    text = root[HEADER]["documentIdentification"]["creationDateAndTime"]
    assert text == f"2026-11-24T10:30:{ending}+01:00"


def test_the_reference_in_identifier_wins_over_the_noise_beside_it() -> None:
    def change(root: dict[str, Any]) -> None:
        scope(root, "SenderRef").update(instanceIdentifier=OTHER_ID, identifier="2026/17")

    assert changed(change).sender_ref == "2026/17"


def test_enum_spelling_numbers_as_text_and_unknown_members_are_read() -> None:
    def change(root: dict[str, Any]) -> None:
        for one in root[HEADER]["businessScope"]["scope"]:
            one["type"] = {
                "ConversationId": "CONVERSATION_ID",
                "SenderRef": "SENDER_REF",
                "ReceiverRef": "RECEIVER_REF",
                "MessageChannel": "MESSAGE_CHANNEL",
            }[one["type"]]
        root["arkivmelding"]["sikkerhetsnivaa"] = "4"
        root["arkivmelding"]["dpf"] = {"forsendelseType": "X"}
        root[HEADER]["manifest"] = {"numberOfItems": 0}
        root[HEADER]["sender"][0]["contactInformation"] = None
        root[HEADER]["documentIdentification"]["type"] = "ArkivMelding"

    found = changed(change)
    assert found.sender_ref == LETTER.sender_ref
    assert found.channel == "kanal-1"
    assert found.security_level == 4


@pytest.mark.parametrize(
    "value", ["0192:991825827", "991825827", "0192:991825827:974760673", "0192:991825827:del:1"]
)
def test_every_form_of_identifier_is_read(value: str) -> None:
    found = changed(lambda root: root[HEADER]["sender"][0]["identifier"].update(value=value))
    assert found.sender == "991825827"


def test_the_retired_country_code_is_read_only_when_asked() -> None:
    root = written()
    root[HEADER]["sender"][0]["identifier"]["value"] = "9908:991825827"
    data = json.dumps(root).encode()
    assert read_sbd(data, allow_icd_9908=True).sender_id == "0192:991825827"
    with pytest.raises(BadSbd, match="9908"):
        read_sbd(data)


def test_empty_null_and_absent_are_the_same() -> None:
    def change(root: dict[str, Any]) -> None:
        scope(root, "ConversationId")["scopeInformation"] = []
        root["arkivmelding_kvittering"].update(messages=None, relatedToMessageId="")

    found = changed(change, KVITTERING)
    assert found.expires is None
    assert found.related_to_message_id is None
    assert found.receipt == AppReceipt(ReceiptType.ERROR)


@pytest.mark.parametrize("declared", ["ok", "Ok", "OK"])
def test_receipt_and_status_values_are_compared_without_case(declared: str) -> None:
    found = changed(
        lambda root: root["arkivmelding_kvittering"].update(receiptType=declared), KVITTERING
    )
    assert found.receipt is not None
    assert found.receipt.type is ReceiptType.OK
    status = status_sbd(LETTER, "LEVERT", created=NOW, expires=None)
    assert changed(lambda root: root["status"].update(status="Levert"), status).status == "LEVERT"


def test_an_unknown_receipt_type_counts_as_filed() -> None:
    found = changed(
        lambda root: root["arkivmelding_kvittering"].update(receiptType="KANSKJE"), KVITTERING
    )
    assert found.receipt is not None
    assert found.receipt.type.accepted


def test_upper_case_ids_are_read_as_lower_case() -> None:
    def change(root: dict[str, Any]) -> None:
        root[HEADER]["documentIdentification"]["instanceIdentifier"] = ID.upper()

    assert changed(change).message_id == ID


def _identification(**members: object) -> Callable[[dict[str, Any]], object]:
    return lambda root: root[HEADER]["documentIdentification"].update(members)


def _party(which: str, **members: object) -> Callable[[dict[str, Any]], object]:
    return lambda root: root[HEADER][which][0]["identifier"].update(members)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        (lambda root: root.update(ekstra={}), "root"),
        (lambda root: root.pop("arkivmelding"), "root"),
        (lambda root: root.pop(HEADER), HEADER),
        (lambda root: root.update(arkivmelding=None), "arkivmelding"),
        (lambda root: root.update(arkivmelding=[]), "arkivmelding"),
        (lambda root: root["arkivmelding"].update(sikkerhetsnivaa="høy"), "sikkerhetsnivaa"),
        (lambda root: root["arkivmelding"].update(hoveddokument=7), "hoveddokument"),
        (_identification(type="x" * 101), "documentIdentification.type"),
        (_identification(type=None), "documentIdentification.type"),
        (_identification(instanceIdentifier="1-2-3-4-5"), "instanceIdentifier: not a UUID"),
        (_identification(instanceIdentifier=None), "instanceIdentifier: missing"),
        (_identification(creationDateAndTime="i går"), "creationDateAndTime"),
        (_identification(creationDateAndTime=1_700_000_000), "creationDateAndTime"),
        (_identification(creationDateAndTime="0001-01-01T00:00:00+12:00"), "creationDateAndTime"),
        (_party("sender", authority="annet"), "sender[0].identifier.authority"),
        (_party("receiver", authority=None), "receiver[0].identifier.authority"),
        (_party("receiver", value="0192:12345678"), "receiver[0].identifier.value"),
        (_party("receiver", value="0007:991825827"), "receiver[0].identifier.value"),
        (_party("receiver", value=None), "receiver[0].identifier.value"),
        (lambda root: root[HEADER].update(sender=[]), "sender"),
        (lambda root: root[HEADER].update(sender=root[HEADER]["sender"][0]), "sender"),
        (lambda root: root[HEADER].pop("businessScope"), "businessScope"),
        (lambda root: root[HEADER]["businessScope"].update(scope={}), "businessScope.scope"),
        (lambda root: root[HEADER]["businessScope"].update(scope=[]), "ConversationId"),
        (lambda root: root[HEADER]["businessScope"].update(scope=[1]), "businessScope.scope[0]"),
    ],
)
def test_each_defect_names_its_member(
    change: Callable[[dict[str, Any]], object], member: str
) -> None:
    root = deepcopy(written())
    change(root)
    with pytest.raises(BadSbd) as caught:
        read_sbd(json.dumps(root).encode())
    assert member in caught.value.detail


@pytest.mark.parametrize(
    "body", [{"publisering": {"dokumentId": [1]}}, {"annet": 7, "mer": None}, {}]
)
def test_a_type_that_nobody_knows_is_read_with_whatever_it_says(body: dict[str, Any]) -> None:
    root = written()
    del root["arkivmelding"]
    root[HEADER]["documentIdentification"]["type"] = "Publisering"
    sbd = read_sbd(json.dumps(root | body).encode())
    assert (sbd.type, sbd.unknown) == ("publisering", body)
    assert (sbd.sender, sbd.message_id) == (LETTER.sender, LETTER.message_id)
    with pytest.raises(BadSbd, match="cannot write"):
        write_sbd(sbd)


@pytest.mark.parametrize("value", ["SENDT_KANSKJE", None, 7, ""])
def test_an_unknown_status_is_a_defect(value: object) -> None:
    status = status_sbd(LETTER, "LEVERT", created=NOW, expires=None)
    with pytest.raises(BadSbd, match=r"status\.status"):
        changed(lambda root: root["status"].update(status=value), status)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff{}", b'{"a": NaN}', b'{"a"'])
def test_what_is_no_json_object_is_a_defect(data: bytes) -> None:
    with pytest.raises(BadSbd, match="root"):
        read_sbd(data)


def test_control_characters_inside_texts_are_read() -> None:
    root = written()
    data = json.dumps(root).replace("2026/17-3", "2026\t17").encode()
    assert "\t" in (read_sbd(data).sender_ref or "")


def test_size_and_depth_are_capped() -> None:
    with pytest.raises(LimitExceeded, match="larger"):
        read_sbd(b" " * (1024 * 1024 + 1))
    with pytest.raises(LimitExceeded, match="deeper"):
        read_sbd(b'{"a":' + b"[" * 100_000)
    with pytest.raises(BadSbd):  # quadratic for a naive scanner
        read_sbd(b'{"a":"' + b'\\"' * 500_000)
    quoted = written()
    quoted[HEADER]["sjekk"] = "[" * 500
    assert read_sbd(json.dumps(quoted).encode()).message_id == ID


@pytest.mark.parametrize(
    ("wrong", "member"),
    [
        ({"message_id": "nei"}, "instanceIdentifier"),
        ({"message_id": ID.upper()}, "instanceIdentifier"),
        ({"conversation_id": ""}, "ConversationId"),
        ({"sender_id": "991825827"}, "sender"),
        ({"receiver_id": "0192:991825827:974760673"}, "receiver"),
        ({"created": None}, "creationDateAndTime"),
        ({"created": datetime(2026, 1, 1)}, "offset"),
        ({"channel": "for lang kanal som ikke kan brukes"}, "MessageChannel"),
        ({"type": "feil"}, "documentIdentification.type"),
        ({"type": "status", "status": "VEKK"}, "status.status"),
        ({"type": "arkivmelding_kvittering"}, "arkivmelding_kvittering"),
    ],
)
def test_what_others_would_refuse_is_not_written(wrong: dict[str, Any], member: str) -> None:
    with pytest.raises(BadSbd) as caught:
        write_sbd(replace(LETTER, **wrong))
    assert member in caught.value.detail


_moments = st.datetimes(
    min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC)
) | st.datetimes(
    min_value=datetime(1990, 1, 1),
    max_value=datetime(2090, 1, 1),
    timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)
_texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    message=st.uuids().map(str),
    created=_moments,
    expires=st.none() | _moments,
    sender_ref=_texts,
    receiver_ref=_texts,
    level=st.none() | st.integers(3, 4),
)
def test_any_letter_survives_the_round_trip(
    message: str,
    created: datetime,
    expires: datetime | None,
    sender_ref: str | None,
    receiver_ref: str | None,
    level: int | None,
) -> None:
    sbd = replace(
        LETTER,
        message_id=message,
        created=created,
        expires=expires,
        sender_ref=sender_ref,
        receiver_ref=receiver_ref,
        security_level=level,
    )
    assert replace(read_sbd(write_sbd(sbd)), standard=None) == sbd


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_nothing_in_any_place_crashes_the_reader(data: st.DataObject) -> None:
    root = written(data.draw(st.sampled_from([LETTER, KVITTERING, AVTALT])))
    holder: Any = root
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = data.draw(st.sampled_from(keys))
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        holder = inner
    holder[key] = data.draw(_json)
    with suppress(BadSbd, LimitExceeded):
        read_sbd(json.dumps(root).encode())


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("sbd-*.json")), ids=lambda it: it.stem)
def test_fixture_documents_are_read_and_written_back(path: Path) -> None:
    sbd = read_sbd(path.read_bytes())
    assert json.loads(write_sbd(sbd)) == json.loads(path.read_bytes())


def test_shared_documents_are_read(shared_samples: Path) -> None:
    for name in (
        "sbd/StandardBusinessDocument.json",
        "sbd/StandardBusinessDocument-unordered.json",
        "features/v2-appreceipt.sbd.json",
        "features/v2-bestedu.sbd.json",
        "features/v4-receive-dpo.sbd.json",
        "features/v4-receive-dpo-expired.sbd.json",
        "features/v4-send-avtalt.sbd.json",
        "features/v4-send-dpo.sbd.json",
    ):
        sbd = read_sbd((shared_samples / "dpo" / name).read_bytes(), allow_icd_9908=True)
        assert len(sbd.sender) == len(sbd.receiver) == 9, name
    with pytest.raises(BadSbd, match=HEADER):
        read_sbd((shared_samples / "dpo/features/v4-receive-dpo-bad-sbdh-only.json").read_bytes())
