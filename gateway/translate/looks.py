"""Where each EDU field of an ordinary letter is to be seen again, found out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.translate.compiled import OutPlan, language_back, target_of
from gateway.translate.expressions import Give
from gateway.translate.homes import Homes, full
from gateway.translate.profile import Line, Profile


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
    safe: Mapping[str, frozenset[str]]
    """Fields that are copied and read back from the copy: they are always seen."""
    unsent: Mapping[str, Mapping[str, Unsent]]
    """Fields of the schema that no line sends or reads."""
    usable: bool


@dataclass(frozen=True, slots=True)
class Unsent:
    """What a loss report says of a field that has no place."""

    kind: str
    reason: str
    home: str | None


def no_place(profile: Profile, homes: Homes, path: str) -> Unsent:
    """For a field that the profile does not send; `path` is without positions."""
    reason = f"arkivmelding has no place for it in profile {profile.name}"
    return Unsent(homes.kinds.get(path, "text"), reason, homes.of_edu(path))


def find_looks(chosen: Profile, reading: Profile, out: OutPlan, homes: Homes) -> Looks:
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
    safe: dict[str, set[str]] = {edu: set() for edu in by_object}
    for plan in out.all():
        for source, element in plan.steps.copies:
            look = by_object[plan.edu].get(source)
            if look == Look(plan.am, element, None, None) and readable[plan.edu][source] == 1:
                safe[plan.edu].add(source)
    sent = {
        full(group.edu, line.edu)
        for group in reading.groups
        for line in group.lines
        if line.out and line.edu is not None
    }
    unsent = {
        edu: {
            name: no_place(chosen, homes, f"{edu}/{name}")
            for name in chosen.edu_schema.types[type]
            if f"{edu}/{name}" not in sent and name not in readable[edu]
        }
        for edu, type in chosen.edu_types.items()
    }
    return Looks(
        by_object, readable, {edu: frozenset(names) for edu, names in safe.items()}, unsent, usable
    )


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


@dataclass(frozen=True, slots=True)
class LookBack:
    """The EDU field that an element is made from again: `name` of the object `edu`."""

    edu: str
    name: str
    texts: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class LooksBack:
    """`by_object`: arkivmelding object to element (with its wrapper, if any) to look."""

    by_object: Mapping[str, Mapping[str, LookBack]]
    objects: Mapping[str, str]
    """Objects that repeat, and the Melding object that each becomes."""
    others: frozenset[str]
    """Objects that feed the same Melding objects too."""


def find_looks_back(reading: Profile) -> LooksBack:
    """From the first line that names both the element and a field."""
    by_object: dict[str, dict[str, LookBack]] = {}
    for group in reading.groups:
        for line in group.lines:
            if line.edu is None or line.am is None or line.value is not None:
                continue
            path, element = target_of(line.am, group.am)
            edu, _, name = full(group.edu, line.edu).rpartition("/")
            texts = reading.lists[line.codes].texts if line.codes else None
            look = LookBack(edu, name, texts)
            by_object.setdefault(path or group.am, {}).setdefault(element, look)
    objects: dict[str, str] = {}
    others: set[str] = set()
    for group in reading.groups:
        if group.each:
            nested = [am for am, edu in objects.items() if edu == group.edu]
            if not nested or group.am.startswith(nested[-1] + "/"):
                objects[group.am] = group.edu
            else:
                others.add(group.am)
    return LooksBack(by_object, objects, frozenset(others))
