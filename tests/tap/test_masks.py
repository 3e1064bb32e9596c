"""Masked recordings: nothing personal left, and still good for what they are for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tap_world import KEY, XML, Intake, endpoint, files, masks, melding, put, tapped, url

from gateway.cli.compare import command as compare
from gateway.edu.reader import SoapRequest, read_request
from gateway.errors import ConfigurationError
from gateway.masks import Masks, load_masks, mask_request, read_kinds
from gateway.model import AppReceipt, ReceiptType, StatusMessage
from gateway.resources import data_folder
from gateway.spool import ChecksumSpool
from gateway.translate import Facts, load_mapping, to_arkivmelding

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MAPPINGS = {profile: load_mapping(profile) for profile in ("faithful", "rich")}
FIELDS = (data_folder("mappings") / "masking.toml").read_text(encoding="utf-8")


def read(letter: bytes) -> SoapRequest:
    return read_request([letter], ChecksumSpool())


def translated(request: SoapRequest, profile: str) -> etree._Element:
    assert request.payload.melding is not None
    facts = Facts("c-1", "p360", NOW, "991825827")
    return to_arkivmelding(request.payload.melding, facts, MAPPINGS[profile], sending=False).root


def leaves(root: etree._Element) -> list[tuple[str, str | None]]:
    return [(str(node.tag), node.text) for node in root.iter(etree.Element) if not len(node)]


@pytest.mark.parametrize(
    ("field", "value", "looks"),
    [
        ("amNavn", "Kari Nordmann", r"Navn-[0-9a-f]{12}"),
        ("amPostnr", "0150", r"\d{4}"),
        ("spTlf", "+47 22 33 44 55", r"\+\d\d \d\d \d\d \d\d \d\d"),
        ("amEpostadr", "kari@example.no", r"[0-9a-f]{12}@maskert\.invalid"),
        ("amAdresse", "Solveien 3\n1470 Sted", r"Adresse-\w{12}\nAdresse-\w{12}"),
        ("veFilnavn", "Klage fra Kari.pdf", r"fil-[0-9a-f]{12}\.pdf"),
        ("amRef", "Kari i tredje", r"Ref-[0-9a-f]{12}"),
        ("noeUkjent", "hva som helst", r"Tekst-[0-9a-f]{12}"),
        ("jpUoff", "offl. § 13, 01020312345", r"offl\. § 13, (?!01020312345)\d{11}"),
    ],
)
def test_how_a_value_is_masked(field: str, value: str, looks: str) -> None:
    mask = masks().text(field, value)
    assert re.fullmatch(looks, mask), mask
    assert mask == masks().text(field, value)
    assert mask != masks(b"en helt annen nokkel").text(field, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("jpDokdato", "2026-11-01"), ("amOrgnr", "991825827"), ("amRef", "15/42"), ("saId", "26/17")],
)
def test_what_is_kept(field: str, value: str) -> None:
    assert masks().text(field, value) == value


def test_every_field_of_both_formats_has_its_place() -> None:
    kinds = read_kinds(FIELDS)
    for schema in (load_mapping().edu_schema, load_mapping().am_schema):
        for type_ in schema.types.values():
            for child in type_.values():
                assert schema.is_object(child) or child.name in (*kinds, "base64"), child.name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[navn]\nedu = ["a"]\n[tekst]\nedu = ["a"]', "a is navn and tekst"),
        ('[hemmelig]\nedu = ["a"]', "[hemmelig] is none of"),
        ("[navn", "masking.toml: "),
    ],
)
def test_a_wrong_file_is_told(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_masks(text, KEY)
    assert says in error.value.detail


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="16 bytes"):
        load_masks(FIELDS, b"kort")


# --- whole letters ----------------------------------------------------------------------

words = st.lists(
    st.text(st.sampled_from("abcdefghijæøåÆØÅ&<'"), min_size=4, max_size=9),
    min_size=1,
    max_size=4,
).map(lambda parts: " ".join(f"Zq{part}" for part in parts))
personal = st.fixed_dictionaries(
    dict.fromkeys(("jpInnhold", "saTittel", "amNavn", "amAdresse", "amRef", "dbTittel"), words)
    | {
        "veFilnavn": words.map(lambda name: f"{name.replace('<', '')}.pdf"),
        "amEpostadr": words.map(lambda name: f"{name}@zq.example"),
    }
)


@settings(max_examples=40, deadline=None)
@given(personal, st.binary(max_size=40), st.sampled_from(["faithful", "rich"]))
def test_the_translation_of_the_masked_letter_is_the_masked_translation(
    values: dict[str, str], document: bytes, profile: str
) -> None:
    letter = put(melding(document, **values))
    masked = mask_request(read(letter), masks())
    assert b"Zq" not in masked
    translation = translated(read(letter), profile)
    masks().tree(translation)
    own = masks().text("opprettetAv", "p360")  # said by the translation, not by the letter
    assert leaves(translated(read(masked), profile)) == [
        (tag, "p360" if text == own else text) for tag, text in leaves(translation)
    ]


def test_everything_hidden_in_odd_places_is_found() -> None:
    hidden = (
        melding()
        .replace("<jpId>", "<!--Zq1--><?zq Zq2?><egetFelt a='Zq3'>Zq4</egetFelt>Zq5<jpId>")
        .replace("</journpost>", "<dypt><dypere>Zq6</dypere>Zq7</dypt></journpost>")
        .replace("<jpUoff>offl. § 13", "<jpUoff>offl. § 13, fnr 01020312345")
    )
    letter = put(hidden).replace(
        b"<s:Body>", b"<s:Header><pw xmlns='urn:x'>Zq8</pw></s:Header><s:Body>"
    )
    letter = letter.replace(b"<orgnr>974", b"<email>Zq9@zq.no</email><ref>Zq0</ref><orgnr>974")
    masked = mask_request(read(letter), masks())
    assert b"Zq" not in masked
    assert b"zq" not in masked
    assert b"01020312345" not in masked
    assert b"974760673" in masked


def test_documents_stay_equal_or_different() -> None:
    def checksum(document: bytes, key: bytes = KEY) -> str:
        masked = read(mask_request(read(put(melding(document))), masks(key)))
        (content,) = masked.contents
        return content.sha256

    assert checksum(b"a") == checksum(b"a")
    assert checksum(b"a") != checksum(b"b")
    assert checksum(b"a") != checksum(b"a", b"en helt annen nokkel")


@pytest.mark.parametrize("text", ["", "ikke base64!"])
def test_a_document_that_cannot_be_used_still_cannot(text: str) -> None:
    broken = re.sub(r"<base64>.*</base64>", f"<base64>{text}</base64>", melding())
    was, is_ = read(put(broken)), read(mask_request(read(put(broken)), masks()))
    for request in (was, is_):
        assert request.payload.melding is not None
        (element,) = request.payload.melding.root.iter("base64")
        assert element.get("problem") == ("undecodable" if text else "empty")


# --- through the tap --------------------------------------------------------------------

PERSONAL = (
    "Nordmann", "nordmann", "Solveien", "Klage", "nabovarsel", "rensk", "Hemmelig", "1470",
)  # fmt: skip
ANSWER = AppReceipt(
    ReceiptType.ERROR, (StatusMessage("Unknown", "Filen Klage fra Kari.pdf er for stor"),)
)


def record_masked(folder: Path, key: Masks) -> None:
    receipt = (
        '<AppReceipt type="ERROR" xmlns="http://www.arkivverket.no/Noark/Exchange/types">'
        '<message code="x" xmlns=""><text>Kari Nordmann finnes ikke</text></message></AppReceipt>'
    )
    with endpoint(folder / "spool", Intake(lambda payload: ANSWER)) as port:
        with tapped(port, folder / "record", masks=key) as tap:
            for number in range(3):
                letter = put(melding(b"Hemmelig" * (number + 1)), f"c-{number}")
                httpx.post(url(tap.port), content=letter, headers=XML)
            httpx.post(url(tap.port), content=put(receipt, "c-0"), headers=XML)
            httpx.post(url(tap.port), content=put("<rot>Kari Nordmann</rot>"), headers=XML)
            httpx.post(url(tap.port), content=b"Kari Nordmann", headers=XML)
    assert tap.counts["recorded"] == 6


def test_nothing_personal_in_a_masked_recording_and_compare_reads_it(tmp_path: Path) -> None:
    for one, key in (("a", KEY), ("b", KEY), ("c", b"en helt annen nokkel")):
        record_masked(tmp_path / one, masks(key))
    record = tmp_path / "a" / "record"
    assert len(files(record / "letters")) == 3
    assert len(files(record / "receipts")) == 1
    for path in files(record):
        text = (record / path).read_text("utf-8")
        assert not [word for word in PERSONAL if word in text], path
    arguments = ["--left", str(record / "letters"), "--out", str(tmp_path / "out")]
    for other, differing in (("b", 0), ("c", 3)):
        right = str(tmp_path / other / "record" / "letters")
        run = CliRunner().invoke(compare, ["run", *arguments, "--right", right])
        assert f"{differing} different   0 failed" in run.output, run.output
    left, right = str(record / "translated"), str(record / "letters")
    run = CliRunner().invoke(compare, ["run", "--left", left, "--right", right, *arguments[2:]])
    assert "3 messages" in run.output
    assert "0 different   0 failed" in run.output, run.output
