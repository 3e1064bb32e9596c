"""Mapping files: checked completely, errors with file and line; switches; the page in docs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lxml import etree
from support_translate import FACTS, FILES, melding
from test_failing_cases import arkivmelding, letter

from gateway.errors import ConfigurationError
from gateway.resources import data_folder
from gateway.translate import load_mapping, to_arkivmelding, to_melding
from gateway.translate.document import page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(data_folder("mappings"), tmp_path / "mappings"))


def change(folder: Path, name: str, old: str, new: str) -> int:
    """Replace the first `old`; the 1-based number of the line it was on."""
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("faithful.toml", 'edu = "saId"', 'edu = "saIdd"', "noarksak/saIdd"),
        ("faithful.toml", 'am = "systemID"', 'am = "systemid"', "mappe/systemid"),
        ("faithful.toml", 'type = "integer"', 'type = "int"', "int"),
        ("faithful.toml", "code:saksstatus", "code:saksstatuss", "saksstatuss"),
        ("faithful.toml", 'dir = ">"', 'dir = "->"', "dir"),
        ("faithful.toml", 'always = ""', 'allways = ""', "allways"),
        ("faithful.toml", 'switch = "no_empty', 'switch = "no_emty', "no_emty_wrappers"),
        ("faithful.toml", 'else = "$number_if_several"', 'else = "$numer"', "$numer"),
        ("rich.toml", 'when = "saId is uuid"', 'when = "saId er uuid"', "saId er uuid"),
        ("rich.toml", 'when = "saUoff present"', 'when = "saUof present"', "saUof"),
        ("kodelister.toml", '"Avsluttet"]', '"Avslutta"]', "Avslutta"),
        ("kodelister.toml", '["B", "<>"', '["A", "<>"', "twice"),
        ("kodelister.toml", '["U", "<>"', '["U", "<->"', "row"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(
    folder: Path, name: str, old: str, new: str, says: str
) -> None:
    line = change(folder, name, old, new)
    with pytest.raises(ConfigurationError) as caught:
        load_mapping("rich" if name == "rich.toml" else "faithful", folder)
    assert f"{name}:{line}:" in caught.value.detail
    assert says in caught.value.detail


@pytest.mark.parametrize("new", ["rest == ", "rset = 'drop'\nrest = ", "rest = 1 #"])
def test_broken_files_are_refused(folder: Path, new: str) -> None:
    change(folder, "faithful.toml", "rest = ", new)
    with pytest.raises(ConfigurationError, match=r"faithful\.toml"):
        load_mapping("faithful", folder)


def test_rich_must_fill_what_the_schema_requires(folder: Path) -> None:
    change(
        folder, "rich.toml", '  { dir = ">", am = "opprettetAv", value = "$noark_system" },\n', ""
    )
    with pytest.raises(ConfigurationError, match=r"opprettetAv is required"):
        load_mapping("rich", folder)


def test_a_changed_file_changes_the_translation(folder: Path) -> None:
    change(folder, "faithful.toml", 'edu = "saTittel", am', 'edu = "saOfftittel", am')
    mapping = load_mapping("faithful", folder)
    given = letter(noarksak="<saOfftittel>Offentlig</saOfftittel>")
    result = to_arkivmelding(melding(given), FACTS, mapping)
    assert result.root.findtext(".//{*}mappe/{*}tittel") == "Offentlig"


def test_unknown_switches_and_profiles_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="known are"):
        load_mapping(switches={"does_not_exist": True})
    with pytest.raises(ConfigurationError):
        load_mapping("nowhere")
    with pytest.raises(ConfigurationError, match="cannot be off"):
        load_mapping("rich", switches={"pair_avskrivning": False})


def _with(switch: str) -> etree._Element:
    xml = letter(
        journpost="<jpUoff>Offl. § 13</jpUoff><jpJdato>0001-01-01</jpJdato>"
        "<avsmot><amIhtype>7</amIhtype></avsmot>"
    )
    return to_arkivmelding(melding(xml), FACTS, load_mapping(switches={switch: True})).root


def test_each_switch_alone_outwards() -> None:
    plain = _with("read_shielding_from_journalpost")
    assert plain.findtext(".//{*}journaldato") == "0001-01-01"
    assert plain.find(".//{*}korrespondanseparttype") is None
    assert plain.find(".//{*}avskrivning") is not None
    assert plain.find(".//{*}basisregistrering/{*}skjerming") is None
    assert _with("minvalue_date_is_missing").find(".//{*}journaldato") is None
    assert _with("party_type_always").findtext(".//{*}korrespondanseparttype") == "Mottaker"
    assert _with("no_empty_wrappers").find(".//{*}avskrivning") is None
    shielded = _with("write_shielding_on_journalpost")
    assert len(shielded.findall(".//{*}skjermingshjemmel")) == 2


_TWO_PARTIES = "".join(
    f"<korrespondansepart><korrespondanseparttype>{kind}</korrespondanseparttype>"
    "<korrespondansepartNavn>N</korrespondansepartNavn></korrespondansepart>"
    for kind in ("Avsender", "Kopimottaker")
) + "".join(
    f"<avskrivning><avskrivningsdato>{year}-01-01</avskrivningsdato></avskrivning>"
    for year in (2016, 2017)
)


def _read(switch: str) -> etree._Element:
    root = arkivmelding(_TWO_PARTIES, file="a.docx")
    return to_melding(root, FILES, FACTS, load_mapping(switches={switch: True})).melding.root


def test_each_switch_alone_inwards() -> None:
    plain = _read("write_shielding_on_journalpost")
    assert [node.text for node in plain.iter("amAvskdato")] == ["2016-01-01", "2016-01-01"]
    assert [node.text for node in plain.iter("amIhtype")] == ["0"]
    assert plain.findtext(".//veDokformat") == "pdf"
    assert plain.find(".//amAdresse") is not None
    paired = _read("pair_avskrivning")
    assert [node.text for node in paired.iter("amAvskdato")] == ["2016-01-01", "2017-01-01"]
    typed = _read("party_type_always")
    assert [node.text for node in typed.iter("amIhtype")] == ["0", "1"]
    assert [node.text for node in typed.iter("amKopimot")] == ["1"]
    named = _read("file_type_from_extension")
    assert named.findtext(".//veDokformat") == "docx"
    assert named.findtext(".//veMimeType", "").endswith("wordprocessingml.document")
    assert _read("no_empty_wrappers").find(".//amAdresse") is None


def test_the_page_in_docs_is_true() -> None:
    shown = data_folder("mappings").parent / "docs" / "translation.md"
    if not shown.is_file():
        pytest.skip("docs is not part of an installed package")
    assert shown.read_text(encoding="utf-8") == page()
