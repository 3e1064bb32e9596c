"""The small language of mapping lines: values, fall-backs and conditions.

A closed list of functions; anything else is an error when the mapping is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.translate.codes import CodeList, FileTypes
from gateway.translate.scope import Scope
from gateway.translate.values import (
    GUID,
    derived_id,
    midnight,
    moment,
    read_date,
    repair_date,
    today,
)

Give = Callable[[Scope], str | None]
Test = Callable[[Scope], bool]
Field = Callable[[Scope], str | None]

_CALL = re.compile(r"\$(\w+)(?:\(([^()]*(?:\$\w+[^()]*)*)\))?")


class BadExpression(ValueError):
    """The text is not in the language; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Language:
    """Compiles texts. `field` finds the getter of a name, or raises `BadExpression`."""

    field: Callable[[str], Field]
    lists: Mapping[str, CodeList]
    file_types: FileTypes
    with_offset: bool
    missing_dates: frozenset[str]

    def value(self, text: str) -> Give:
        """Alternatives separated by `` else ``; the first that gives something."""
        gives = [self._one(part.strip()) for part in text.split(" else ")]
        if len(gives) == 1:
            return gives[0]

        def first(scope: Scope) -> str | None:
            for give in gives:
                value = give(scope)
                if value is not None:
                    return value
            return None

        return first

    def _one(self, text: str) -> Give:
        if not text.startswith("$"):
            return lambda scope: text
        match = _CALL.fullmatch(text)
        if match is None:
            raise BadExpression(f"{text!r} is not a function call")
        name, inside = match.groups()
        arguments = [part.strip() for part in inside.split(",")] if inside else []
        if name in _FACTS and not arguments:
            return _FACTS[name]
        if name == "uuid" and arguments:
            return self._uuid(arguments)
        if len(arguments) != 1:
            raise BadExpression(f"{text!r}: no such function, or wrong number of arguments")
        return self._of_field(name, arguments[0], text)

    def _of_field(self, name: str, argument: str, text: str) -> Give:
        if name == "count":
            return lambda scope: str(scope.count)
        get = self.field(argument)
        if name == "field":
            return lambda scope: _present(get(scope))
        if name == "dateof":
            return lambda scope: self._date(get(scope))
        if name == "midnight":
            with_offset = self.with_offset

            def start(scope: Scope) -> str | None:
                day = self._date(get(scope))
                return None if day is None else midnight(day, with_offset=with_offset)

            return start
        if name == "extension":
            return lambda scope: self.file_types.extension(get(scope) or "") or None
        if name == "mimetype":
            return lambda scope: self.file_types.mime_type(get(scope) or "")
        raise BadExpression(f"{text!r}: there is no function ${name}")

    def _date(self, text: str | None) -> str | None:
        if not text:
            return None
        day = read_date(text) or repair_date(text)
        return None if day in self.missing_dates else day

    def _uuid(self, arguments: list[str]) -> Give:
        parts: list[Give] = []
        for argument in arguments:
            if argument.startswith("'") and argument.endswith("'"):
                parts.append(lambda scope, literal=argument[1:-1]: literal)  # type: ignore[misc]
            elif argument.startswith("$"):
                parts.append(self._one(argument))
            else:
                parts.append(self.field(argument))

        def give(scope: Scope) -> str:
            name = "|".join([(part(scope) or "").strip() for part in parts])
            made = derived_id(name)
            if scope.facts.watch is not None:
                scope.facts.watch.derived[made] = name
            return made

        return give

    def condition(self, text: str) -> Test:
        """``X present``, ``X empty``, ``X is …``, ``X not …``, ``X in list``, joined by and."""
        tests = [self._test(part.strip()) for part in text.split(" and ")]
        if len(tests) == 1:
            return tests[0]
        return lambda scope: all(test(scope) for test in tests)

    def _test(self, text: str) -> Test:
        names, _, rest = text.partition(" ")
        gets = [self.field(name) for name in names.split("|")]
        if rest == "present":
            return lambda scope: any(_present(get(scope)) is not None for get in gets)
        if rest == "empty":
            return lambda scope: all(_present(get(scope)) is None for get in gets)
        verb, _, what = rest.partition(" ")
        if verb not in ("is", "not", "in") or not what or len(gets) != 1:
            raise BadExpression(f"{text!r} is not a condition")
        get = gets[0]
        if verb == "in":
            if what not in self.lists:
                raise BadExpression(f"{text!r}: there is no code list {what!r}")
            texts = self.lists[what].texts
            return lambda scope: get(scope) in texts
        positive = self._kind(get, what)
        return positive if verb == "is" else lambda scope: not positive(scope)

    def _kind(self, get: Field, what: str) -> Test:
        if what == "uuid":
            return lambda scope: GUID.fullmatch(get(scope) or "") is not None
        if what == "date":
            return lambda scope: self._date(get(scope)) is not None
        return lambda scope: get(scope) == what


def _present(value: str | None) -> str | None:
    return value if value is not None and value.strip() else None


_FACTS: Mapping[str, Give] = {
    "noark_system": lambda scope: scope.facts.system,
    "conversation_id": lambda scope: scope.facts.conversation_id,
    "sender": lambda scope: scope.facts.sender_orgnr,
    "now": lambda scope: moment(scope.facts.now),
    "today": lambda scope: today(scope.facts.now),
    "empty": lambda scope: "",
    "position": lambda scope: str(scope.position),
    "number": lambda scope: scope.numbers[scope.position - 1],
    "number_if_several": lambda scope: (
        scope.numbers[scope.position - 1] if len(scope.numbers) > 1 else None
    ),
    "h_or_v": lambda scope: "Hoveddokument" if scope.position == 1 else "Vedlegg",
    "main_or_attachment": lambda scope: "H" if scope.position == 1 else "V",
    "sender_of_avsender": lambda scope: (
        scope.facts.sender_orgnr or None
        if scope.item.values.get("korrespondanseparttype", "").strip() == "Avsender"
        else None
    ),
    "mappe_id": lambda scope: scope.mappe_id,
}
