"""arkivmelding.xml read and written."""

from __future__ import annotations

import io

import pytest
from lxml import etree

from gateway.arkivmelding import (
    NAMESPACE,
    read_arkivmelding,
    read_noark5,
    write_arkivmelding,
    write_noark5,
)
from gateway.errors import TranslationImpossible
from gateway.record import STRAY_TEXT, Record
from gateway.translate.loading import schemas

_SCHEMA = schemas()[1]


def _read(inside: str) -> Record:
    xsi = "http://www.w3.org/2001/XMLSchema-instance"
    text = f'<arkivmelding xmlns="{NAMESPACE}" xmlns:i="{xsi}">{inside}</arkivmelding>'
    return read_noark5(read_arkivmelding(io.BytesIO(text.encode())), _SCHEMA)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<arkivmelding",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b"not xml",
        b'<?xml version="1.0"?><a></b>',
    ],
)
def test_unreadable_xml_is_refused(data: bytes) -> None:
    with pytest.raises(TranslationImpossible):
        read_arkivmelding(io.BytesIO(data))


def test_a_huge_arkivmelding_is_refused_early() -> None:
    data = io.BytesIO(b"<a>" + b"<b/>" * 300_000 + b"</a>")
    with pytest.raises(TranslationImpossible):
        read_arkivmelding(data)
    assert data.tell() < 1_200_000


def test_what_we_write_is_what_lxml_would_write() -> None:
    record = _read(
        "<system>A &amp; B &lt; C &gt; D&#13;</system><meldingId/>"
        '<mappe i:type="saksmappe"><tittel>Søknad «ø»</tittel>'
        "<offentligTittel></offentligTittel></mappe>"
    )
    written = write_noark5(record, _SCHEMA).encode()
    root = etree.fromstring(written)
    assert written == write_arkivmelding(root)
    assert root.findtext("{*}system") == "A & B < C > D\r"
    assert root.findtext("{*}mappe/{*}tittel") == "Søknad «ø»"


def test_elements_come_in_the_schemas_order() -> None:
    record = Record()
    record.values = {"antallFiler": "1", "system": "p360", "meldingId": "x"}
    names = [
        etree.QName(node).localname
        for node in etree.fromstring(write_noark5(record, _SCHEMA).encode())
    ]
    assert names == ["system", "meldingId", "antallFiler"]


def test_the_last_of_several_counts_and_all_are_kept() -> None:
    record = _read("<system>one</system><system>two</system>")
    assert record.values["system"] == "two"
    assert record.repeats["system"] == ["one", "two"]


def test_a_comment_does_not_cut_a_value() -> None:
    assert _read("<system>one<!-- x -->two</system>").values["system"] == "onetwo"


def test_nil_is_absence_and_text_between_elements_is_kept() -> None:
    record = _read('<system i:nil="true"/>stray<meldingId>x</meldingId>')
    assert record.values == {"meldingId": "x", STRAY_TEXT: "stray"}


def test_another_namespace_is_never_ours() -> None:
    record = _read('<o:system xmlns:o="urn:other">x</o:system>')
    assert "system" not in record.values
    assert record.values["{urn:other}system"] == "x"
