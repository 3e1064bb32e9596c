"""Rule files: checked when they are read, with file and line; conditions count."""

from __future__ import annotations

import pytest
from compare_letters import shipped_rules, standard_names

from gateway.compare import SAME, Kind, Letter, compare_letters, load_rules
from gateway.compare.letter import record_from_data
from gateway.compare.summary import Summary, unused_rules
from gateway.errors import ConfigurationError

_GOOD = """
[[rule]]
id = "a"
fields = ["jpInnhold"]
accept = ["content differs"]
reason = "derfor"
owner = "arkivet"
"""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('owner = "arkivet"', ""), "regler.toml:2: every rule has owner"),
        (('reason = "derfor"', 'reason = " "'), "regler.toml:2: every rule has reason"),
        (('accept = ["content differs"]', 'accept = ["equal"]'), "regler.toml:2: accept 'equal'"),
        (('accept = ["content differs"]', 'same = "nesten"'), "regler.toml:2: same = 'nesten'"),
        (('accept = ["content differs"]', ""), "regler.toml:2: a rule has either same or accept"),
        (('fields = ["jpInnhold"]', "fields = []"), "regler.toml:2: fields names at least one"),
        (('owner = "arkivet"', 'owner = "x"\nhvem = "y"'), "regler.toml:2: unknown key 'hvem'"),
        (('owner = "arkivet"', 'owner = "x"\nleft = "("'), "regler.toml:2: left is not a regular"),
        (('owner = "arkivet"', 'owner = "x"\nbetween = ["a"]'), "regler.toml:2: between"),
        (("\n[[rule]]", "\nfeil = 1\n[[rule]]"), "regler.toml:2: unknown key 'feil'"),
        ((_GOOD, _GOOD + _GOOD), "regler.toml:9: rule 'a' stands twice"),
        ((_GOOD, _GOOD + "[labels]\njpId = 3\n"), "regler.toml:9: jpId: a label is a text"),
        (("[[rule]]", "[[rule"), "regler.toml: "),
    ],
)
def test_a_bad_file_is_refused_with_its_line(change: tuple[str, str], complaint: str) -> None:
    text = _GOOD.replace(*change)
    with pytest.raises(ConfigurationError) as caught:
        load_rules(text, "regler.toml", SAME)
    assert complaint in str(caught.value)


def _findings(rules: str, left: dict[str, str], right: dict[str, str]) -> list[str | None]:
    letters = [
        Letter("x", "arkivmelding", record_from_data(data), "1", "p360") for data in (left, right)
    ]
    book = load_rules(rules, "regler.toml", SAME)
    return [it.rule for it in compare_letters(*letters, book, standard_names()).findings]


@pytest.mark.parametrize(
    ("condition", "explained"),
    [
        ("", True),
        ('dialects = ["p360"]', True),
        ('dialects = ["websak"]', False),
        ('left = "gam.*"', True),
        ('left = "gam"', False),
        ('right = "ny"', True),
        ('when_empty = "saDato"', True),
        ('when_empty = "saTittel"', False),
        ('between = ["arkivmelding", "arkivmelding"]', True),
        ('between = ["melding", "arkivmelding"]', False),
    ],
)
def test_conditions(condition: str, explained: bool) -> None:
    left = {"jpInnhold": "gammel", "saTittel": "sak"}
    right = {"jpInnhold": "ny", "saTittel": "sak"}
    assert _findings(_GOOD + condition, left, right) == ["a" if explained else None]


def test_a_rule_for_one_kind_does_not_explain_another() -> None:
    assert _findings(_GOOD, {"jpInnhold": "borte"}, {}) == [None]


def test_every_shipped_rule_has_reason_and_owner_and_unused_ones_are_told() -> None:
    book = shipped_rules()
    assert all(rule.reason and rule.owner for rule in book.rules)
    letters = [
        Letter("x", "arkivmelding", record_from_data({"jpDokdato": day}), "1")
        for day in ("2026-11-01", "2026-11-01Z")
    ]
    names = standard_names()
    summary = Summary()
    result = compare_letters(*letters, book, names)
    summary.add(result, names)
    assert [it.kind for it in result.findings] == [Kind.AFTER_RULE]
    assert set(unused_rules(summary, book)) == {rule.id for rule in book.rules} - {"samme-dag"}
    assert Summary.from_data(summary.as_data()).as_data() == summary.as_data()
