"""Delivery over real HTTP to an archive that demands what its vendor demands."""

from __future__ import annotations

import contextlib
import hashlib
import io
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
from archive_letters import ENVELOPE, make_melding

from gateway.archives.settings import ArchiveSettings
from gateway.archives.soap import SoapArchive
from gateway.errors import ArchiveFault, ArchiveUnclear, ArchiveUnreachable, ConfigurationError
from gateway.model import AppReceipt, Envelope, Melding, Party, ReceiptType, StatusMessage
from gateway.ports import Delivery
from gateway.simulators.archive import Behaviour, SimulatedArchive

LETTER = Delivery(ENVELOPE, make_melding(b"%PDF-1.4 hoveddokument", b"vedlegg" * 5000))
RECEIPT = Delivery(
    ENVELOPE,
    AppReceipt(ReceiptType.OK, (StatusMessage("Recno", "315635"), StatusMessage("ID", "x"))),
)

DIALECTS = ["p360", "ephorte", "websak"]


def _archive(url: str, dialect: str = "p360", **settings: object) -> SoapArchive:
    return SoapArchive(ArchiveSettings("arkiv", dialect, url, **settings))  # type: ignore[arg-type]


@pytest.fixture(params=DIALECTS)
def simulated(request: pytest.FixtureRequest) -> Iterator[SimulatedArchive]:
    with SimulatedArchive("Eksempeletaten", "974760673", dialect=request.param) as archive:
        yield archive


@pytest.fixture
def p360() -> Iterator[SimulatedArchive]:
    with SimulatedArchive("Eksempeletaten", "974760673", dialect="p360") as archive:
        yield archive


def test_letter_is_filed_with_every_document_unchanged(simulated: SimulatedArchive) -> None:
    answer = _archive(simulated.url, simulated.vendor.name).put_message(LETTER)
    assert simulated.complaints == []
    assert answer == AppReceipt(ReceiptType.OK, (StatusMessage("Recno", "100000"),))
    (letter,) = simulated.letters
    assert letter.title == "Svar på søknad"
    assert letter.conversation_id == ENVELOPE.conversation_id
    assert [document.content.sha256 for document in letter.documents] == [
        hashlib.sha256(b"%PDF-1.4 hoveddokument").hexdigest(),
        hashlib.sha256(b"vedlegg" * 5000).hexdigest(),
    ]


def test_receipt_arrives_whole_and_its_empty_answer_is_no_result(
    simulated: SimulatedArchive,
) -> None:
    assert _archive(simulated.url, simulated.vendor.name).put_message(RECEIPT) is None
    (receipt,) = simulated.receipts
    assert receipt.type is ReceiptType.OK
    assert receipt.messages == RECEIPT.payload.messages  # type: ignore[union-attr]


def test_envelope_is_the_one_that_archives_were_built_against(p360: SimulatedArchive) -> None:
    _archive(p360.url).put_message(RECEIPT)
    (request,) = p360.requests
    assert request.headers["content-length"] == str(request.size)
    assert "transfer-encoding" not in request.headers
    assert request.headers["content-type"] == "text/xml; charset=utf-8"
    body = request.head.decode()
    assert '<ns3:PutMessageRequest><envelope contentNamespace="http://www.arkivverket.no/' in body
    assert (
        "<sender><orgnr>991825827</orgnr><name>Prøve kommune</name><ref>15/00020-3</ref></sender>"
        "<receiver><orgnr>974760673</orgnr><name>Eksempeletaten</name></receiver></envelope>"
        "<payload>&lt;?xml version="
    ) in body
    assert 'conversationId="6f3c2b7e-55c1-4a0e-9d0a-0d3f6e7e2f10"' in body
    assert "xsi:type" not in body
    assert "CDATA" not in body
    assert "Noark4-1-WS-WD" in body, "also for receipts (bestedu-soap 5.5)"


@pytest.mark.parametrize("title", ["Kolonns2: brev", "ns0:AppReceipt", "]]>", "<b>&amp;", "æøå 🖋"])
def test_titles_reach_the_archive_unchanged(p360: SimulatedArchive, title: str) -> None:
    delivery = Delivery(ENVELOPE, make_melding(b"x", title=title))
    _archive(p360.url).put_message(delivery)
    assert p360.letters[0].title == title


def test_characters_that_xml_cannot_hold_do_not_stop_a_delivery(p360: SimulatedArchive) -> None:
    odd = Envelope(Party("991825827", "A\x00B"), Party("974760673", ref="\ufffe"), "id\x01")
    _archive(p360.url).put_message(Delivery(odd, LETTER.payload))
    assert p360.letters[0].envelope.sender == Party("991825827", "A\ufffdB")
    assert p360.letters[0].conversation_id == "id\ufffd"


def test_wrong_soap_action_is_the_fault_that_operators_know(p360: SimulatedArchive) -> None:
    with pytest.raises(ArchiveFault, match="ContractFilter mismatch") as caught:
        _archive(p360.url, "ephorte").put_message(LETTER)
    assert caught.value.fault_code == "Client"
    assert p360.letters == []


def test_soap_action_can_be_overridden(p360: SimulatedArchive) -> None:
    _archive(p360.url, "ephorte", soap_action=p360.vendor.soap_actions[0].strip('"')).put_message(
        LETTER
    )
    assert len(p360.letters) == 1


# --- the archive's answers (bestedu-soap 5.7) -----------------------------------------

MANY = (
    StatusMessage("Recno", "7"),
    StatusMessage("Merk", "Nøkkelord ukjent"),
    StatusMessage("Recno", "7"),
)


@pytest.mark.parametrize("kind", list(ReceiptType))
def test_all_messages_of_an_answer_are_kept_in_order(
    p360: SimulatedArchive, kind: ReceiptType
) -> None:
    """The predecessor kept the first one only."""
    p360.behave(Behaviour(type=kind, messages=MANY))
    assert _archive(p360.url).put_message(LETTER) == AppReceipt(kind, MANY)


def test_absent_result_is_delivered_for_public_360_and_unclear_for_others(
    simulated: SimulatedArchive,
) -> None:
    simulated.behave(Behaviour("no result"))
    answer = _archive(simulated.url, simulated.vendor.name).put_message(LETTER)
    expected = AppReceipt(ReceiptType.OK) if simulated.vendor.name == "p360" else None
    assert answer == expected


def test_empty_body_is_no_result_whatever_the_dialect(simulated: SimulatedArchive) -> None:
    simulated.behave(Behaviour("empty"))
    assert _archive(simulated.url, simulated.vendor.name).put_message(LETTER) is None


def test_fault_says_code_and_text(p360: SimulatedArchive) -> None:
    p360.behave(Behaviour("fault", fault_code="Client.Validation", text="Ugyldig arkivdel"))
    with pytest.raises(ArchiveFault, match="Ugyldig arkivdel") as caught:
        _archive(p360.url).put_message(LETTER)
    assert caught.value.fault_code == "Client"


def test_very_long_fault_is_shortened_and_says_so(p360: SimulatedArchive) -> None:
    p360.behave(Behaviour("fault", text="x" * 5000))
    with pytest.raises(ArchiveFault, match=r"\(3000 characters more\)"):
        _archive(p360.url).put_message(LETTER)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 500])
def test_error_status_without_a_fault_is_named(p360: SimulatedArchive, status: int) -> None:
    p360.behave(Behaviour("status", status=status, headers=(("WWW-Authenticate", "NTLM"),)))
    with pytest.raises(ArchiveFault) as caught:
        _archive(p360.url).put_message(LETTER)
    assert caught.value.fault_code == f"HTTP {status}"
    if status == 401:
        assert "NTLM" in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_archive_is_unreachable_and_its_wish_is_passed_on(
    p360: SimulatedArchive, status: int
) -> None:
    p360.behave(Behaviour("status", status=status, headers=(("Retry-After", "90"),)))
    with pytest.raises(ArchiveUnreachable) as caught:
        _archive(p360.url).put_message(LETTER)
    assert caught.value.retry_after == 90.0


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour("drop"),
        Behaviour("half"),
        Behaviour(delay=5.0),
        Behaviour("status", status=200),
        Behaviour("status", status=504),
    ],
    ids=["connection closed", "answer cut off", "time-out", "web page", "gateway time-out"],
)
def test_answer_that_leaves_the_letter_in_doubt_is_unclear(
    p360: SimulatedArchive, behaviour: Behaviour
) -> None:
    p360.behave(behaviour)
    with pytest.raises(ArchiveUnclear):
        _archive(p360.url, timeout=1.0).put_message(LETTER)


def test_archive_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(ArchiveUnreachable):
        _archive(url).put_message(LETTER)


def test_connection_lost_before_the_last_byte_means_nothing_was_filed(
    p360: SimulatedArchive,
) -> None:
    big = make_melding(b"\0" * 30_000_000)
    p360.behave(Behaviour("drop", read=100_000))
    with pytest.raises(ArchiveUnreachable, match="before the last byte"):
        _archive(p360.url).put_message(Delivery(ENVELOPE, big))
    assert p360.letters == []


# --- answers as bytes -----------------------------------------------------------------


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """A server that reads a request and sends given bytes; gives its address."""
    listeners: list[socket.socket] = []

    def serve(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                received = b""
                while b"</soap-env:Envelope>" not in received:
                    block = connection.recv(65536)
                    if not block:
                        return
                    received = (received + block)[-1_000_000:]
                connection.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield serve
    for listener in listeners:
        listener.close()


def _http(body: str, status: str = "200 OK", encoding: str = "utf-8") -> bytes:
    data = body.encode(encoding)
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {len(data)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + data


def _soap(inner: str) -> str:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:t="http://www.arkivverket.no/Noark/Exchange/types"><s:Body>{inner}</s:Body>'
        "</s:Envelope>"
    )


OK_ANSWER = AppReceipt(ReceiptType.OK, (StatusMessage("ID", "9"),))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '<t:PutMessageResponse><result type="OK"><message code="ID"><text>9</text></message>'
            "</result></t:PutMessageResponse>",
            OK_ANSWER,
        ),
        (
            '<PutMessageResponse xmlns="http://www.arkivverket.no/Noark/Exchange/types">'
            '<result type="OK"><message code="ID"><text>9</text></message></result>'
            "</PutMessageResponse>",
            OK_ANSWER,
        ),
        (
            '<t:PutMessageResponse><result type=" WARNING " more="1"><message code="x"/>'
            "<new>y</new></result></t:PutMessageResponse>",
            AppReceipt(ReceiptType.WARNING, (StatusMessage("x", ""),)),
        ),
        (
            '<t:PutMessageResponse><time/><result type="OK"><message code="ID"><text>9</text>'
            "</message></result><t:more/></t:PutMessageResponse>",
            OK_ANSWER,
        ),
        (
            '<t:PutMessageResponse><result><message code="a"><text>b</text></message></result>'
            "</t:PutMessageResponse>",
            AppReceipt(ReceiptType.ERROR, (StatusMessage("a", "b"),)),
        ),
        (
            '<t:PutMessageResponse><result xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
            'i:type="q1:AppReceiptType" type="OK"><message i:type="t:Receipt" code="ID">'
            "<text>9</text></message></result></t:PutMessageResponse>",
            OK_ANSWER,
        ),
        ("<t:PutMessageResponse><result/></t:PutMessageResponse>", None),
        ("<t:PutMessageResponse/>", None),
        ('<t:PutMessageResponse><result type="PERHAPS"/></t:PutMessageResponse>', None),
    ],
    ids=[
        "plain",
        "qualified",
        "additions",
        "more beside the result",
        "no type",
        "xsi:type",
        "empty result",
        "empty",
        "unknown type",
    ],
)
def test_every_form_of_result_is_understood(
    answering: Callable[[bytes], str], body: str, expected: AppReceipt | None
) -> None:
    archive = _archive(answering(_http(_soap(body))), "ephorte")
    assert archive.put_message(LETTER) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_in_answers_do_not_matter(
    answering: Callable[[bytes], str], encoding: str
) -> None:
    body = _soap('<t:PutMessageResponse><result type="OK"/></t:PutMessageResponse>')
    archive = _archive(answering(_http(body, encoding=encoding)))
    assert archive.put_message(LETTER) == AppReceipt(ReceiptType.OK)


@pytest.mark.parametrize(
    "answer",
    [
        _http('<!DOCTYPE a [<!ENTITY b "OK">]>' + _soap("<t:PutMessageResponse/>")),
        _http("<html/>"),
        _http(_soap("<other/>")),
        _http(_soap("")),
        _http(
            '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>'
        ),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<s:Envelope",
        b"nonsense\r\n\r\n",
    ],
    ids=["doctype", "html", "other element", "empty body", "soap 1.2", "short", "not http"],
)
def test_answer_that_cannot_be_read_is_unclear(
    answering: Callable[[bytes], str], answer: bytes
) -> None:
    with pytest.raises(ArchiveUnclear):
        _archive(answering(answer)).put_message(LETTER)


def test_fault_with_status_200_is_a_fault(answering: Callable[[bytes], str]) -> None:
    body = _soap(
        "<s:Fault><faultcode>s:Server</faultcode><faultstring>Feil</faultstring></s:Fault>"
    )
    with pytest.raises(ArchiveFault, match="Feil"):
        _archive(answering(_http(body))).put_message(LETTER)


def test_endless_answer_is_cut_off(
    answering: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.archives.soap._LARGEST_ANSWER", 100_000)
    with pytest.raises(ArchiveUnclear, match="larger than"):
        _archive(answering(_http(" " * 2_000_000))).put_message(LETTER)


def _serve_once(serve: Callable[[socket.socket], None]) -> str:
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                serve(connection)

    threading.Thread(target=run, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_answer_that_trickles_is_given_up() -> None:
    """Each byte comes in time, the whole never does."""

    def trickle(connection: socket.socket) -> None:
        connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    with pytest.raises(ArchiveUnclear, match="not complete"):
        _archive(_serve_once(trickle), timeout=0.5).put_message(RECEIPT)


def test_refusal_in_the_middle_of_a_large_letter_is_understood() -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with pytest.raises(ArchiveFault) as caught:
        _archive(_serve_once(refuse)).put_message(
            Delivery(ENVELOPE, make_melding(b"\0" * 10_000_000))
        )
    assert caught.value.fault_code == "HTTP 413"


# --- size, connection, TLS ------------------------------------------------------------


@dataclass(frozen=True)
class _Generated:
    """Zeros that exist nowhere at once."""

    size: int
    sha256: str = ""

    def open(self) -> BinaryIO:
        return _Zeros(self.size)  # type: ignore[return-value]


class _Zeros(io.RawIOBase):
    def __init__(self, left: int) -> None:
        self._left = left

    def read(self, size: int = -1) -> bytes:
        count = min(size, self._left) if size >= 0 else self._left
        self._left -= count
        return bytes(count)


def test_memory_does_not_grow_with_the_document() -> None:
    size = 60_000_000
    listener = socket.create_server(("127.0.0.1", 0))
    answer = _http(_soap('<t:PutMessageResponse><result type="OK"/></t:PutMessageResponse>'))
    received = [0]

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            tail = b""
            while not tail.endswith(b"</soap-env:Envelope>"):
                block = connection.recv(1 << 18)
                received[0] += len(block)
                tail = (tail + block)[-64:]
            connection.sendall(answer)

    threading.Thread(target=run, daemon=True).start()
    archive = _archive(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    melding = make_melding(b"x")
    delivery = Delivery(ENVELOPE, Melding(melding.root, {"c1": _Generated(size)}))
    tracemalloc.start()
    try:
        assert archive.put_message(delivery) == AppReceipt(ReceiptType.OK)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        listener.close()
    assert received[0] > size * 4 // 3
    assert peak < 16 * 1024 * 1024


def test_several_letters_at_once_through_one_archive_object(p360: SimulatedArchive) -> None:
    archive = _archive(p360.url)
    deliveries = [
        Delivery(
            Envelope(ENVELOPE.sender, ENVELOPE.receiver, f"samtale-{number}"),
            make_melding(b"%d" % number * 50_000, title=f"Brev {number}"),
        )
        for number in range(12)
    ]
    threads = [
        threading.Thread(target=archive.put_message, args=(delivery,)) for delivery in deliveries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(letter.conversation_id, letter.title) for letter in p360.letters} == {
        (f"samtale-{number}", f"Brev {number}") for number in range(12)
    }


def test_ca_file_without_certificates_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigurationError, match="ca_file"):
        _archive("https://127.0.0.1/", ca_file=file)
