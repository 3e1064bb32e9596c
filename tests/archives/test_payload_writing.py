"""The payload text: the exact form that archives demand, its length, and no loss."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from typing import BinaryIO

import pytest
from archive_letters import make_melding
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.edu.write import melding_payload, receipt_payload
from gateway.errors import DigestMismatch
from gateway.model import AppReceipt, Melding, ReceiptType, StatusMessage
from gateway.spool import BytesContent

N = "http://www.arkivverket.no/Noark4-1-WS-WD/types"
T = "http://www.arkivverket.no/Noark/Exchange/types"

xml_texts = st.text(
    alphabet=st.characters(
        exclude_categories=("Cs", "Cc"),
        exclude_characters="\ufffe\uffff",
        include_characters="\n\t\r",
    ),
    max_size=200,
)


def test_letter_has_exactly_the_form_that_archives_were_built_against() -> None:
    root = etree.fromstring(
        f'<m:Melding xmlns:m="{N}"><m:journpost><m:jpId>1</m:jpId><m:jpUoff/></m:journpost>'
        f"<m:noarksak><saTittel>Sak</saTittel></m:noarksak></m:Melding>"
    )
    assert b"".join(melding_payload(Melding(root)).chunks()) == (
        b'<?xml version="1.0" encoding="UTF-8"?>'
        b'<Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types">'
        b'<journpost xmlns=""><jpId>1</jpId><jpUoff></jpUoff></journpost>'
        b'<noarksak xmlns=""><saTittel>Sak</saTittel></noarksak></Melding>'
    )


def test_receipt_has_exactly_the_form_that_archives_were_built_against() -> None:
    receipt = AppReceipt(ReceiptType.OK, (StatusMessage("None", "OK"),))
    assert b"".join(receipt_payload(receipt).chunks()) == (
        b'<?xml version="1.0" encoding="UTF-8"?>'
        b'<AppReceipt xmlns="http://www.arkivverket.no/Noark/Exchange/types" type="OK">'
        b'<message xmlns="" code="None"><text>OK</text></message></AppReceipt>'
    )


@pytest.mark.parametrize("title", ["Kolonns2:", "ns0:Brev", "AppReceipt", "<?content 0?>", "]]>"])
def test_no_text_is_mistaken_for_markup_as_the_predecessor_did(title: str) -> None:
    """The predecessor removed ``ns2:`` from titles (bestedu-soap 2.5)."""
    text = b"".join(melding_payload(make_melding(b"abc", title=title)).chunks())
    assert etree.fromstring(text).findtext("journpost/jpInnhold") == title
    assert text.count(b"YWJj") == 1


def test_nil_comments_and_instructions_are_left_out_but_empty_strings_stay() -> None:
    root = etree.fromstring(
        f'<Melding xmlns="{N}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<journpost xmlns=""><jpId xsi:nil="true"/><?content 0?><!-- x --><jpUoff/>'
        "<jpInnhold>a<!-- b -->c</jpInnhold></journpost></Melding>"
    )
    text = b"".join(melding_payload(Melding(root)).chunks()).decode()
    assert text.endswith(
        '<journpost xmlns=""><jpUoff></jpUoff><jpInnhold>ac</jpInnhold></journpost></Melding>'
    )


def test_document_without_usable_content_becomes_an_empty_element() -> None:
    root = etree.fromstring(
        f'<Melding xmlns="{N}"><fil xmlns=""><base64 problem="undecodable"/></fil></Melding>'
    )
    assert b'<fil xmlns=""><base64/></fil>' in b"".join(melding_payload(Melding(root)).chunks())


@given(title=xml_texts, documents=st.lists(st.binary(max_size=2000), max_size=4))
def test_every_title_and_document_comes_back_and_the_length_is_exact(
    title: str, documents: list[bytes]
) -> None:
    payload = melding_payload(make_melding(*documents, title=title))
    text = b"".join(payload.chunks())
    assert len(text) == payload.size
    tree = etree.fromstring(text)
    assert (tree.findtext("journpost/jpInnhold") or "") == title
    assert [base64.b64decode(e.text or "") for e in tree.iter("base64")] == documents

    escaped = payload.escaped()
    inside = b"".join(escaped.chunks())
    assert len(inside) == escaped.size
    assert (etree.fromstring(b"<p>" + inside + b"</p>").text or "").encode() == text.replace(
        b"\r\n", b"\n"
    )


@given(messages=st.lists(st.tuples(st.text(max_size=50), st.text(max_size=200)), max_size=5))
def test_any_receipt_can_be_written_and_keeps_order_and_count(
    messages: list[tuple[str, str]],
) -> None:
    receipt = AppReceipt(
        ReceiptType.ERROR, tuple(StatusMessage(code, text) for code, text in messages)
    )
    tree = etree.fromstring(b"".join(receipt_payload(receipt).chunks()))
    found = [message.findtext("text") or "" for message in tree.iter("message")]
    keep = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    assert found == [keep.sub("\ufffd", text) for _, text in messages]


@dataclass(frozen=True)
class _Changed:
    """A stored file that is no longer what its record says."""

    data: bytes
    size: int
    sha256: str = ""

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


@pytest.mark.parametrize("size", [999, 1001])
def test_document_that_changed_its_length_stops_the_stream(size: int) -> None:
    melding = make_melding(b"x")
    payload = melding_payload(Melding(melding.root, {"c1": _Changed(b"x" * 1000, size)}))
    with pytest.raises(DigestMismatch):
        list(payload.chunks())


class _Trickle(io.RawIOBase):
    """A stream that gives seven bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, 7) if size >= 0 else 7)


class _Slow(BytesContent):
    def open(self) -> BinaryIO:
        return _Trickle(self.data)  # type: ignore[return-value]


def test_stream_that_gives_less_than_asked_for_is_encoded_without_padding_inside() -> None:
    data = bytes(range(256)) * 5
    melding = make_melding(b"x")
    text = b"".join(melding_payload(Melding(melding.root, {"c1": _Slow(data)})).chunks())
    assert base64.b64decode(etree.fromstring(text).findtext(".//base64") or "") == data
