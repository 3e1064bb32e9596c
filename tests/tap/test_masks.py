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

PERSONAL = ("Nordmann", "nordmann", "Solveien", "Klage", "nabovarsel", "rensk", "Hemmelig", "1470")
ANSWER = AppReceipt(
    ReceiptType.ERROR, (StatusMessage("Unknown", "Filen Klage fra Kari.pdf er for stor"),)
)
RECEIPT = (
    '<AppReceipt type="ERROR" xmlns="http://www.arkivverket.no/Noark/Exchange/types">'
    '<message code="x" xmlns=""><text>Kari Nordmann finnes ikke</text></message></AppReceipt>'
)


def record(folder: Path, masks: Masks | None) -> Path:
    """Three letters, a receipt, and two requests that are neither; the recording's folder."""
    with endpoint(folder / "spool", Intake(lambda payload: ANSWER)) as port:
        with tapped(port, folder / "record", masks=masks) as tap:
            for number in range(1, 4):
                letter = put(melding(b"Hemmelig" * number), f"c-{number}")
                httpx.post(url(tap.port), content=letter, headers=XML)
            for body in (put(RECEIPT, "c-1"), put("<rot>Kari Nordmann</rot>"), b"Kari Nordmann"):
                httpx.post(url(tap.port), content=body, headers=XML)
    assert tap.counts["recorded"] == 6
    assert len(files(folder / "record" / "letters")) == 3
    assert len(files(folder / "record" / "receipts")) == 1
    return folder / "record"


def compared(tmp_path: Path, left: Path, right: Path, *options: str | Path) -> str:
    arguments = ["--left", left, "--right", right, "--out", tmp_path / "out", *options]
    return CliRunner().invoke(compare, ["run", *map(str, arguments)]).output


def test_nothing_personal_in_a_masked_recording(tmp_path: Path) -> None:
    recording = record(tmp_path, masks())
    for path in files(recording):
        text = (recording / path).read_text("utf-8")
        assert not [word for word in PERSONAL if word in text], path


def test_masked_recordings_compare_with_each_other_by_key(tmp_path: Path) -> None:
    one, same = record(tmp_path / "a", masks()), record(tmp_path / "b", masks())
    other = record(tmp_path / "c", masks(b"en helt annen nokkel"))
    for kind, count in (("letters", 3), ("receipts", 1)):
        alike = compared(tmp_path, one / kind, same / kind)
        assert f"{count} equal   0 explained   0 different   0 failed" in alike, alike
        unlike = compared(tmp_path, one / kind, other / kind)
        assert f"0 explained   {count} different   0 failed" in unlike, unlike
    again = compared(tmp_path, one / "translated", one / "letters")
    assert "3 messages" in again
    assert "0 different   0 failed" in again, again


@pytest.mark.parametrize("kind", ["letters", "receipts", "translated"])
def test_what_is_not_masked_is_compared_with_the_key(tmp_path: Path, kind: str) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY + b"\n")
    masked, plain = record(tmp_path / "a", masks()), record(tmp_path / "b", None)
    right = masked / ("letters" if kind == "translated" else kind)
    assert " 0 different" not in compared(tmp_path, plain / kind, right)
    with_key = compared(tmp_path, plain / kind, right, "--mask-key-file", key)
    assert "0 different   0 failed" in with_key, with_key
    assert "left is masked" in with_key
    turned = compared(tmp_path, right, plain / kind, "--mask-key-file", key, "--mask-side", "right")
    assert "0 different   0 failed" in turned, turned
