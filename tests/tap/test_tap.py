"""The tap in front of an endpoint: what passes, and what is recorded of it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from tap_world import (
    XML,
    Intake,
    can_receive,
    endpoint,
    files,
    lines,
    melding,
    put,
    raw_server,
    tapped,
    url,
)

from gateway.cli.compare import command as compare
from gateway.cli.tap import command as tap_command
from gateway.cli.translate import command as translate
from gateway.http import tls_context
from gateway.model import AppReceipt, ReceiptType, StatusMessage
from gateway.simulators.network import Network
from gateway.tap.recorder import Counts
from gateway.tap.recording import Recording
from gateway.tap.relay import Target
from gateway.tap.tap import Tap
from gateway.translate import load_mapping


def receive(connection: socket.socket, until: bytes = b"\r\n\r\n") -> bytes:
    data = b""
    while until not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def test_a_recording_is_read_by_compare_and_translate(tmp_path: Path) -> None:
    record = tmp_path / "record"
    sent = [put(melding(f"brev {n}".encode()), f"c-{n}") for n in range(3)]
    with endpoint(tmp_path / "spool") as port, tapped(port, record) as tap:
        for letter in sent:
            answer = httpx.post(url(tap.port), content=letter, headers=XML)
            assert b'type="OK"' in answer.content
    recorded = sorted((record / "letters").iterdir())
    assert sorted(path.read_bytes() for path in recorded) == sorted(sent)
    for path in recorded:
        told = (record / "answers" / f"{path.stem}.http").read_bytes().decode()
        assert told.startswith("HTTP/1.1 200 OK\r\n")
        assert told.endswith(answer.text)

    out = tmp_path / "out"
    run = CliRunner().invoke(translate, [str(record / "letters"), "--out", str(out)])
    assert run.exit_code == 0, run.output
    stable = re.compile(rb"<tidspunkt>[^<]*</tidspunkt>")
    for path in recorded:
        ours = (record / "translated" / path.name).read_bytes()
        assert stable.sub(b"", ours) == stable.sub(b"", (out / path.name).read_bytes())

    arguments = ["--left", record, "--right", "translate", "--out", tmp_path / "compared"]
    run = CliRunner().invoke(compare, ["run", *map(str, arguments)])
    assert "3 messages" in run.output
    assert "0 different   0 failed" in run.output, run.output


def test_what_was_answered_stands_in_the_list(tmp_path: Path) -> None:
    refusal = AppReceipt(ReceiptType.ERROR, (StatusMessage("16", "Ukjent mottaker"),))
    record = tmp_path / "record"
    with endpoint(tmp_path / "spool", Intake(lambda payload: refusal)) as port:
        with tapped(port, record) as tap:
            httpx.post(url(tap.port), content=put(melding(), "c-9"), headers=XML)
            httpx.post(url(tap.port), content=can_receive("974760673"), headers=XML)
            httpx.post(url(tap.port), content=b"<rot", headers=XML)
            httpx.get(url(tap.port) + "?wsdl")
    letter, question, rubbish = lines(record / "exchanges.jsonl")
    assert (letter["operation"], letter["conversation"]) == ("PutMessageRequest", "c-9")
    assert letter["answer"] == {
        "kind": "AppReceipt",
        "value": "ERROR",
        "messages": [{"code": "16", "text": "Ukjent mottaker"}],
    }
    assert (question["answer"]["kind"], question["answer"]["value"]) == ("canReceive", "true")
    assert rubbish["operation"] is None
    assert rubbish["problem"]
    assert (rubbish["answer"]["kind"], rubbish["status"]) == ("Fault", 500)
    assert len(files(record / "letters")) == 1
    assert len(files(record / "requests")) == 2
    assert (tap.counts["recorded"], tap.counts["other calls"]) == (3, 1)


def test_packed_and_chunked_letters_are_recorded_readable(tmp_path: Path) -> None:
    import gzip

    record = tmp_path / "record"
    letter = put(melding())
    with endpoint(tmp_path / "spool") as port, tapped(port, record) as tap:
        packed = {**XML, "Content-Encoding": "gzip"}
        httpx.post(url(tap.port), content=gzip.compress(letter), headers=packed)
        httpx.post(url(tap.port), content=iter([letter[:700], letter[700:]]), headers=XML)
        latin = {"Content-Type": "text/xml; charset=iso-8859-1"}
        httpx.post(url(tap.port), content=letter.decode().encode("latin-1"), headers=latin)
    assert len(files(record / "letters")) == 3
    run = CliRunner().invoke(translate, [str(record / "letters"), "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    for path in (tmp_path / "out").iterdir():
        assert "Klage på nabovarsel" in path.read_text("utf-8")


def test_a_letter_that_our_translation_stumbles_on_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise KeyError("simulated")

    monkeypatch.setattr("gateway.tap.recording.to_arkivmelding", stumble)
    record = tmp_path / "record"
    with endpoint(tmp_path / "spool") as port, tapped(port, record) as tap:
        httpx.post(url(tap.port), content=put(melding()), headers=XML)
    assert len(files(record / "letters")) == 1
    assert files(record / "translated") == []
    (line,) = lines(record / "exchanges.jsonl")
    assert (line["translated"], line["reason"]) == (False, "KeyError")


def test_a_recording_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    intake, record = Intake(), tmp_path / "record"
    with endpoint(tmp_path / "spool", intake) as port, tapped(port, record) as tap:
        (record / "letters").rmdir()
        answer = httpx.post(url(tap.port), content=put(melding()), headers=XML)
        assert b'type="OK"' in answer.content
    assert intake.letters == 1
    assert tap.counts["not recorded (No such file or directory)"] == 1
    assert files(record) == []


def test_secrets_of_a_call_are_not_recorded(tmp_path: Path) -> None:
    record = tmp_path / "record"
    with endpoint(tmp_path / "spool") as port, tapped(port, record) as tap:
        signed = {**XML, "Authorization": "Basic aGVtbWVsaWc", "Cookie": "s=aGVtbWVsaWc"}
        for body in (can_receive("1"), put(melding()), b"<rot"):
            httpx.post(url(tap.port), content=body, headers=signed)
    assert len(files(record / "answers")) == 3
    for path in files(record):
        assert b"aGVtbWVsaWc" not in (record / path).read_bytes(), path


# --- connections ----------------------------------------------------------------------


def challenging(connection: socket.socket) -> None:
    """Knows its caller by the connection, as NTLM does."""
    for answer in (
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM TlRM\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nja",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nnu",
    ):
        if not receive(connection):
            break
        connection.sendall(answer)
    connection.close()


def test_a_handshake_bound_to_its_connection_passes(tmp_path: Path) -> None:
    with raw_server(challenging) as port, tapped(port, tmp_path / "record") as tap:
        callers = [http.client.HTTPConnection("127.0.0.1", tap.port) for _ in range(2)]
        seen: list[list[tuple[int, bytes]]] = [[], []]
        for _ in range(3):
            for caller, answers in zip(callers, seen, strict=True):
                caller.request("GET", "/", headers={"Authorization": "NTLM TlRM"})
                response = caller.getresponse()
                answers.append((response.status, response.read()))
        for caller in callers:
            caller.close()
    assert seen == [[(401, b""), (200, b"ja"), (200, b"nu")]] * 2


def waiting_for_leave(connection: socket.socket) -> None:
    head = receive(connection)
    assert b"Expect: 100-continue" in head
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert connection.recv(100) == b"brev"
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\ntil siste slutt")
    connection.close()


def test_100_continue_and_an_answer_without_length(tmp_path: Path) -> None:
    record = tmp_path / "record"
    with raw_server(waiting_for_leave) as port, tapped(port, record) as tap:
        with socket.create_connection(("127.0.0.1", tap.port)) as client:
            client.sendall(
                b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
            )
            assert receive(client) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"brev")
            client.shutdown(socket.SHUT_WR)
            assert receive(client, b"never") == b"HTTP/1.0 200 OK\r\n\r\ntil siste slutt"
    assert tap.counts["recorded"] == 1
    (answer,) = (record / "answers").iterdir()
    assert answer.read_bytes() == b"HTTP/1.0 200 OK\r\n\r\ntil siste slutt"


def test_requests_sent_before_the_answers_came(tmp_path: Path) -> None:
    record = tmp_path / "record"
    one, two = can_receive("974760673"), can_receive("1")
    with endpoint(tmp_path / "spool") as port, tapped(port, record) as tap:
        with socket.create_connection(("127.0.0.1", tap.port)) as client:
            for body in (one, two):
                client.sendall(
                    b"POST /noarkExchange HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
            got = b""
            while got.count(b":Envelope>") < 2 and (piece := client.recv(65536)):
                got += piece
    assert [line["answer"]["value"] for line in lines(record / "exchanges.jsonl")] == [
        "true",
        "false",
    ]


def refusing(connection: socket.socket) -> None:
    """Has seen enough after the head, and says so while the caller still sends."""
    receive(connection)
    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nnei")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
    connection.close()


def test_a_refusal_before_everything_is_sent_arrives(tmp_path: Path) -> None:
    with raw_server(refusing) as port, tapped(port, tmp_path / "record") as tap:
        with half_a_letter(tap.port) as client:
            assert receive(client, b"nei").endswith(b"\r\n\r\nnei")
            client.sendall(b"og mer")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1000) == b"", "an end, not a reset that could swallow the answer"
    assert tap.counts["not recorded (the call was broken off)"] == 1


def breaking_off(connection: socket.socket) -> None:
    receive(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalvt")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()  # a reset


def test_an_answer_that_breaks_off_does_not_look_whole(tmp_path: Path) -> None:
    with raw_server(breaking_off) as port, tapped(port, tmp_path / "record") as tap:
        with socket.create_connection(("127.0.0.1", tap.port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                receive(client, b"never")
    assert tap.counts["recorded"] == 0


def test_an_endpoint_with_https(tmp_path: Path) -> None:
    record = tmp_path / "record"
    with Network(tmp_path / "network", tls=True) as network:
        recording, counts = Recording(record, load_mapping(), "p360"), Counts()
        target = Target.of(network.url, tls_context(network.ca_file))
        tap = Tap("127.0.0.1", 0, target, recording, counts)
        tap.start()
        with httpx.Client(verify=tls_context(network.ca_file)) as client:
            for headers in ({}, {"Connection": "close"}):
                for path, body in (("/_sim/clock", None), ("/authentication/x", b"x" * 2_000_000)):
                    method = "GET" if body is None else "POST"
                    answers = [
                        client.request(method, base + path, content=body, headers=headers)
                        for base in (network.url, f"http://127.0.0.1:{tap.port}")
                    ]
                    assert answers[0].status_code == answers[1].status_code
                    assert answers[0].content == answers[1].content
        tap.stop(10)
    assert (counts["recorded"], counts["other calls"]) == (2, 2)


@pytest.mark.parametrize("to", ["ftp://arkiv", "arkiv:80", "http://", "http://arkiv:hus"])
def test_an_address_that_is_none_is_refused(to: str, tmp_path: Path) -> None:
    run = CliRunner().invoke(tap_command, ["--listen", "0", "--to", to, "--record", str(tmp_path)])
    assert run.exit_code == 2
    assert to in run.output


def echoing(connection: socket.socket) -> None:
    while data := connection.recv(1000):
        connection.sendall(data[::-1])
    connection.close()


def test_what_is_no_http_passes_unseen(tmp_path: Path) -> None:
    with raw_server(echoing) as port, tapped(port, tmp_path / "record") as tap:
        with socket.create_connection(("127.0.0.1", tap.port)) as client:
            for text in (b"\x16\x03\x01 noe annet\r\n\r\n", b"igjen"):
                client.sendall(text)
                assert client.recv(1000) == text[::-1]
    assert tap.counts["not recorded (connections that were not read as HTTP)"] == 1


def test_an_endpoint_that_is_down_and_comes_back(tmp_path: Path) -> None:
    with endpoint(tmp_path / "spool") as port:
        pass
    with tapped(port, tmp_path / "record") as tap:
        answer = httpx.post(url(tap.port), content=put(melding()) * 50, headers=XML)
        assert answer.status_code == 502
        server = socket.create_server(("127.0.0.1", port))
        with httpx.Client() as client:

            def serve() -> None:
                connection, _ = server.accept()
                receive(connection)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

            import threading

            thread = threading.Thread(target=serve)
            thread.start()
            assert client.get(url(tap.port)).status_code == 204
            thread.join()
        server.close()
    assert files(tmp_path / "record") == []


# --- uploads that never end -------------------------------------------------------------


def half_a_letter(port: int) -> socket.socket:
    body = put(melding(b"x" * 3_000_000))
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(
        b"POST /noarkExchange HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    client.sendall(body[: len(body) // 2])
    return client


def test_a_dropped_upload_leaves_nothing(tmp_path: Path) -> None:
    intake, record = Intake(), tmp_path / "record"
    with endpoint(tmp_path / "spool", intake) as port, tapped(port, record) as tap:
        half_a_letter(tap.port).close()
        httpx.post(url(tap.port), content=put(melding()), headers=XML)
    assert tap.counts["not recorded (the call was broken off)"] == 1
    assert intake.letters == 1
    assert len(lines(record / "exchanges.jsonl")) == 1
    assert len(files(record / "letters")) == 1


@pytest.fixture
def command(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`edu-gateway tap` in a process of its own, recording into ``record``; its port."""
    with endpoint(tmp_path / "spool") as port:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "tap", "--listen", "127.0.0.1:0"),
                *("--to", url(port), "--record", str(tmp_path / "record")),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", said)
        assert found, said
        yield process, int(found[1])
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_killed_tap_leaves_nothing_that_compare_stumbles_on(
    command: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    process, port = command
    record = tmp_path / "record"
    httpx.post(url(port), content=put(melding()), headers=XML)
    list_ = record / "exchanges.jsonl"
    with half_a_letter(port):
        # The letter before is on disk, then so is what came after it, in the tap's hands.
        for _ in range(200):
            if list_.exists() and list_.read_bytes():
                break
            httpx.get(url(port))
        process.kill()
        process.wait()
    assert len(files(record / "letters")) == 1
    (record / "letters" / "unfinished.xml.part").write_bytes(put(melding())[:900])
    run = CliRunner().invoke(
        compare,
        ["run", "--left", str(record), "--right", "translate", "--out", str(tmp_path / "out")],
    )
    assert "1 messages" in run.output
    assert "0 different   0 failed" in run.output, run.output


def test_a_tap_that_is_stopped_finishes_and_says_what_it_saw(
    command: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    process, port = command
    with httpx.Client() as client:  # its connection stays open
        client.post(url(port), content=put(melding()), headers=XML)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.read() == "since the start: 1 recorded\n"
        assert process.wait(20) == 0
    assert len(files(tmp_path / "record" / "letters")) == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads memory from /proc")
def test_a_big_letter_passes_in_constant_memory(
    command: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    process, port = command

    def peak() -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]

    httpx.post(url(port), content=put(melding()), headers=XML)
    idle = peak()
    head, _, tail = put(melding(b"#")).partition(b"Iw==")
    block = b"QUJD" * 65536

    def big() -> Iterator[bytes]:
        yield head
        for _ in range(800):
            yield block
        yield tail

    answer = httpx.post(url(port), content=big(), headers=XML, timeout=60)
    assert b'type="OK"' in answer.content
    grown = (peak() - idle) // 1024
    assert grown < 100, f"{grown} MiB for 200 MiB"
