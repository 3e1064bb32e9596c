"""No value disappears without standing in the loss report."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from support_translate import FACTS, melding
from test_rich import pruned

from gateway.arkivmelding import write_arkivmelding
from gateway.model import Outcome
from gateway.record import read_schema
from gateway.resources import data_folder
from gateway.translate import load_mapping, to_arkivmelding, to_melding

_SCHEMA = read_schema((data_folder("wsdl") / "noark4" / "melding.xsd").read_bytes())
_PROFILES = {name: load_mapping(name) for name in ("faithful", "rich")}
_ODD = ["", " ", "0", "1", "007", "A", "B", "KU", "I", "zz", "2016-01-25", "20160125", "2016",
        "0001-01-01", "2016-01-25T10:00:00Z", "15/0020", "Å & <b>", "to\nlinjer",
        "45cfb613-a09f-5ef9-a514-57b19876af42", "Under behandling", "x" * 40]  # fmt: skip

_text = st.one_of(st.sampled_from(_ODD), st.text("abcæøå 19-.:/&<", max_size=12))


def _fields(type: str, path: tuple[tuple[str, int], ...]) -> list[tuple[tuple[str, int], ...]]:
    """Every leaf that a Melding may have, up to two of each repeating object."""
    found = []
    for child in _SCHEMA.types[type].values():
        if child.name in ("base64", "fil") or (child.name == "journpost" and path):
            continue
        for number in (1, 2) if child.repeated else (1,):
            here = (*path, (child.name, number))
            if child.type in _SCHEMA.types:
                found += _fields(child.type, here)
            else:
                found.append(here)
    return found


_FIELDS = [
    *_fields(_SCHEMA.root, ()),
    (("noarksak", 1), ("ukjent", 1)),
    (("journpost", 1), ("avsmot", 1), ("nytt", 1), ("felt", 1)),
    (("noarksak", 1), ("journpost", 1), ("jpInnhold", 1)),
]


def _letter(chosen: list[tuple[tuple[tuple[str, int], ...], str]]) -> str:
    root = etree.Element("Melding")
    made: dict[tuple[tuple[str, int], ...], etree._Element] = {(): root}

    def place(path: tuple[tuple[str, int], ...]) -> etree._Element:
        if path not in made:
            name, number = path[-1]
            if number == 2:
                place((*path[:-1], (name, 1)))
            made[path] = etree.SubElement(place(path[:-1]), name)
        return made[path]

    for name in ("journpost", "noarksak"):
        place(((name, 1),))
    for path, value in sorted(chosen):
        place(path).text = value
    for file in root.iter("dokument"):
        etree.SubElement(etree.SubElement(file, "fil"), "base64").text = "aGVp"
    return etree.tostring(root, encoding="unicode")


letters = st.lists(
    st.tuples(st.sampled_from(_FIELDS), _text), max_size=25, unique_by=lambda pair: pair[0]
).map(_letter)
_thorough = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def leaves(element: etree._Element, path: str = "") -> list[tuple[str, str]]:
    """Every value with its path, positions where a name repeats among its like."""
    found: list[tuple[str, str]] = []
    names = [etree.QName(child).localname for child in element if isinstance(child.tag, str)]
    seen: dict[str, int] = {}
    for child, name in zip(element, names, strict=True):
        seen[name] = seen.get(name, 0) + 1
        position = f"[{seen[name]}]" if names.count(name) > 1 else ""
        if name == "base64":
            continue
        if len(child):
            found += leaves(child, f"{path}{name}{position}/")
        elif (child.text or "").strip():
            found.append((f"{path}{name}{position}", child.text or ""))
    return found


@given(letters)
@_thorough
def test_out_every_value_arrives_or_is_reported(xml: str) -> None:
    sent = melding(xml)
    mapping = _PROFILES["faithful"]
    result = to_arkivmelding(sent, FACTS, mapping, sending=False)
    reported = {loss.path for loss in result.losses}
    arrived = [node.text or "" for node in result.root.iter() if isinstance(node.tag, str)]
    for path, value in leaves(sent.root):
        if path in reported:
            continue
        plain = re.sub(r"\[\d+\]", "", path)
        name = plain.rpartition("/")[2]
        codes = {line.edu: line.codes for group in mapping.profile.groups for line in group.lines}
        if codes.get(name):
            assert mapping.profile.lists[str(codes[name])].texts[value] in arrived, path
        elif name in ("veMimeType", "veDokformat"):
            continue
        else:
            assert value in arrived, path


@given(letters)
@_thorough
def test_rich_round_trip(xml: str) -> None:
    sent = melding(xml)
    mapping = _PROFILES["rich"]
    made = to_arkivmelding(sent, FACTS, mapping, sending=False)
    root = etree.fromstring(write_arkivmelding(made.root))
    result = to_melding(root, {}, FACTS, mapping, delivering=False)
    again = etree.fromstring(etree.tostring(result.melding.root))
    assert pruned(again) == pruned(sent.root)
    schema = etree.XMLSchema(etree.parse(data_folder("wsdl") / "noark5" / "arkivmelding.xsd"))
    assert schema.validate(root), schema.error_log.last_error


@given(letters, st.sampled_from(["faithful", "rich"]))
@_thorough
def test_back_every_value_arrives_or_is_reported(xml: str, profile: str) -> None:
    mapping = _PROFILES[profile]
    made = to_arkivmelding(melding(xml), FACTS, _PROFILES["rich"], sending=False)
    root = etree.fromstring(write_arkivmelding(made.root))
    for block in root.xpath("//*[local-name()='virksomhetsspesifikkeMetadata']"):
        block.getparent().remove(block)
    result = to_melding(root, {}, FACTS, mapping, delivering=False)
    reported = {loss.path for loss in result.losses}
    texts: list[Any] = [
        node.text or "" for node in result.melding.root.iter() if isinstance(node.tag, str)
    ]
    joined = " ".join(texts) + "\n".join(texts)
    lists = mapping.profile.lists
    for path, value in leaves(root):
        if path in reported or path in ("meldingId", "antallFiler"):
            continue
        if re.sub(r"(\[\d+\])$", "", path) in reported:
            continue
        codes = {codes.codes[value] for codes in lists.values() if value in codes.codes}
        assert value in joined or codes & set(texts), path


def test_where_rich_would_put_it_is_said() -> None:
    xml = (
        "<Melding><journpost><jpInnhold>T</jpInnhold></journpost><noarksak><saTittel>S</saTittel>"
        "<saUoff>Offl. § 13</saUoff><saKasskode>B</saKasskode><saStatus>R</saStatus></noarksak>"
        "</Melding>"
    )
    result = to_arkivmelding(melding(xml), FACTS, _PROFILES["faithful"])
    by_path = {loss.path: loss for loss in result.losses}
    assert by_path["noarksak/saUoff"].home == "mappe/skjerming/skjermingshjemmel"
    assert by_path["noarksak/saUoff"].outcome is Outcome.LOST
    assert by_path["noarksak/saKasskode"].home == "mappe/virksomhetsspesifikkeMetadata"
    changed = by_path["noarksak/saStatus"]
    assert (changed.outcome, changed.kind, changed.value) == (Outcome.CHANGED, "code", "R")


@pytest.mark.parametrize("profile", ["faithful", "rich"])
def test_a_letter_that_fits_has_no_losses_and_no_rest(profile: str) -> None:
    xml = (
        "<Melding><journpost><jpId>45cfb613-a09f-5ef9-a514-57b19876af42</jpId>"
        "<jpNdoktype>U</jpNdoktype><jpJdato>2026-01-02</jpJdato><jpStatus>J</jpStatus>"
        "<jpInnhold>T</jpInnhold></journpost><noarksak>"
        "<saId>45cfb613-a09f-5ef9-a514-57b19876af43</saId><saDato>2026-01-02</saDato>"
        "<saTittel>S</saTittel><saStatus>B</saStatus></noarksak></Melding>"
    )
    result = to_arkivmelding(melding(xml), FACTS, _PROFILES[profile])
    assert result.losses == ()
    assert result.root.find(".//{*}virksomhetsspesifikkeMetadata") is None
