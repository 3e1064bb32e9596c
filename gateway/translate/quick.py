"""The same answer as reading everything back, for the ordinary letter, several times faster.

Most fields are carried by one line whose target can be looked at directly. A letter in
which anything else happens to a field that can be read back is left to `compare`; a test
holds the two ways equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.record import Record
from gateway.translate.compiled import language_back
from gateway.translate.difference import Difference, Part, compare
from gateway.translate.expressions import Give
from gateway.translate.profile import Line, Profile
from gateway.translate.scope import Scope

_NOTHING = Record()


@dataclass(frozen=True, slots=True)
class Look:
    """Where a field's value is to be seen again: `element` of the object `am`."""

    am: str
    element: str
    codes: Mapping[str, str] | None
    give: Give | None


@dataclass(frozen=True, slots=True)
class Looks:
    """`by_object`: EDU object path to field to look."""

    by_object: Mapping[str, Mapping[str, Look]]
    readable: Mapping[str, Mapping[str, int]]
    """How many lines read each field back."""
    usable: bool


def find_looks(chosen: Profile, reading: Profile) -> Looks:
    """From the first line that reads each field back."""
    by_object: dict[str, dict[str, Look]] = {}
    readable: dict[str, dict[str, int]] = {}
    for mine, group in zip(chosen.groups, reading.groups, strict=True):
        looks = by_object.setdefault(group.edu, {})
        names = readable.setdefault(group.edu, {})
        for line in group.lines:
            if not line.back or line.edu is None:
                continue
            if line.edu not in names and not (group.pair and mine.omit_empty):
                look = _look(reading, group.am, line)
                if look is not None:
                    looks[line.edu] = look
            names[line.edu] = names.get(line.edu, 0) + 1
    usable = not chosen.carry_rest and not any(group.when for group in chosen.groups)
    # Lines that fill a field of another object make "first" hard to say: not for us.
    usable = usable and not any("/" in name for names in readable.values() for name in names)
    return Looks(by_object, readable, usable)


def _look(profile: Profile, own: str, line: Line) -> Look | None:
    if line.value is not None:
        group = next(one for one in profile.groups if one.am == own and line in one.lines)
        return Look(own, "", None, language_back(profile, group).value(line.value))
    assert line.am is not None
    am, element = own, line.am
    if element.startswith("/"):
        owner, _, element = element[1:].rpartition("/")
        if owner not in profile.am_types:
            return None
        am = owner
    if "/" in element:
        return None
    codes = profile.lists[line.codes].codes if line.codes else None
    return Look(am, element, codes, None)


def quick_differences(
    scope: Scope, made: Mapping[int, Mapping[str, Record]], looks: Looks
) -> dict[str, Difference] | None:
    """What `compare` would find; None when this letter needs it.

    `made` has, for each translated EDU object by identity, its arkivmelding objects.
    """
    if not looks.usable:
        return None
    reader = Scope(scope.facts, {})
    singles = {path: record for item in scope.objects.values()
               for path, record in made.get(id(item), {}).items()}  # fmt: skip
    found: dict[str, Difference] = {}
    for name, item in scope.objects.items():
        difference = _difference(name, item, made, singles, looks, reader)
        if difference is None:
            return None
        found[name] = difference
    return found


def _difference(
    edu: str,
    item: Record,
    made: Mapping[int, Mapping[str, Record]],
    singles: Mapping[str, Record],
    looks: Looks,
    reader: Scope,
) -> Difference | None:
    if item.repeats:
        return None
    found = Difference()
    own, readable = looks.by_object[edu], looks.readable[edu]
    records = made[id(item)]
    for name, value in item.values.items():
        look, seen = own.get(name), None
        if look is not None:
            record = records.get(look.am) or singles.get(look.am)
            if record is not None:
                if look.give is not None:
                    reader.item = record
                    seen = look.give(reader)
                else:
                    seen = record.values.get(look.element)
                    if look.codes is not None and seen is not None:
                        seen = look.codes.get(seen)
                if seen == value:
                    continue
        if value and not value.isspace():
            if seen is not None:
                found.given[name] = seen
            elif look is None:
                if name in readable:
                    return None
            elif look.codes is not None or readable[name] > 1:
                return None
            found.values[name] = value
    for name, inner in item.groups.items():
        path = f"{edu}/{name}"
        parts = []
        for number, one in enumerate(inner, 1):
            if path in looks.by_object:
                difference = _difference(path, one, made, singles, looks, reader)
                if difference is None:
                    return None
                if not difference:
                    continue
                parts.append(Part(number, len(inner), False, difference))
            else:
                difference = compare(one, _NOTHING, path, {})
                parts.append(Part(number, len(inner), True, difference))
        if parts:
            found.groups[name] = parts
    return found
