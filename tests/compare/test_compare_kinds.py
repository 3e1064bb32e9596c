"""Differences of known kind, made at random, are each classified right."""

from __future__ import annotations

import copy
import string

import pytest
from compare_letters import shipped_rules, standard_names
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from gateway.compare import Kind, Letter, Names, RuleBook, compare_letters
from gateway.compare.letter import record_from_data
from gateway.record import Record

_WORD = st.text(string.ascii_letters + "æøåÆØÅ0123456789§.-", min_size=1, max_size=8)
_TEXT = st.tuples(_WORD, _WORD).map(" ".join)
_DATE = st.dates().map(lambda day: day.isoformat()).filter(lambda day: day != "0001-01-01")
_PARTY_FIELDS = ("amNavn", "amAdresse", "amPoststed", "amEpostadr", "amSbhinit")
_FILE_FIELDS = ("dbTittel", "dbKategori", "veDokformat")
_TOP_FIELDS = ("jpInnhold", "jpOffinnhold", "jpUoff", "saTittel", "saOfftittel", "saArkdel")
_DATE_FIELDS = ("jpDokdato", "jpForfdato", "saDato")
_CODED = {"jpStatus": ("J", "Journalført"), "jpNdoktype": ("U", "Utgående dokument"),
          "saStatus": ("A", "Avsluttet")}  # fmt: skip


@st.composite
def letters(draw: st.DrawFn) -> Record:
    """A letter in which every field says something, its items told apart by key."""
    data: dict[str, object] = {name: draw(_TEXT) for name in _TOP_FIELDS}
    data |= {name: draw(_DATE) for name in _DATE_FIELDS}
    data |= {name: pair[0] for name, pair in _CODED.items()}
    data["jpSeknr"] = str(draw(st.integers(1, 99_999)))
    names = draw(st.lists(_TEXT, min_size=2, max_size=3, unique_by=str.casefold))
    data["avsmot[]"] = [
        {"amIhtype": "1", **{field: draw(_TEXT) for field in _PARTY_FIELDS}, "amNavn": name}
        for name in names
    ]
    files = draw(st.lists(_WORD, min_size=2, max_size=3, unique_by=str.casefold))
    data["dokument[]"] = [
        {
            **{field: draw(_TEXT) for field in _FILE_FIELDS},
            "veFilnavn": f"{name}.pdf",
            "fil": f"sha256:{number:064x} (12 byte)",
        }
        for number, name in enumerate(files)
    ]
    return record_from_data(data)


def _letter(record: Record) -> Letter:
    return Letter("brev.xml", "arkivmelding", record, "1", "p360", True)


@pytest.fixture(scope="module")
def names() -> Names:
    return standard_names()


@pytest.fixture(scope="module")
def rules() -> RuleBook:
    return shipped_rules()


# No shrinking: it takes minutes, and a letter is small enough to read as it is.
_MANY = settings(
    max_examples=130,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def _place(data: st.DataObject, letter: Record) -> tuple[Record, str, str, str]:
    """Some field of the letter: its object, its name, its full name and its pattern."""
    group = data.draw(st.sampled_from(["", "avsmot", "dokument"]))
    if not group:
        name = data.draw(st.sampled_from(_TOP_FIELDS))
        return letter, name, name, name
    items = letter.groups[group]
    at = data.draw(st.integers(0, len(items) - 1))
    fields = _PARTY_FIELDS[1:] if group == "avsmot" else _FILE_FIELDS
    name = data.draw(st.sampled_from(fields))
    return items[at], name, f"{group}[{at + 1}].{name}", f"{group}[].{name}"


def _found(left: Record, right: Record, rules: RuleBook, names: Names) -> list[tuple[str, Kind]]:
    result = compare_letters(_letter(left), _letter(right), rules, names)
    return [(finding.field, finding.kind) for finding in result.findings]


@_MANY
@given(left=letters())
def test_equal(left: Record, rules: RuleBook, names: Names) -> None:
    assert _found(left, copy.deepcopy(left), rules, names) == []


@_MANY
@given(data=st.data(), left=letters())
def test_content_differs(data: st.DataObject, left: Record, rules: RuleBook, names: Names) -> None:
    right = copy.deepcopy(left)
    item, name, field, pattern = _place(data, right)
    other = data.draw(_TEXT)
    assume(other.split() != item.values[name].split())
    assume(other not in rules.defaults.get(pattern, ()))
    item.values[name] = other
    assert _found(left, right, rules, names) == [(field, Kind.DIFFERS)]


@_MANY
@given(data=st.data(), left=letters(), empty=st.booleans())
def test_lost(
    data: st.DataObject, left: Record, empty: bool, rules: RuleBook, names: Names
) -> None:
    right = copy.deepcopy(left)
    item, name, field, _ = _place(data, right)
    if empty:
        item.values[name] = ""
    else:
        del item.values[name]
    assert _found(left, right, rules, names) == [(field, Kind.LOST)]


@_MANY
@given(data=st.data(), left=letters())
def test_invented(data: st.DataObject, left: Record, rules: RuleBook, names: Names) -> None:
    right = copy.deepcopy(left)
    item, name, field, pattern = _place(data, left)
    assume(item.values[name] not in rules.defaults.get(pattern, ()))
    del item.values[name]
    assert _found(left, right, rules, names) == [(field, Kind.INVENTED)]


_STANDARD = [("saStatus", "Under behandling"), ("jpStatus", "Ferdigstilt fra saksbehandler"),
             ("jpNdoktype", "Inngående dokument")]  # fmt: skip


@_MANY
@given(
    left=letters(), standard=st.sampled_from(_STANDARD), unknown=st.sampled_from(["", None, "?"])
)
def test_defaulted(
    left: Record, standard: tuple[str, str], unknown: str | None, rules: RuleBook, names: Names
) -> None:
    """Nothing was said, or a code that nobody knows; the other side states the default."""
    name, text = standard
    right = copy.deepcopy(left)
    right.values[name] = text
    if unknown is None:
        del left.values[name]
    else:
        left.values[name] = unknown
    assert _found(left, right, rules, names) == [(name, Kind.DEFAULTED)]


@_MANY
@given(data=st.data(), left=letters())
def test_order_only(data: st.DataObject, left: Record, rules: RuleBook, names: Names) -> None:
    right = copy.deepcopy(left)
    group = data.draw(st.sampled_from(["avsmot", "dokument"]))
    shuffled = data.draw(st.permutations(right.groups[group]))
    assume([id(one) for one in shuffled] != [id(one) for one in right.groups[group]])
    right.groups[group] = list(shuffled)
    assert _found(left, right, rules, names) == [(group, Kind.ORDER)]


@_MANY
@given(data=st.data(), left=letters())
def test_equal_after_rule(data: st.DataObject, left: Record, rules: RuleBook, names: Names) -> None:
    right = copy.deepcopy(left)
    what = data.draw(st.sampled_from(["date", "integer", "code", "space"]))
    if what == "date":
        field = data.draw(st.sampled_from(_DATE_FIELDS))
        right.values[field] += data.draw(st.sampled_from(["+01:00", "Z", "T10:11:12Z"]))
    elif what == "integer":
        field = "jpSeknr"
        right.values[field] = f"00{right.values[field]}"
    elif what == "code":
        field = data.draw(st.sampled_from(sorted(_CODED)))
        right.values[field] = _CODED[field][1]
    else:
        field = data.draw(st.sampled_from(_TOP_FIELDS))
        right.values[field] = data.draw(st.sampled_from([" {}", "{} ", "{}\n", "\t{}"])).format(
            right.values[field]
        )
    assert _found(left, right, rules, names) == [(field, Kind.AFTER_RULE)]


@_MANY
@given(data=st.data(), left=letters())
def test_a_whole_item_is_lost(
    data: st.DataObject, left: Record, rules: RuleBook, names: Names
) -> None:
    """A party that is gone is lost; the others are not taken for it, nor for moved."""
    right = copy.deepcopy(left)
    at = data.draw(st.integers(0, len(left.groups["avsmot"]) - 1))
    gone = right.groups["avsmot"].pop(at)
    expected = [(f"avsmot[{at + 1}].{name}", Kind.LOST) for name in gone.values]
    assert _found(left, right, rules, names) == expected


def test_changed_and_moved_gives_both(rules: RuleBook, names: Names) -> None:
    left = record_from_data(
        {"avsmot[]": [{"amNavn": "Fjellbygda", "amPoststed": "Vik"}, {"amNavn": "Havsund"}]}
    )
    right = record_from_data(
        {"avsmot[]": [{"amNavn": "Havsund"}, {"amNavn": "Fjellbygda", "amPoststed": "Nes"}]}
    )
    assert _found(left, right, rules, names) == [
        ("avsmot[1].amPoststed", Kind.DIFFERS),
        ("avsmot", Kind.ORDER),
    ]


def test_other_bytes_under_the_same_name(rules: RuleBook, names: Names) -> None:
    sides = [
        record_from_data(
            {"dokument[]": [{"veFilnavn": "brev.pdf", "fil": f"sha256:{digit * 64} (9 byte)"}]}
        )
        for digit in "ab"
    ]
    assert _found(*sides, rules, names) == [("dokument[1].fil", Kind.DIFFERS)]


def test_documents_that_are_not_at_hand_are_not_lost(rules: RuleBook, names: Names) -> None:
    left = record_from_data(
        {"dokument[]": [{"veFilnavn": "brev.pdf", "fil": "sha256:aa (9 byte)"}]}
    )
    right = record_from_data({"dokument[]": [{"veFilnavn": "brev.pdf"}]})
    result = compare_letters(_letter(left), Letter("x", "arkivmelding", right, "1"), rules, names)
    assert result.findings == ()


def test_a_letter_alone(rules: RuleBook, names: Names) -> None:
    letter = _letter(record_from_data({"jpInnhold": "Alene"}))
    assert [f.kind for f in compare_letters(letter, None, rules, names).findings] == [Kind.LOST]
    assert [f.kind for f in compare_letters(None, letter, rules, names).findings] == [Kind.INVENTED]
