"""Profile rich: valid, lossless, and an edited field wins."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from support_translate import FACTS, melding

from gateway.arkivmelding import NAMESPACE, read_arkivmelding, write_arkivmelding
from gateway.model import Melding
from gateway.record import read_schema
from gateway.resources import data_folder
from gateway.translate import load_mapping, to_arkivmelding, to_melding

RICH = load_mapping("rich")
_SCHEMA = etree.XMLSchema(etree.parse(data_folder("wsdl") / "noark5" / "arkivmelding.xsd"))
_NS = f"{{{NAMESPACE}}}"
_RECORDS = json.loads(
    (Path(__file__).parent / "golden" / "edu-to-arkivmelding.json").read_text(encoding="utf-8")
)
_LETTERS = {record["case"]: record["edu"] for record in _RECORDS if record["case"] != "no_noarksak"}


def every_field() -> str:
    """A Melding with every element of the schema, each with a value of its own."""
    schema = read_schema((data_folder("wsdl") / "noark4" / "melding.xsd").read_bytes())
    special = {
        "amIhtype": "1",
        "saStatus": "KU",
        "jpStatus": "G",
        "jpNdoktype": "Z",
        "saSaar": "2016",
    }
    counter = iter(range(1, 10_000))

    def write(type: str, depth: int) -> str:
        parts = []
        for child in schema.types[type].values():
            if child.name == "journpost" and depth:
                continue
            for _ in range(2 if child.repeated else 1):
                if child.name == "base64":
                    text = "aGVp"
                elif child.type in schema.types:
                    text = write(child.type, depth + 1)
                elif child.name.lower().endswith("dato"):
                    text = f"2016-01-{next(counter) % 27 + 1:02}"
                else:
                    text = special.get(child.name, f"{child.name} {next(counter)}")
                parts.append(f"<{child.name}>{text}</{child.name}>")
        return "".join(parts)

    return f"<Melding>{write(schema.root, 0)}</Melding>"


def pruned(element: etree._Element) -> Any:
    """Everything but empty elements and the order of different elements."""
    children = []
    for child in element:
        if not isinstance(child.tag, str):
            continue
        one = pruned(child)
        if one[1].strip() or one[2]:
            children.append(one)
    children.sort(key=lambda child: child[0])
    name = etree.QName(element).localname
    return name, "" if children or name == "base64" else element.text or "", children


def forth(xml: str) -> tuple[Melding, etree._Element]:
    given = melding(xml)
    made = to_arkivmelding(given, FACTS, RICH, sending=False)
    return given, read_arkivmelding(io.BytesIO(write_arkivmelding(made.root)))


def back(root: etree._Element) -> etree._Element:
    return to_melding(root, {}, FACTS, RICH, delivering=False).melding.root


_ALL = {**_LETTERS, "every_field": every_field()}


@pytest.mark.parametrize("case", _ALL)
def test_valid_and_lossless(case: str) -> None:
    given, root = forth(_ALL[case])
    assert _SCHEMA.validate(root), _SCHEMA.error_log.last_error
    assert pruned(back(root)) == pruned(given.root)


@pytest.mark.parametrize("variant", ["arkivmelding.xsd", "docs-variant/arkivmelding.xsd"])
def test_valid_under_the_published_schemas(variant: str, shared_samples: Path) -> None:
    schema = etree.XMLSchema(etree.parse(shared_samples / "noark" / "xsd" / variant))
    for case, xml in _ALL.items():
        assert schema.validate(forth(xml)[1]), f"{case}: {schema.error_log.last_error}"


def test_our_schema_agrees_with_the_published_one(shared_samples: Path) -> None:
    """Same elements in the same order; ours may say more of types."""
    for ours, theirs in (
        ("noark5/arkivmelding.xsd", "arkivmelding.xsd"),
        ("noark4/melding.xsd", "noark4-1-ws-wd-types.xsd"),
    ):
        mine = read_schema((data_folder("wsdl") / ours).read_bytes())
        other = etree.parse(shared_samples / "noark" / "xsd" / theirs)
        for type_ in other.iter("{*}complexType"):
            if type_.get("name") in mine.types:
                names = [str(node.get("name")) for node in type_.iter("{*}element")]
                own = list(mine.types[str(type_.get("name"))])
                assert own[len(own) - len(names) :] == names, type_.get("name")


@pytest.mark.parametrize("case", [case for case, xml in _ALL.items() if "<jpUoff>" in xml])
def test_a_legal_basis_stands_on_post_and_case(case: str) -> None:
    given, root = forth(_ALL[case])
    stated = (given.root.findtext(".//{*}jpUoff") or "").strip()
    if not stated:
        return
    own = (given.root.findtext(".//{*}saUoff") or "").strip() or stated
    path = f"{_NS}skjerming/{_NS}skjermingshjemmel"
    case_ = root.find(f"{_NS}mappe")
    assert case_ is not None
    assert case_.findtext(path) == own
    assert case_.findtext(f"{_NS}basisregistrering/{path}") == stated


@pytest.mark.parametrize(
    ("element", "edited", "field", "expected"),
    [
        ("saksstatus", "Utgår", "saStatus", "U"),
        ("journalstatus", "Arkivert", "jpStatus", "A"),
        ("journalposttype", "Saksframlegg", "jpNdoktype", "S"),
        ("korrespondanseparttype", "Avsender", "amIhtype", "0"),
        ("korrespondansepartNavn", "Et annet navn", "amNavn", "Et annet navn"),
        ("sakspartNavn", "En annen part", "spNavn", "En annen part"),
        ("journaldato", "2020-02-02", "jpJdato", "2020-02-02"),
        ("saksaar", "1999", "saSaar", "1999"),
        ("mappeID", "99/1", "saId", None),
    ],
)
def test_an_edited_field_wins(element: str, edited: str, field: str, expected: str | None) -> None:
    _, root = forth(every_field())
    node = root.find(f".//{_NS}{element}")
    assert node is not None
    node.text = edited
    result = back(root)
    if expected is None:
        assert result.findtext(f".//{field}") != "saId 1"
    else:
        assert result.findtext(f".//{field}") == expected
    # What belongs to other fields is still there.
    assert result.findtext(".//saKasskode")
    assert result.findtext(".//amOrgnr")


def test_a_filled_field_that_was_edited_comes_back() -> None:
    _, root = forth(_LETTERS["minimal"])
    node = root.find(f".//{_NS}saksstatus")
    assert node is not None
    assert node.text == "Under behandling"
    assert back(root).find(".//saStatus") is None
    node.text = "Avsluttet"
    assert back(root).findtext(".//saStatus") == "A"


def test_a_deleted_party_never_moves_what_was_carried_to_another() -> None:
    _, root = forth(every_field())
    post = root.find(f".//{_NS}basisregistrering")
    party = root.find(f".//{_NS}korrespondansepart")
    assert post is not None
    assert party is not None
    post.remove(party)
    assert back(root).find(".//amOrgnr") is None


def test_the_same_case_has_the_same_id_in_every_message() -> None:
    ids = {
        to_arkivmelding(
            melding(every_field()),
            type(FACTS)(conversation, "p360", FACTS.now, FACTS.sender_orgnr),
            RICH,
        ).root.findtext(f"{_NS}mappe/{_NS}systemID")
        for conversation in ("a", "b")
    }
    assert len(ids) == 1


def test_an_access_code_alone_is_no_shielding() -> None:
    xml = _LETTERS["minimal"].replace("<jpInnhold>", "<jpTgkode>U</jpTgkode><jpInnhold>")
    given, root = forth(xml)
    assert root.find(f".//{_NS}skjerming") is None
    assert pruned(back(root)) == pruned(given.root)


def test_a_public_title_is_never_made_up() -> None:
    _, root = forth(_LETTERS["minimal"])
    assert root.find(f".//{_NS}offentligTittel") is None
