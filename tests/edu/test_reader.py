"""The streaming reader: payload forms, what real stubs produce, and where it is cut."""

from __future__ import annotations

import base64
import hashlib
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from edu_messages import ENVELOPE, FORMS, RECEIPT, T, escape, letter, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.edu.payload import PayloadKind, read_payload
from gateway.edu.reader import Limits, SoapRequest, read_request
from gateway.errors import RequestRefused
from gateway.model import ReceiptType
from gateway.spool import FolderSpool

PDF = bytes(range(256)) * 40
NOTE = "Hei på deg\n".encode()


def read(spool: FolderSpool, text: str | bytes, **options: object) -> SoapRequest:
    data = text.encode() if isinstance(text, str) else text
    return read_request([data], spool, **options)  # type: ignore[arg-type]


def documents(found: SoapRequest) -> list[bytes | None]:
    assert found.payload.melding is not None
    contents = found.payload.melding.contents
    result: list[bytes | None] = []
    for element in found.payload.melding.root.iter("{*}base64"):
        assert not element.text
        ref = element.get("ref")
        if ref is None:
            result.append(None)
            continue
        with contents[ref].open() as stream:
            data = stream.read()
        assert contents[ref].size == len(data)
        assert contents[ref].sha256 == hashlib.sha256(data).hexdigest()
        result.append(data)
    return result


@pytest.mark.parametrize("form", FORMS)
def test_letter_in_every_form(spool: FolderSpool, form: str) -> None:
    found = read(spool, request(FORMS[form](letter(PDF, NOTE))))
    assert found.operation == "PutMessageRequest"
    assert found.soap_version == "1.1"
    assert found.payload.kind is PayloadKind.MELDING
    assert documents(found) == [PDF, NOTE]
    assert found.payload.melding is not None
    assert found.payload.melding.root.findtext(".//{*}jpInnhold") == "Søknad om båtplass"
    assert found.payload.warnings == ()


@pytest.mark.parametrize("form", FORMS)
def test_receipt_in_every_form(spool: FolderSpool, form: str) -> None:
    receipt = read(spool, request(FORMS[form](RECEIPT))).payload.receipt
    assert receipt is not None
    assert receipt.type is ReceiptType.OK
    assert [(one.code, one.text) for one in receipt.messages] == [("Recno", "4711")]


@pytest.mark.parametrize(
    "payload",
    [
        '<payload xmlns=""/>',
        '<payload xmlns=""></payload>',
        '<payload xmlns="" xsi:nil="true"/>',
        '<payload xmlns="" xsi:type="xsd:string"></payload>',
        '<payload xmlns=""> \r\n\t </payload>',
        "",
    ],
    ids=["E6", "E6 open", "E7 nil", "E8 typed", "E9 blanks", "E10 absent"],
)
def test_empty_payloads(spool: FolderSpool, payload: str) -> None:
    assert read(spool, request(payload)).payload.kind is PayloadKind.EMPTY


def test_envelope_as_it_came(spool: FolderSpool) -> None:
    envelope = read(spool, request('<payload xmlns=""/>')).envelope
    assert envelope is not None
    assert envelope.conversation_id == "6f0e5e9a-0b43-4b0f-9d0c-5a1b8a6b2c11"
    assert envelope.sender is not None
    assert (envelope.sender.orgnr, envelope.sender.name) == ("974760673", "Øy kommune")
    assert envelope.sender.ref == "15/42"
    assert envelope.sender.email is None
    assert envelope.receiver is not None
    assert envelope.receiver.orgnr == "991825827"


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ("", None),
        ('<envelope xmlns=""/>', (None, None, None)),
        ('<envelope xmlns=""><receiver/></envelope>', (None, None, None)),
        ('<envelope xmlns=""><receiver><orgnr/></receiver></envelope>', (None, "", None)),
    ],
)
def test_what_is_missing_stays_missing(
    spool: FolderSpool, envelope: str, expected: tuple[str | None, ...] | None
) -> None:
    found = read(spool, request('<payload xmlns=""/>', envelope=envelope)).envelope
    if expected is None:
        assert found is None
        return
    assert found is not None
    receiver = found.receiver.orgnr if found.receiver else None
    assert (found.sender, receiver, found.conversation_id) == expected


def test_children_in_the_wrong_namespace(spool: FolderSpool) -> None:
    """A forgotten xmlns="" was a null pointer in the predecessor."""
    text = request(f"<payload>{escape(letter(NOTE))}</payload>").replace(' xmlns=""', "")
    found = read(spool, text)
    assert found.envelope is not None
    assert found.envelope.receiver is not None
    assert found.envelope.receiver.orgnr == "991825827"
    assert documents(found) == [NOTE]


def test_can_receive(spool: FolderSpool) -> None:
    body = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
        f'<GetCanReceiveMessageRequest xmlns="{T}"><receiver xmlns=""><orgnr>991825827</orgnr>'
        "</receiver></GetCanReceiveMessageRequest></s:Body></s:Envelope>"
    )
    found = read(spool, body)
    assert (found.operation, found.soap_version) == ("GetCanReceiveMessageRequest", "1.2")
    assert found.receiver is not None
    assert found.receiver.orgnr == "991825827"


# --- what real stubs produce (soap-stack 2) -----------------------------------------------


def test_payload_itself_is_the_letter(spool: FolderSpool) -> None:
    """JAX-WS drops the root's own name when a DOM element is passed."""
    inner = re.sub(r"^<Melding[^>]*>|</Melding>$", "", letter(PDF, NOTE))
    found = read(spool, request(f'<payload xmlns="">\n {inner}</payload>'))
    assert found.payload.kind is PayloadKind.MELDING
    assert documents(found) == [PDF, NOTE]
    assert found.payload.melding is not None
    assert etree.QName(found.payload.melding.root).localname == "Melding"
    assert found.payload.warnings


@pytest.mark.parametrize("children", ['<message code="ID"><text>9</text></message>', ""])
def test_payload_itself_is_the_receipt(spool: FolderSpool, children: str) -> None:
    payload = f'<payload xmlns="" xsi:type="AppReceiptType" type="WARNING">{children}</payload>'
    receipt = read(spool, request(payload)).payload.receipt
    assert receipt is not None
    assert receipt.type is ReceiptType.WARNING
    assert len(receipt.messages) == bool(children)


@pytest.mark.parametrize("before", ["\ufeff", "\r\n   ", " \ufeff\n"])
@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-8", "UTF-16LE"])
def test_declared_encoding_inside_a_string_means_nothing(
    spool: FolderSpool, before: str, encoding: str
) -> None:
    xml = f'{before}<?xml version="1.0" encoding="{encoding}"?>{letter(NOTE)}'
    found = read(spool, request(FORMS["E1 typed, escaped"](xml)))
    assert found.payload.melding is not None
    assert found.payload.melding.root.findtext(".//{*}jpInnhold") == "Søknad om båtplass"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_that_show_themselves(spool: FolderSpool, encoding: str) -> None:
    found = read(spool, request(FORMS["E4 CDATA"](letter(PDF))).encode(encoding))
    assert documents(found) == [PDF]


@pytest.mark.parametrize("charset", ["windows-1252", "iso-8859-1"])
def test_charset_of_http(spool: FolderSpool, charset: str) -> None:
    found = read(spool, request(FORMS["E3 escaped"](letter(PDF))).encode(charset), encoding=charset)
    assert found.payload.melding is not None
    assert found.payload.melding.root.findtext(".//{*}jpInnhold") == "Søknad om båtplass"


@pytest.mark.parametrize("charset", ["utf-7", "no-such", "utf-16", ""])
def test_unhelpful_charsets_are_ignored(spool: FolderSpool, charset: str) -> None:
    assert documents(read(spool, request(FORMS["E4 CDATA"](letter(PDF))), encoding=charset)) == [
        PDF
    ]


def test_title_that_says_appreceipt_is_still_a_letter(spool: FolderSpool) -> None:
    """The predecessor looked for the word anywhere in the payload."""
    for title in ("Om AppReceipt", "Kolonns2: og ns0:"):
        found = read(spool, request(FORMS["E4 CDATA"](letter(NOTE, title=title))))
        assert found.payload.melding is not None
        assert found.payload.melding.root.findtext(".//{*}jpInnhold") == title


def test_cdata_cut_in_two(spool: FolderSpool) -> None:
    xml = letter(PDF)
    half = len(xml) // 2
    payload = (
        f'<payload xmlns=""><![CDATA[{xml[:half]}]]><!-- --><![CDATA[{xml[half:]}]]></payload>'
    )
    assert documents(read(spool, request(payload))) == [PDF]


def test_roots_by_their_children(spool: FolderSpool) -> None:
    kinds = {
        "<x><journpost/></x>": PayloadKind.MELDING,
        '<x type="ERROR"/>': PayloadKind.APPRECEIPT,
        "<x><message/></x>": PayloadKind.APPRECEIPT,
        "<x><y/></x>": PayloadKind.UNKNOWN,
        "<q:MeldingType xmlns:q='urn:q'/>": PayloadKind.MELDING,
        "<a/><b/>": PayloadKind.BROKEN,
    }
    for xml, kind in kinds.items():
        assert read(spool, request(FORMS["E3 escaped"](xml))).payload.kind is kind, xml
    nested = read(spool, request('<payload xmlns=""><a/><b/></payload>')).payload
    assert nested.kind is PayloadKind.UNKNOWN


def test_receipt_without_type(spool: FolderSpool) -> None:
    """IP#416: P360 has left the attribute out."""
    for code, expected in (("Recno", ReceiptType.OK), ("-1", ReceiptType.ERROR)):
        xml = (
            f'<AppReceipt xmlns="{T}"><message code="{code}"><text>1</text></message></AppReceipt>'
        )
        payload = read(spool, request(FORMS["E1 typed, escaped"](xml))).payload
        assert payload.receipt is not None
        assert payload.receipt.type is expected
        assert payload.receipt_type_missing
        assert payload.warnings


# --- faults inside the payload ------------------------------------------------------------


@pytest.mark.parametrize(
    "xml",
    [
        "<Melding><journpost></Melding>",
        "ikke xml",
        letter(PDF)[:-9],
        letter(PDF) + "<mer/>",
        "<!DOCTYPE Melding [<!ENTITY a 'b'>]><Melding><journpost>&a;</journpost></Melding>",
        "<Melding>&udefinert;</Melding>",
    ],
)
def test_broken_payload_leaves_the_envelope_readable(
    spool: FolderSpool, leftovers: Callable[[], list[Path]], xml: str
) -> None:
    found = read(spool, request(FORMS["E3 escaped"](xml)))
    assert found.payload.kind is PayloadKind.BROKEN
    assert found.payload.problem
    assert found.envelope is not None
    assert found.envelope.conversation_id
    assert leftovers() == []


@pytest.mark.parametrize("text", ["tekst<Melding/>", "<Melding/>tekst"])
def test_text_beside_elements_is_broken(spool: FolderSpool, text: str) -> None:
    payload = read(spool, request(f'<payload xmlns="">{text}</payload>')).payload
    assert payload.kind is PayloadKind.BROKEN


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("base64_text", "problem"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("tull og tøys", "undecodable"),
        ("QUJD*", "undecodable"),
        ("QUJ", "undecodable"),
        ("QQ==QUJD", "undecodable"),
        ("QQ==\n=", "undecodable"),
        ("QU<b/>JD", "undecodable"),
        ("QUJD" * 50_000 + "?", "undecodable"),
    ],
)
def test_document_without_usable_content(
    spool: FolderSpool, form: str, base64_text: str, problem: str
) -> None:
    found = read(spool, request(FORMS[form](letter(base64_text, NOTE))))
    assert documents(found) == [None, NOTE]
    assert found.payload.melding is not None
    first = next(found.payload.melding.root.iter("{*}base64"))
    assert first.get("problem") == problem
    assert len(list(spool.folder.iterdir())) == 1


def test_attributes_of_the_sender_are_not_ours(spool: FolderSpool) -> None:
    xml = letter("").replace("<base64>", '<base64 ref="0" problem="x">')
    found = read(spool, request(FORMS["E4 CDATA"](xml)))
    assert documents(found) == [None]


def test_more_documents_than_open_files(spool: FolderSpool) -> None:
    many = [f"dokument {n}".encode() for n in range(100)]
    assert documents(read(spool, request(FORMS["E1 typed, escaped"](letter(*many))))) == many


def test_bare_documents(spool: FolderSpool) -> None:
    payload = read_payload([b"\xef\xbb\xbf", letter(PDF).encode()], spool)
    assert payload.kind is PayloadKind.MELDING
    assert payload.contents[0].sha256 == hashlib.sha256(PDF).hexdigest()
    latin = f'<?xml version="1.0" encoding="iso-8859-1"?>{letter(NOTE)}'.encode("iso-8859-1")
    melding = read_payload([latin], spool).melding
    assert melding is not None
    assert melding.root.findtext(".//{*}jpInnhold") == "Søknad om båtplass"
    assert read_payload([b"<Melding>"], spool).kind is PayloadKind.BROKEN


# --- where the bytes are cut means nothing ------------------------------------------------

WRAPS: dict[str, str] = {
    "one line": "",
    "LF": "\n",
    "CRLF": "\r\n",
    "java": "&#13;\n",
    "dotnet": "&#xD;\n",
    "indented": "\n      ",
}


def wrapped(data: bytes, wrap: str) -> str:
    text = base64.b64encode(data).decode()
    return wrap.join(text[n : n + 76] for n in range(0, len(text), 76)) + wrap


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.sampled_from([0, 1, 2, 3, 57, 58, 1000, 5000, 70_000]), max_size=3),
    form=st.sampled_from(sorted(FORMS)),
    wrap=st.sampled_from(sorted(WRAPS)),
    step=st.sampled_from([1, 2, 3, 7, 13, 64, 1000, 4096, 65536, 0]),
    seed=st.integers(0, 2**32),
)
def test_result_does_not_depend_on_chunks(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    form: str,
    wrap: str,
    step: int,
    seed: int,
) -> None:
    chance = random.Random(seed)
    if step in (1, 2, 3):
        sizes = [min(size, 1000) for size in sizes]
    originals = [chance.randbytes(size) for size in sizes]
    # A reference to white space survives one layer of escaping as itself.
    texts = [wrapped(data, WRAPS[wrap]) for data in originals]
    xml = letter(*texts, title="Æ & Å".replace("&", "&amp;"))
    text = request(FORMS[form](xml))
    if wrap in ("java", "dotnet") and chance.random() < 0.5:
        text = text.replace("&amp;#", "&#")
    data = text.encode()
    chunks = []
    position = 0
    while position < len(data):
        length = step or chance.choice([1, 5, 100, 3000, 65536])
        chunks.append(data[position : position + length])
        position += length
    spool = FolderSpool(tmp_path_factory.mktemp("spool"))
    found = read_request(chunks, spool)
    assert documents(found) == [data or None for data in originals]
    assert found.payload.melding is not None
    assert found.payload.melding.root.findtext(".//{*}jpInnhold") == "Æ & Å"
    spool.release(found.contents)
    assert list(spool.folder.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_tree_equals_an_ordinary_parse(spool: FolderSpool, form: str) -> None:
    """Among others: an unqualified child must not slip into its parent's namespace."""
    xml = letter(PDF, NOTE)
    found = read(spool, request(FORMS[form](xml)))
    assert found.payload.melding is not None
    root = found.payload.melding.root
    expected = etree.fromstring(xml)
    for element in [*root.iter("{*}base64"), *expected.iter("{*}base64")]:
        element.attrib.clear()
        element.text = None
    again = etree.fromstring(etree.tostring(root))
    assert etree.tostring(again, method="c14n2") == etree.tostring(expected, method="c14n2")


# --- fuzz ---------------------------------------------------------------------------------


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    form=st.sampled_from(sorted(FORMS)),
    edits=st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 30),
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [b"<", b"&", b"]]>", b"<![CDATA[", b"<!--", b"<?x", b"&lt;", b"\xff\xfe", b"\0"]
                ),
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    step=st.sampled_from([1, 17, 100_000]),
)
def test_damaged_requests_leave_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    edits: list[tuple[float, int, bytes]],
    step: int,
) -> None:
    data = request(FORMS[form](letter(NOTE * 20, PDF[:300]))).encode()
    for where, length, put in edits:
        position = int(where * len(data))
        data = data[:position] + put + data[position + length :]
    spool = FolderSpool(tmp_path_factory.mktemp("spool"))
    try:
        found = read_request([data[n : n + step] for n in range(0, len(data), step)], spool)
    except RequestRefused:
        pass
    else:
        spool.release(found.contents)
    assert list(spool.folder.iterdir()) == []


def test_real_samples(shared_samples: Path, spool: FolderSpool) -> None:
    for name, size in (
        ("p360-putmessage-docx-escaped-typed.xml", 168_919),
        ("ephorte-putmessage-pdf-cdata.xml", 60_639),
    ):
        found = read(spool, (shared_samples / "edu" / name).read_bytes())
        assert [one.size for one in found.contents] == [size]
    for name in ("p360", "websak"):
        data = (shared_samples / "edu" / f"{name}-appreceipt-payload.xml").read_bytes()
        receipt = read_payload([data], spool).receipt
        assert receipt is not None
        assert receipt.type is ReceiptType.OK


def test_second_payload_is_refused(spool: FolderSpool) -> None:
    with pytest.raises(RequestRefused):
        read(spool, request('<payload xmlns=""/><payload xmlns=""/>'))


def test_limits_are_configurable(spool: FolderSpool) -> None:
    text = request(FORMS["E4 CDATA"](letter(NOTE, NOTE, NOTE)))
    with pytest.raises(RequestRefused) as refused:
        read(spool, text, limits=Limits(documents=2))
    assert refused.value.name == "TooManyDocuments"
    assert ENVELOPE in text
