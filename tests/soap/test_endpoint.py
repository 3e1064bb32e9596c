"""The endpoint over HTTP: answers, faults, what stays behind."""

from __future__ import annotations

import base64
import contextlib
import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zeep
from lxml import etree
from soap_messages import (
    SOAP_11,
    SOAP_12,
    Answer,
    RecordingIntake,
    T,
    body,
    can,
    letter,
    put,
    send,
)

from gateway.edu.payload import PayloadKind
from gateway.edu.reader import Limits
from gateway.errors import (
    ReceiverUnknown,
    RegistryRefused,
    RegistryUnavailable,
    RequestRefused,
    StorageFull,
)
from gateway.model import AppReceipt, ReceiptType, StatusMessage
from gateway.soap.description import Description
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.spool import FolderSpool

PDF = bytes(range(256)) * 1000


def fault(answer: Answer) -> tuple[str, str]:
    """Code and text of a SOAP 1.1 fault."""
    root = etree.fromstring(answer.body)
    found = root.find(f".//{{{SOAP_11}}}Fault")
    assert found is not None, answer.text
    code = found.findtext("faultcode") or ""
    prefix, _, local = code.partition(":")
    assert found.nsmap[prefix] == SOAP_11
    return local, found.findtext("faultstring") or ""


def test_letter_is_handed_over_and_answered_ok(
    port: int, intake: RecordingIntake, spool: FolderSpool
) -> None:
    answer = send(port, put(letter(PDF, b"hei")))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert b'<result type="OK"/>' in answer.body
    root = etree.fromstring(answer.body)
    assert root[0][0].tag == f"{{{T}}}PutMessageResponse"
    envelope, payload, contents = intake.received[0]
    assert envelope is not None
    assert envelope.conversation_id == "c-1"
    assert payload.kind is PayloadKind.MELDING
    assert contents == [PDF, b"hei"]
    assert list(spool.folder.iterdir()) == [], "content that nobody kept stays behind"


def test_error_answer_keeps_every_message(port: int, intake: RecordingIntake) -> None:
    intake.answer = AppReceipt(
        ReceiptType.ERROR, (StatusMessage("5", "Kan ikke <behandle>"), StatusMessage("5", "Æøå"))
    )
    root = etree.fromstring(send(port, put(letter())).body)
    result = root.find(".//result")
    assert result is not None
    assert result.get("type") == "ERROR"
    assert [(one.get("code"), one.findtext("text")) for one in result] == [
        ("5", "Kan ikke <behandle>"),
        ("5", "Æøå"),
    ]


@pytest.mark.parametrize("soap", [SOAP_11, SOAP_12])
@pytest.mark.parametrize(
    ("orgnr", "expected"), [("991825827", "true"), ("974760673", "false"), (None, "false")]
)
def test_can_receive(port: int, soap: str, orgnr: str | None, expected: str) -> None:
    content_type = "text/xml" if soap == SOAP_11 else "application/soap+xml; charset=utf-8"
    answer = send(port, can(orgnr, soap=soap), content_type=content_type)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith(content_type.partition(";")[0])
    root = etree.fromstring(answer.body)
    assert root.tag == f"{{{soap}}}Envelope"
    assert root.findtext(".//result") == expected


def test_can_receive_never_faults(port: int, intake: RecordingIntake) -> None:
    for trouble in (RegistryUnavailable("down"), RegistryRefused("401"), ZeroDivisionError()):
        intake.answer = trouble
        answer = send(port, can("991825827"))
        assert (answer.status, b"<result>false</result>" in answer.body) == (200, True)


@pytest.mark.parametrize(
    ("trouble", "code", "text"),
    [
        (RegistryUnavailable("http://registry is down"), "Server", "Midlertidig feil"),
        (RegistryRefused("401 from registry"), "Server", "Midlertidig feil"),
        (StorageFull("quota"), "Server", "Midlertidig feil"),
        (RequestRefused("EnvelopeMissing", "envelope is missing"), "Client", "envelope is missing"),
        (KeyError("title of a letter"), "Server", "Teknisk feil"),
    ],
)
def test_fault_is_short_and_its_id_is_in_the_log(
    port: int,
    intake: RecordingIntake,
    spool: FolderSpool,
    caplog: pytest.LogCaptureFixture,
    trouble: Exception,
    code: str,
    text: str,
) -> None:
    intake.answer = trouble
    with caplog.at_level(logging.INFO):
        answer = send(port, put(letter(PDF)))
    assert answer.status == 500
    found_code, found_text = fault(answer)
    assert found_code == code
    assert found_text.startswith(text)
    error_id = found_text.rpartition("error id ")[2].rstrip(")")
    assert len(error_id) == 12
    assert f"error_id={error_id}" in caplog.text
    assert "registry" not in answer.text
    assert "Traceback" not in answer.text
    assert list(spool.folder.iterdir()) == []


def test_refusal_of_a_letter_is_an_error_not_a_fault(port: int, intake: RecordingIntake) -> None:
    intake.answer = ReceiverUnknown("no record")
    answer = send(port, put(letter()))
    assert answer.status == 200
    assert "Fant ikke service record for identifikator" in answer.text
    assert 'code="16"' in answer.text


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (b"", "Client", "Couldn't create SOAP message due to exception: XML reader error: "),
        (b"hei", "Client", "Couldn't create SOAP message due to exception: XML reader error: "),
        (put(letter())[:-9], "Client", "Couldn't create SOAP message due to exception: "),
        (b"<a/>", "Client", "the root"),
        (body('<Slett xmlns="urn:x"/>'), "Client", "Cannot find dispatch method for {urn:x}Slett"),
        (body(""), "Client", "Cannot find dispatch method"),
        (body("<PutMessageRequest/>"), "Client", "Cannot find dispatch method for {}PutMessageReq"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]>' + put(letter()), "Client", "document type"),
        (put(letter(), soap=SOAP_12), "VersionMismatch", ""),
        (put(letter(), soap="urn:soap"), "VersionMismatch", ""),
        (
            put(letter(), header='<s:Header><a s:mustUnderstand="1" xmlns="urn:a"/></s:Header>'),
            "MustUnderstand",
            "the header {urn:a}a",
        ),
    ],
)
def test_refused_requests(
    port: int, intake: RecordingIntake, spool: FolderSpool, data: bytes, code: str, text: str
) -> None:
    answer = send(port, data)
    assert answer.status == 500
    found_code, found_text = fault(answer)
    assert found_code == code
    assert found_text.startswith(text)
    assert intake.received == []
    assert list(spool.folder.iterdir()) == []


def test_unknown_headers_are_ignored(port: int) -> None:
    header = '<s:Header><a xmlns="urn:a"><b>c</b></a><d s:mustUnderstand="0"/></s:Header>'
    assert send(port, put(letter(), header=header)).status == 200


def test_fault_in_soap_12(port: int) -> None:
    answer = send(port, body("<x/>", soap=SOAP_12), content_type="application/soap+xml")
    assert answer.status == 500
    assert answer.headers["content-type"].startswith("application/soap+xml")
    root = etree.fromstring(answer.body)
    value = root.find(f".//{{{SOAP_12}}}Code/{{{SOAP_12}}}Value")
    assert value is not None
    assert (value.text or "").endswith(":Sender")
    assert "Cannot find dispatch method for {}x" in (root.findtext(f".//{{{SOAP_12}}}Text") or "")


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/related; type="application/xop+xml"; boundary=b',
        "application/json",
        "application/x-www-form-urlencoded",
    ],
)
def test_other_media_types(port: int, content_type: str) -> None:
    answer = send(port, b"{}", content_type=content_type)
    assert answer.status == 415
    assert fault(answer)[0] == "Client"


@pytest.mark.parametrize(
    "content_type",
    ["text/xml", 'TEXT/XML; charset="UTF-8"', "application/xml", None, "text/xml; charset=tull"],
)
@pytest.mark.parametrize("action", ['""', "urn:anything", '"http://x/PutMessage"', None])
def test_habits_of_headers(port: int, content_type: str | None, action: str | None) -> None:
    headers = {} if action is None else {"SOAPAction": action}
    assert send(port, put(letter()), content_type=content_type, **headers).status == 200


@pytest.mark.parametrize("path", ["/noarkExchange?wsdl", "/noarkExchange/", "/noarkExchange?x=y"])
def test_post_to_neighbouring_urls(port: int, path: str) -> None:
    assert send(port, put(letter()), path=path).status == 200


@pytest.mark.parametrize("path", ["/", "/noarkexchange", "/noarkExchange/x", "/conversations"])
def test_other_paths(port: int, path: str) -> None:
    assert send(port, put(letter()), path=path).status == 404


def test_other_methods(port: int) -> None:
    answer = send(port, method="DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")


# --- bodies -------------------------------------------------------------------------------


def test_gzip_body(port: int, intake: RecordingIntake) -> None:
    data = gzip.compress(put(letter(PDF)))
    assert send(port, data, Content_Encoding="gzip").status == 200
    assert intake.received[0][2] == [PDF]


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(put(letter(PDF)))[:-20]),
        ("gzip", b"no gzip"),
        ("br", put(letter())),
        ("gzip", gzip.compress(put("<Melding>" + " " * 20_000_000))),
    ],
    ids=["cut", "not gzip", "unknown", "bomb"],
)
def test_bad_content_encodings(
    port: int, intake: RecordingIntake, spool: FolderSpool, encoding: str, data: bytes
) -> None:
    answer = send(port, data, Content_Encoding=encoding)
    assert (answer.status, fault(answer)[0]) == (500, "Client")
    assert intake.received == []
    assert list(spool.folder.iterdir()) == []


def test_gzip_in_many_sizes(port: int, intake: RecordingIntake) -> None:
    for size in (0, 1, 200_000, 600_000, 3_000_000):
        intake.received.clear()
        data = b"\0" * size + b"x"
        assert send(port, gzip.compress(put(letter(data))), Content_Encoding="gzip").status == 200
        assert intake.received[0][2] == [data]


def test_chunked_and_expect_continue(port: int, intake: RecordingIntake) -> None:
    data = put(letter(PDF))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            b"POST /noarkExchange HTTP/1.1\r\nHost: arkiv\r\nContent-Type: text/xml\r\n"
            b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        for start in range(0, len(data), 5000):
            piece = data[start : start + 5000]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert intake.received[0][2] == [PDF]


def test_dropped_connection_reaches_nobody(
    port: int, intake: RecordingIntake, spool: FolderSpool
) -> None:
    data = put(letter(PDF))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            b"POST /noarkExchange HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\n"
            + f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data[:-100]
        )
    assert send(port, can("991825827")).status == 200
    assert intake.received == []
    assert list(spool.folder.iterdir()) == []


def test_too_large(serve: Callable[..., int], intake: RecordingIntake, spool: FolderSpool) -> None:
    port = serve(limits=Limits(request_bytes=100_000))
    answer = send(port, put(letter(PDF)))
    assert fault(answer)[0] == "Client"
    assert 'name="TooLarge"' in answer.text
    assert intake.received == []
    assert list(spool.folder.iterdir()) == []


def test_slow_uploads_do_not_delay_a_quick_request(port: int) -> None:
    """The server has four threads here; twenty archives behind slow lines."""
    slow = []
    try:
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            connection.sendall(
                b"POST /noarkExchange HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\n"
                b"Content-Length: 1000000\r\n\r\n<s:Env"
            )
            slow.append(connection)
        started = time.monotonic()
        assert send(port, can("991825827")).status == 200
        assert time.monotonic() - started < 2
    finally:
        for connection in slow:
            connection.close()


def trickle(connection: socket.socket, ended: threading.Event) -> None:
    """A byte now and then, until the other side has had enough."""
    with contextlib.suppress(OSError):
        while not ended.wait(0.1):
            connection.sendall(b"x")


@pytest.mark.parametrize(
    ("begins", "answer"),
    [
        (b"POST /noarkExchange HTTP/1.1\r\nHost: x\r\nX-", b"HTTP/1.0 408 Request Timeout"),
        (
            b"POST /noarkExchange HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n<",
            b"HTTP/1.1 408 Request Timeout",
        ),
        (b"", b""),
    ],
    ids=["headers", "body", "nothing"],
)
def test_tricklers_do_not_keep_an_honest_sender_out(
    intake: RecordingIntake, spool: FolderSpool, begins: bytes, answer: bytes
) -> None:
    """They take every place that there is, and are not given it for long."""
    places = 8
    listener = Listener(create_app(intake, spool), connections=places, patience=0.5)
    listener.start()
    ended = threading.Event()
    tricklers = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(places)]
    threads = [threading.Thread(target=trickle, args=(one, ended)) for one in tricklers if begins]
    try:
        for one in tricklers:
            one.sendall(begins)
        for thread in threads:
            thread.start()
        assert send(listener.port, put(letter(PDF))).status == 200
        for one in tricklers[:2]:
            one.settimeout(20)
            assert one.recv(100).startswith(answer)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for one in tricklers:
            one.close()
        listener.stop(5)


def test_a_sender_that_is_slow_but_steady_is_heard(
    intake: RecordingIntake, spool: FolderSpool
) -> None:
    listener = Listener(create_app(intake, spool), patience=0.3, least_rate=1000)
    listener.start()
    data = put(letter(b"brev" * 500))
    pause = threading.Event()

    def steadily() -> Iterator[bytes]:
        for start in range(0, len(data), 200):
            pause.wait(0.1)
            yield data[start : start + 200]

    try:
        answer = send(listener.port, steadily(), Content_Length=str(len(data)))  # type: ignore[arg-type]
        assert answer.status == 200
    finally:
        listener.stop(5)


def test_stop_lets_a_call_finish(intake: RecordingIntake, spool: FolderSpool) -> None:
    intake.gate = threading.Event()
    listener = Listener(create_app(intake, spool))
    listener.start()
    port = listener.port
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(send(port, put(letter(PDF)))))
    caller.start()
    assert intake.entered.wait(10)
    stopper = threading.Thread(target=listener.stop)
    stopper.start()
    time.sleep(0.2)
    assert stopper.is_alive()
    intake.gate.set()
    caller.join(10)
    stopper.join(10)
    assert not stopper.is_alive()
    assert answers[0].status == 200
    with pytest.raises(OSError):  # noqa: PT011
        socket.create_connection(("127.0.0.1", port), timeout=2).close()


# --- who may call -------------------------------------------------------------------------


def test_basic_authentication(serve: Callable[..., int], intake: RecordingIntake) -> None:
    port = serve(basic_auth=("arkiv", "hemmelig-å"))
    good = "Basic " + base64.b64encode("arkiv:hemmelig-å".encode()).decode()
    bad = "Basic " + base64.b64encode(b"arkiv:feil").decode()
    for header in (None, bad, "Basic %%%", "Bearer x", "Basic"):
        headers = {"Authorization": header} if header else {}
        answer = send(port, put(letter()), **headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert send(port, method="GET", path="/noarkExchange?wsdl", **headers).status == 401
    assert intake.received == []
    assert send(port, put(letter()), Authorization=good).status == 200


# --- description --------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["wsdl", "WSDL", "Wsdl=1"])
def test_wsdl(port: int, query: str) -> None:
    answer = send(port, method="GET", path=f"/noarkExchange?{query}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    url = f"http://127.0.0.1:{port}/noarkExchange"
    assert f'location="{url}"' in answer.text
    assert f'schemaLocation="{url}?xsd=1"' in answer.text
    for name in ("NoarkExchangePortBinding", "NoarkExchangePort", "SOAPport", '"PutMessage"'):
        assert name in answer.text


def test_public_url_wins(serve: Callable[..., int]) -> None:
    port = serve(public_url="https://edu.example.no/noarkExchange")
    text = send(port, method="GET", path="/noarkExchange?wsdl").text
    assert 'location="https://edu.example.no/noarkExchange"' in text
    assert "127.0.0.1" not in text


def test_host_header_cannot_break_out() -> None:
    wsdl = Description().wsdl('http://a"/><x y="')
    root = etree.fromstring(wsdl)
    assert root.find(".//x") is None
    assert root.find(".//{http://schemas.xmlsoap.org/wsdl/soap/}address") is not None


def test_schema_head_and_page(port: int) -> None:
    for path in ("/noarkExchange?xsd=1", "/noarkExchange-types.xsd"):
        schema = etree.XMLSchema(etree.fromstring(send(port, method="GET", path=path).body))
        request = etree.fromstring(put(letter()))[0][0]
        assert schema.validate(request), schema.error_log
    head = send(port, method="HEAD", path="/noarkExchange?wsdl")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 1000
    page = send(port, method="GET")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "?wsdl" in page.text
    assert send(port, method="GET", path="/noarkExchange?singleWsdl").status == 404


def test_answers_are_valid_by_our_schema(port: int, intake: RecordingIntake) -> None:
    schema = etree.XMLSchema(
        etree.fromstring(send(port, method="GET", path="/noarkExchange?xsd=1").body)
    )
    for data in (put(letter()), put("&lt;Melding"), can("991825827")):
        assert schema.validate(etree.fromstring(send(port, data).body)[0][0]), schema.error_log


def test_zeep_client_from_the_served_wsdl(port: int, intake: RecordingIntake) -> None:
    client = zeep.Client(f"http://127.0.0.1:{port}/noarkExchange?wsdl")
    assert client.service.GetCanReceiveMessage(receiver={"orgnr": "991825827"}) is True
    envelope = {
        "sender": {"orgnr": "974760673", "name": "Øy kommune"},
        "receiver": {"orgnr": "991825827"},
        "conversationId": "c-2",
        "contentNamespace": "http://www.arkivverket.no/Noark4-1-WS-WD/types",
    }
    answer = client.service.PutMessage(envelope=envelope, payload=letter(PDF))
    assert (answer.type, answer.message) == ("OK", [])
    assert intake.received[0][2] == [PDF]
    received = intake.received[0][0]
    assert received is not None
    assert received.sender is not None
    assert received.sender.name == "Øy kommune"
    intake.answer = RegistryUnavailable("down")
    with pytest.raises(zeep.exceptions.Fault, match="Midlertidig feil"):
        client.service.PutMessage(envelope=envelope, payload=letter())


def test_nothing_of_a_letter_is_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    secret = "Hemmelig tittel"
    with caplog.at_level(logging.DEBUG):
        send(
            port, put(f"<Melding><journpost><jpInnhold>{secret}</jpInnhold></journpost></Melding>")
        )
        send(port, put(f"<Melding><jpInnhold>{secret}</Melding>"))
        send(port, put(f"&lt;Melding>{secret}&lt;/x>"))
    assert secret not in caplog.text


def test_concurrent_calls_do_not_mix(port: int, intake: RecordingIntake) -> None:
    answers: dict[int, int] = {}

    def call(number: int) -> None:
        answers[number] = send(port, put(letter(f"{number}".encode() * 5000))).status

    callers = [threading.Thread(target=call, args=(n,)) for n in range(12)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert set(answers.values()) == {200}
    assert sorted(one[2][0] for one in intake.received) == sorted(
        f"{n}".encode() * 5000 for n in range(12)
    )


def test_real_samples(shared_samples: Path, port: int, intake: RecordingIntake) -> None:
    names = ["p360-putmessage-docx-escaped-typed.xml", "ephorte-putmessage-pdf-cdata.xml"]
    for name in names:
        answer = send(port, (shared_samples / "edu" / name).read_bytes())
        assert b'<result type="OK"/>' in answer.body
    assert [len(one[2][0]) for one in intake.received] == [168_919, 60_639]
    assert intake.received[1][2][0].startswith(b"%PDF")


def test_an_organisation_that_we_act_for_has_an_address_of_its_own(
    serve: Callable[..., int], intake: RecordingIntake
) -> None:
    port = serve(organisations=["974760673"])
    for path in ("/noarkExchange", "/noarkExchange/974760673", "/noarkExchange/974760673/"):
        assert send(port, put(letter(PDF)), path=path).status == 200
    assert intake.speakers == [None, "974760673", "974760673"]
    assert send(port, put(letter(PDF)), path="/noarkExchange/889640782").status == 404
    text = send(port, method="GET", path="/noarkExchange/974760673?wsdl").text
    assert f'location="http://127.0.0.1:{port}/noarkExchange/974760673"' in text
