"""Our translation against the predecessor's own output, through the comparison itself."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from compare_letters import NO_RULES, NOW, shipped_rules, standard_names

from gateway.cli.compare import command
from gateway.cli.compare_sources import LetterReader, find_sources
from gateway.compare import Comparison, Kind, Letter, Names, RuleBook, compare_letters
from gateway.errors import TranslationImpossible
from gateway.resources import data_folder
from gateway.translate import Mapping, load_mapping

_GOLDEN = Path(__file__).parents[1] / "translate" / "golden" / "edu-to-arkivmelding.json"
_CONVERSATION = "6e9cab22-a682-461c-bcd4-f201bfb3de8c"
# Where the predecessor failed or wrote an empty date there is nothing to be equal to
# (mapping 7.2); a year before Christ was printed wrongly (mapping 10).
_EXCEPTED = re.compile(r"-0001|_no_rnr$|cucumber_p360_dpf")
_EMPTY_DATE = re.compile(r"<(\w*[dD]ato|tidspunkt)(></|/>)")


def _records(empty_dates: bool = False) -> list[dict[str, str]]:
    records = json.loads(_GOLDEN.read_text(encoding="utf-8"))
    return [
        record
        for record in records
        if "arkivmelding" in record
        and not _EXCEPTED.search(record["case"])
        and bool(_EMPTY_DATE.search(record["arkivmelding"])) is empty_dates
    ]


@pytest.fixture(scope="module")
def names() -> Names:
    return standard_names()


def _compare(record: dict[str, str], mapping: Mapping, names: Names, folder: Path) -> Comparison:
    left, right = _sides(record, mapping, names, folder)
    return compare_letters(left, right, RuleBook(()), names)


def _sides(
    record: dict[str, str], mapping: Mapping, names: Names, folder: Path
) -> tuple[Letter, Letter]:
    sides: list[Letter] = []
    for name, xml, translation in (
        ("golden", record["arkivmelding"].replace(">NOW<", "><"), None),
        ("sent", record["edu"], mapping),
    ):
        path = folder / f"{name}.xml"
        path.write_bytes(xml.encode())
        reader = LetterReader(
            names, NO_RULES, mapping, NOW, translation, metadata_only=True, dialect="p360"
        )
        sides.append(reader.read(next(find_sources(path))))
    ours = sides[1].record.values
    ours["meldingId"] = _CONVERSATION  # the letter came without an envelope
    if ">NOW<" in record["arkivmelding"]:
        ours["tidspunkt"] = ""
    return sides[0], sides[1]


@pytest.fixture(scope="module")
def all_off() -> Mapping:
    return load_mapping("faithful", switches={"read_shielding_from_journalpost": False})


@pytest.mark.parametrize("record", _records(), ids=lambda record: record["case"])
def test_no_difference_at_all(
    record: dict[str, str], all_off: Mapping, names: Names, tmp_path: Path
) -> None:
    """Without any rule: not one field is even written differently."""
    assert _compare(record, all_off, names, tmp_path).findings == ()


@pytest.mark.parametrize("record", _records(empty_dates=True), ids=lambda record: record["case"])
def test_only_dates_that_the_predecessor_emptied_differ(
    record: dict[str, str], all_off: Mapping, names: Names, tmp_path: Path
) -> None:
    findings = _compare(record, all_off, names, tmp_path).findings
    # An avskrivning that held nothing but the empty date now holds nothing at all.
    dates = r"(?i)dato$|^tidspunkt$|\.avskrivning$"
    assert all(re.search(dates, finding.pattern) for finding in findings)
    assert not any((finding.left or "").strip() for finding in findings)


_CHANGES = [
    ('  { edu = "jpInnhold", am = "tittel" },\n', "", "jpInnhold", Kind.LOST),
    ('  { edu = "saAdmkort", am = "administrativEnhet" },\n', "", "saAdmkort", Kind.LOST),
    ('  { edu = "amPoststed", am = "poststed" },\n', "", "avsmot[].amPoststed", Kind.LOST),
    ('  { edu = "dbTittel", am = "tittel" },\n', "", "dokument[].dbTittel", Kind.LOST),
    (
        '{ edu = "jpDokdato", am = "dokumentetsDato"',
        '{ edu = "jpForfdato", am = "dokumentetsDato"',
        "jpDokdato",
        Kind.DIFFERS,
    ),
    (
        '{ edu = "saTittel", am = "tittel" }',
        '{ edu = "saOfftittel", am = "tittel" }',
        "saTittel",
        Kind.DIFFERS,
    ),
]


@pytest.mark.parametrize(("line", "instead", "pattern", "kind"), _CHANGES)
def test_a_changed_mapping_line_is_named(
    line: str, instead: str, pattern: str, kind: Kind, names: Names, tmp_path: Path
) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(data_folder("mappings"), folder)
    file = folder / "faithful.toml"
    text = file.read_text(encoding="utf-8")
    assert text.count(line) == 1
    file.write_text(text.replace(line, instead), encoding="utf-8")
    changed = load_mapping("faithful", folder)
    record = next(one for one in _records() if one["case"] == "full_every_field")
    findings = _compare(record, changed, names, tmp_path).findings
    assert {(finding.pattern, finding.kind) for finding in findings} == {(pattern, kind)}


_FIELD_LINE = re.compile(r'  \{ edu = "(?:\w+/)*(\w+)", (?!.*(?:switch =|dir = "<")).*\n')


def test_every_mapping_line_that_is_taken_away_is_named(names: Names, tmp_path: Path) -> None:
    """With the rules that are shipped, nothing else than its field is unexplained."""
    folder = tmp_path / "mappings"
    shutil.copytree(data_folder("mappings"), folder)
    file = folder / "faithful.toml"
    text = file.read_text(encoding="utf-8")
    record = next(one for one in _records() if one["case"] == "full_every_field")
    rules = shipped_rules()
    wrong = {}
    lines = list(_FIELD_LINE.finditer(text))
    for line in lines:
        file.write_text(text[: line.start()] + text[line.end() :], encoding="utf-8")
        left, right = _sides(record, load_mapping("faithful", folder), names, tmp_path)
        findings = compare_letters(left, right, rules, names).findings
        found = {it.pattern.rpartition(".")[2] for it in findings if it.rule is None}
        if found != {line[1]}:
            wrong[line[1]] = found
    assert len(lines) > 35
    assert wrong == {}


def test_a_changed_code_is_named(names: Names, tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(data_folder("mappings"), folder)
    file = folder / "kodelister.toml"
    text = file.read_text(encoding="utf-8")
    changed = re.sub(r'\["J",\s+"<>",\s+"Journalført"\]', '["J", ">", "Arkivert"]', text)
    assert changed != text
    file.write_text(changed, encoding="utf-8")
    mapping = load_mapping("faithful", folder)
    found = {
        finding.pattern
        for record in _records()
        for finding in _compare(record, mapping, names, tmp_path).findings
    }
    assert found == {"jpStatus"}


def test_the_command_explains_all_that_the_predecessor_wrote(tmp_path: Path) -> None:
    """Every record, bare letters against arkivmeldinger: nothing is unexplained."""
    records = [one for one in json.loads(_GOLDEN.read_text("utf-8")) if "arkivmelding" in one]
    for number, record in enumerate(records, 1):
        for side, xml in (("old", record["arkivmelding"]), ("recorded", record["edu"])):
            (tmp_path / side).mkdir(exist_ok=True)
            (tmp_path / side / f"{number}.xml").write_text(xml, "utf-8")
    done = CliRunner().invoke(
        command,
        ["run", "--left", str(tmp_path / "old"), "--right", str(tmp_path / "recorded"),
         "--metadata-only", "--dialect", "p360", "--out", str(tmp_path / "out")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"{len(records)} messages" in done.output
    lines = (tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()
    assert len({json.loads(line)["key"] for line in lines}) == len(records)


def test_what_cannot_be_translated_says_so(all_off: Mapping, names: Names, tmp_path: Path) -> None:
    path = tmp_path / "letter.xml"
    path.write_text(
        '<Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types"><journpost xmlns="">'
        "<jpInnhold>Uten sak</jpInnhold></journpost></Melding>",
        encoding="utf-8",
    )
    reader = LetterReader(names, NO_RULES, all_off, NOW, all_off)
    with pytest.raises(TranslationImpossible):
        reader.read(next(find_sources(path)))
