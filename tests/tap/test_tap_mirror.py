"""A second endpoint that is asked the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tap_world import (
    XML,
    Intake,
    can_receive,
    endpoint,
    lines,
    masks,
    melding,
    put,
    raw_server,
    tapped,
    url,
)

from gateway.model import AppReceipt, ReceiptType, StatusMessage
from gateway.tap.answers import Answer, differences, read_answer
from gateway.tap.mirror import Mirror
from gateway.tap.recorder import Counts
from gateway.tap.recording import Recording

REFUSED = AppReceipt(ReceiptType.ERROR, (StatusMessage("16", "Kari Nordmann er ukjent"),))
TOO_SLOW = "not mirrored (the second endpoint is too slow)"


def mirror_to(
    port: int, client: httpx.Client, waiting: int = 100
) -> Callable[[Recording, Counts], Mirror]:
    return lambda recording, counts: Mirror(url(port), client, recording, counts, waiting=waiting)


def test_the_second_gets_the_same_and_its_answer_is_compared(tmp_path: Path) -> None:
    second_intake = Intake(receivers=set())
    record = tmp_path / "record"
    with endpoint(tmp_path / "a") as first, endpoint(tmp_path / "b", second_intake) as second:
        with httpx.Client() as client:
            with tapped(first, record, mirror=mirror_to(second, client)) as tap:
                httpx.post(url(tap.port), content=put(melding(), "c-1"), headers=XML)
                httpx.post(url(tap.port), content=can_receive("974760673"), headers=XML)
                httpx.get(url(tap.port) + "?wsdl")
    assert second_intake.letters == 1
    letter, question = lines(record / "mirror.jsonl")
    assert (letter["conversation"], letter["different"]) == ("c-1", [])
    assert question["different"] == ["value"]
    assert (question["first"]["value"], question["second"]["value"]) == ("true", "false")
    assert (tap.counts["mirrored alike"], tap.counts["mirrored with another answer"]) == (1, 1)


def test_differences_of_masked_recordings_name_nobody(tmp_path: Path) -> None:
    record = tmp_path / "record"
    with endpoint(tmp_path / "a") as first:
        with endpoint(tmp_path / "b", Intake(lambda payload: REFUSED)) as second:
            with httpx.Client() as client:
                with tapped(first, record, masks=masks(), mirror=mirror_to(second, client)) as tap:
                    httpx.post(url(tap.port), content=put(melding()), headers=XML)
    (line,) = lines(record / "mirror.jsonl")
    assert line["different"] == ["value", "messages"]
    assert line["second"]["messages"][0]["code"] == "16"
    assert "Nordmann" not in (record / "mirror.jsonl").read_text("utf-8")


def test_the_second_is_not_told_who_asked(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        heard.append(b"")
        while letter not in heard[0]:
            heard[0] += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        connection.close()

    letter = put(melding())
    signed = {**XML, "SOAPAction": '"urn:put"', "Authorization": "Basic x", "Cookie": "x=y"}
    with endpoint(tmp_path / "a") as first, raw_server(listen) as second, httpx.Client() as client:
        with tapped(first, tmp_path / "record", mirror=mirror_to(second, client)) as tap:
            httpx.post(url(tap.port), content=letter, headers=signed)
    (head, _, body) = heard[0].partition(b"\r\n\r\n")
    assert body == letter
    assert head.startswith(b"POST /noarkExchange HTTP/1.1\r\n")
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert {b"content-type", b"soapaction", b"content-length"} <= names
    assert not names & {b"authorization", b"cookie", b"transfer-encoding"}
    assert tap.counts["mirrored with another answer"] == 1


def test_a_second_endpoint_that_is_down_or_hangs_delays_nobody(tmp_path: Path) -> None:
    let_go = threading.Event()

    def hang(connection: socket.socket) -> None:
        let_go.wait(30)
        connection.close()

    record = tmp_path / "record"
    with endpoint(tmp_path / "a") as first, raw_server(hang) as second, httpx.Client() as client:
        with tapped(first, record, mirror=mirror_to(second, client, waiting=2)) as tap:
            for _ in range(4):  # the first still hangs when the last is answered
                answer = httpx.post(url(tap.port), content=put(melding()), headers=XML)
                assert b'type="OK"' in answer.content
            for _ in range(500):  # until the recorder has seen the last
                if tap.counts[TOO_SLOW] == 2:
                    break
                httpx.get(url(first))
            let_go.set()
    assert tap.counts["recorded"] == 4
    assert tap.counts[TOO_SLOW] == 2
    assert tap.counts["not mirrored (no answer)"] == 2


def soap(body: str) -> bytes:
    return (
        '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/" xmlns:t="urn:t">'
        f"<S:Body>{body}</S:Body></S:Envelope>"
    ).encode()


OK_ANSWER = soap('<t:PutMessageResponse><result type="OK"/></t:PutMessageResponse>')


@pytest.mark.parametrize(
    ("one", "other", "different"),
    [
        (OK_ANSWER, OK_ANSWER.replace(b"t:", b"u:").replace(b":t=", b":u="), ()),
        (OK_ANSWER, OK_ANSWER.replace(b"><", b">\n  <"), ()),
        (OK_ANSWER, OK_ANSWER.replace(b'"OK"', b'"WARNING"'), ("value",)),
        (
            soap('<t:PutMessageResponse><result type="ERROR"><message code="3"><text>a b</text>'
                 "</message></result></t:PutMessageResponse>"),
            soap('<t:PutMessageResponse><result type="ERROR"><message code="3"><text> a\nb</text>'
                 "</message></result></t:PutMessageResponse>"),
            (),
        ),
        (
            soap("<S:Fault><faultcode>S:Server</faultcode><faultstring>Nei (error id 0a1b2c)"
                 "</faultstring></S:Fault>"),
            soap("<S:Fault><faultcode>x:Server</faultcode><faultstring>Nei</faultstring></S:Fault>"),
            (),
        ),
        (OK_ANSWER, b"<html>", ("kind", "value")),
    ],
)  # fmt: skip
def test_what_counts_as_the_same_answer(
    one: bytes, other: bytes, different: tuple[str, ...]
) -> None:
    assert differences(read_answer(200, one), read_answer(200, other)) == different


def test_faults_of_both_soap_versions_are_the_same() -> None:
    old = soap("<S:Fault><faultcode>S:Client</faultcode><faultstring>x</faultstring></S:Fault>")
    new = soap(
        "<S:Fault><S:Code><S:Value>S:Sender</S:Value></S:Code><S:Reason><S:Text>x</S:Text>"
        "</S:Reason></S:Fault>"
    )
    assert read_answer(500, old) == read_answer(500, new) == Answer("Fault", "Client", (("", "x"),))
