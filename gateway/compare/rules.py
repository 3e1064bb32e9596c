"""Rules that explain differences: which, why, and who says so.

A rule either says when two values are the same (`same`), or accepts a kind of difference
(`accept`). Each has a reason and an owner, and stands in `mappings/compare.toml`. The
file is checked completely when it is read; errors name file and line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from gateway.errors import ConfigurationError
from gateway.record import Record
from gateway.translate.codes import CodeList


class Kind(StrEnum):
    """What became of a field from the left side to the right side."""

    EQUAL = "equal"
    AFTER_RULE = "equal after rule"
    DEFAULTED = "defaulted"
    """The right side states a standard value where the left said nothing of use."""
    LOST = "lost"
    INVENTED = "invented"
    ORDER = "order only"
    DIFFERS = "content differs"


ACCEPTABLE = (Kind.DEFAULTED, Kind.LOST, Kind.INVENTED, Kind.ORDER, Kind.DIFFERS)

Same = Callable[[str, str, CodeList | None], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """`fields` are patterns such as ``avsmot[].am*``; `dialects` empty means all.

    `left` and `right` must match the whole value where given; `when_empty` names a field
    that must have no value in the left letter.
    """

    id: str
    at: str
    fields: tuple[str, ...]
    reason: str
    owner: str
    same: str | None = None
    accept: frozenset[Kind] = frozenset()
    left: re.Pattern[str] | None = None
    right: re.Pattern[str] | None = None
    dialects: frozenset[str] = frozenset()
    when_empty: str | None = None
    between: tuple[str, ...] = ()
    """Kinds of the left and the right letter; empty means any."""

    def covers(self, pattern: str) -> bool:
        """Whether the rule speaks of the field, whatever its value."""
        return any(_matches(one, pattern) for one in self.fields)

    def fits(self, left: str | None, right: str | None, letter: Record) -> bool:
        """Whether its conditions on values hold."""
        if self.left is not None and not self.left.fullmatch(left or ""):
            return False
        if self.right is not None and not self.right.fullmatch(right or ""):
            return False
        return not (self.when_empty and letter.values.get(self.when_empty, "").strip())


def _matches(wanted: str, pattern: str) -> bool:
    return fnmatchcase(pattern, wanted.replace("[", "[[]"))


@dataclass(slots=True)
class RuleBook:
    """All rules, with what is standard for each field and how its items are recognised."""

    rules: tuple[Rule, ...]
    defaults: Mapping[str, frozenset[str]] = field(default_factory=dict)
    keys: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    marks: Mapping[str, Mapping[str, re.Pattern[str]]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """What a field is called in plain words."""
    _found: dict[tuple[object, ...], tuple[Rule, ...]] = field(default_factory=dict)

    def of(
        self, pattern: str, dialect: str | None, between: tuple[str, ...] = ()
    ) -> tuple[Rule, ...]:
        """The rules that speak of a field of a letter in that dialect, in file order.

        `between` are the kinds of the two letters.
        """
        key = (pattern, dialect, between)
        found = self._found.get(key)
        if found is None:
            found = tuple(
                rule
                for rule in self.rules
                if rule.covers(pattern)
                and (not rule.dialects or dialect in rule.dialects)
                and (not rule.between or rule.between == between)
            )
            self._found[key] = found
        return found

    def dialect_of(self, letter: Record) -> str | None:
        """Which archive made the letter, by the marks in the file; None when none fits."""
        for dialect, marks in self.marks.items():
            if all(_has_mark(letter, field, pattern) for field, pattern in marks.items()):
                return dialect
        return None


def _has_mark(letter: Record, field: str, pattern: re.Pattern[str]) -> bool:
    group, _, name = field.rpartition("[].")
    items = letter.groups.get(group, ()) if group else (letter,)
    return any(pattern.fullmatch(item.values.get(name, "")) for item in items)


# --- reading the file -----------------------------------------------------------------

_RULE_KEYS = {
    "id", "fields", "reason", "owner", "same", "accept", "left", "right", "dialects",
    "when_empty", "between",
}  # fmt: skip
_LETTER_KINDS = {"melding", "arkivmelding", "kvittering"}
_TOP_KEYS = {"rule", "defaults", "keys", "dialects", "labels"}


def load_rules(text: str, filename: str, same: Mapping[str, Same]) -> RuleBook:
    """Read a rule file given as text; `same` are the comparisons that rules may name.

    Raises `ConfigurationError` with `filename` and line.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{filename}: {error}") from error
    lines = text.splitlines()
    for key in content:
        if key not in _TOP_KEYS:
            raise _fail(
                filename, _line(lines, rf"\[*\s*{re.escape(key)}\b"), f"unknown key {key!r}"
            )
    rules: list[Rule] = []
    for number, table in enumerate(_list(content, "rule", filename)):
        at = f"{filename}:{_heading(lines, number)}"
        rules.append(_rule(table, at, same))
        if any(other.id == rules[-1].id for other in rules[:-1]):
            raise ConfigurationError(f"{at}: rule {rules[-1].id!r} stands twice")
    return RuleBook(
        tuple(rules),
        _defaults(content, filename, lines),
        _keys(content, filename, lines),
        _marks(content, filename, lines),
        _labels(content, filename, lines),
    )


def _fail(filename: str, line: int, message: str) -> ConfigurationError:
    return ConfigurationError(f"{filename}:{line}: {message}")


def _line(lines: list[str], pattern: str) -> int:
    found = re.compile(rf"\s*{pattern}")
    return next((n for n, line in enumerate(lines, 1) if found.match(line)), 1)


def _heading(lines: list[str], number: int) -> int:
    places = [n for n, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
    return places[number] if number < len(places) else 1


def _list(content: Mapping[str, Any], key: str, filename: str) -> list[Any]:
    value = content.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ConfigurationError(f"{filename}:1: rules are written as [[rule]]")
    return value


def _rule(table: Mapping[str, Any], at: str, same: Mapping[str, Same]) -> Rule:
    unknown = sorted(set(table) - _RULE_KEYS)
    if unknown:
        raise ConfigurationError(f"{at}: unknown key {unknown[0]!r} in rule")
    for key in ("id", "reason", "owner"):
        if not isinstance(table.get(key), str) or not table[key].strip():
            raise ConfigurationError(f"{at}: every rule has {key}, a text that is not empty")
    fields = _texts(table, "fields", at)
    if not fields:
        raise ConfigurationError(f"{at}: fields names at least one field")
    accept = _texts(table, "accept", at)
    for kind in accept:
        if kind not in set(ACCEPTABLE):
            raise ConfigurationError(
                f"{at}: accept {kind!r}; it may be {', '.join(map(repr, map(str, ACCEPTABLE)))}"
            )
    if ("same" in table) == bool(accept):
        raise ConfigurationError(f"{at}: a rule has either same or accept")
    if "same" in table and table["same"] not in same:
        raise ConfigurationError(
            f"{at}: same = {table['same']!r}; it may be {', '.join(map(repr, sorted(same)))}"
        )
    when_empty = table.get("when_empty")
    if when_empty is not None and not isinstance(when_empty, str):
        raise ConfigurationError(f"{at}: when_empty names one field")
    between = _texts(table, "between", at)
    if between and (len(between) != 2 or not set(between) <= _LETTER_KINDS):
        raise ConfigurationError(
            f"{at}: between is the kind of the left and of the right letter, "
            f"each one of {', '.join(sorted(_LETTER_KINDS))}"
        )
    return Rule(
        table["id"],
        at,
        fields,
        table["reason"].strip(),
        table["owner"].strip(),
        table.get("same"),
        frozenset(Kind(kind) for kind in accept),
        _pattern(table, "left", at),
        _pattern(table, "right", at),
        frozenset(_texts(table, "dialects", at)),
        when_empty,
        between,
    )


def _texts(table: Mapping[str, Any], key: str, at: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ConfigurationError(f"{at}: {key} is a list of texts")
    return tuple(value)


def _pattern(table: Mapping[str, Any], key: str, at: str) -> re.Pattern[str] | None:
    if key not in table:
        return None
    try:
        return re.compile(table[key], re.DOTALL)
    except (re.error, TypeError) as error:
        raise ConfigurationError(f"{at}: {key} is not a regular expression: {error}") from error


def _table(
    content: Mapping[str, Any], name: str, filename: str, lines: list[str]
) -> Mapping[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise _fail(filename, _line(lines, rf"{name}\b"), f"{name} is a table")
    return value


def _at_key(lines: list[str], key: str) -> int:
    return _line(lines, rf"\"?{re.escape(key)}\"?\s*=")


def _defaults(
    content: Mapping[str, Any], filename: str, lines: list[str]
) -> dict[str, frozenset[str]]:
    found = {}
    for name, values in _table(content, "defaults", filename, lines).items():
        at = f"{filename}:{_at_key(lines, name)}"
        found[name] = frozenset(_texts({name: values}, name, at))
    return found


def _keys(
    content: Mapping[str, Any], filename: str, lines: list[str]
) -> dict[str, tuple[tuple[str, ...], ...]]:
    found = {}
    for name, values in _table(content, "keys", filename, lines).items():
        at = f"{filename}:{_at_key(lines, name)}"
        if not isinstance(values, list) or not values:
            raise ConfigurationError(f"{at}: {name} is a list of lists of fields")
        found[name] = tuple(_texts({name: one}, name, at) for one in values)
    return found


def _marks(
    content: Mapping[str, Any], filename: str, lines: list[str]
) -> dict[str, dict[str, re.Pattern[str]]]:
    found: dict[str, dict[str, re.Pattern[str]]] = {}
    for dialect, marks in _table(content, "dialects", filename, lines).items():
        at = f"{filename}:{_line(lines, rf'.*{re.escape(dialect)}')}"
        if not isinstance(marks, dict) or not marks:
            raise ConfigurationError(f"{at}: dialects.{dialect} is a table of field = pattern")
        found[dialect] = {}
        for name in marks:
            pattern = _pattern(marks, name, at)
            assert pattern is not None
            found[dialect][name] = pattern
    return found


def _labels(content: Mapping[str, Any], filename: str, lines: list[str]) -> dict[str, str]:
    labels = dict(_table(content, "labels", filename, lines))
    for name, label in labels.items():
        if not isinstance(label, str):
            raise _fail(filename, _at_key(lines, name), f"{name}: a label is a text")
    return labels
