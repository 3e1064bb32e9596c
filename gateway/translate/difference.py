"""What reading the finished translation back does not give: the one rule for losses and rest.

A value is lost when the way back does not reproduce it. Nothing can be forgotten this
way, unknown elements included, since the question is asked of every value in the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.record import STRAY_TEXT, Record
from gateway.translate.scope import Watch


@dataclass(slots=True)
class Part:
    """One object of a repeating group that differs. `number` is its 1-based position of
    `total`; `whole`: the translation has nothing of it at all."""

    number: int
    total: int
    whole: bool
    difference: Difference


@dataclass(slots=True)
class Difference:
    """`values`: what the source says; None where only the way back says something."""

    values: dict[str, str | None] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    """What the way back says instead, where it says anything."""
    overwritten: dict[str, list[str]] = field(default_factory=dict)
    """Occurrences that do not count, of fields that came more than once."""
    groups: dict[str, list[Part]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values or self.groups or self.overwritten)


Kept = Mapping[str, list[bool]]
"""For groups with a condition: which source objects were translated at all."""

_NOTHING = Record()


def compare(source: Record, back: Record, path: str, kept: Kept, watch: Watch | None) -> Difference:
    """Everything of `source` that `back` does not have, and what `back` adds to it."""
    found = Difference()
    given = back.values
    for name, value in source.values.items():
        if given.get(name) != value and value and not value.isspace():
            found.values[name] = value
            if name in given:
                found.given[name] = given[name]
                if watch is not None:
                    watch.compared[value, given[name]] = None
    for name, value in given.items():
        if value and not value.isspace():
            stated = source.values.get(name)
            if not stated or stated.isspace():
                found.values[name] = None
    for name, several in source.repeats.items():
        earlier = [value for value in several[:-1] if value.strip()]
        if earlier:
            found.overwritten[name] = earlier
    for name, records in source.groups.items():
        others = back.groups.get(name, [])
        parts = _compare_group(records, others, f"{path}/{name}", kept, watch)
        if parts:
            found.groups[name] = parts
    return found


def _compare_group(
    records: list[Record], back: list[Record], path: str, kept: Kept, watch: Watch | None
) -> list[Part]:
    flags = kept.get(path)
    others = iter(back)
    parts = []
    for number, record in enumerate(records, 1):
        other = next(others, None) if flags is None or flags[number - 1] else None
        difference = compare(record, other or _NOTHING, path, kept, watch)
        if difference or other is None:
            parts.append(Part(number, len(records), other is None, difference))
    return parts


class Missing(NamedTuple):
    """One leaf of a difference. `given` is what stands there instead, if anything."""

    path: str
    value: str
    given: str | None = None
    overwritten: bool = False


def missing(difference: Difference, path: str) -> Iterator[Missing]:
    """The source's leaves in it, by path with positions."""
    for name, value in difference.values.items():
        if value is not None:
            yield Missing(f"{path}/{name}", value, difference.given.get(name))
    for name, values in difference.overwritten.items():
        for value in dict.fromkeys(values):
            yield Missing(f"{path}/{name}", value, None, True)
    for name, parts in difference.groups.items():
        for part in parts:
            position = f"[{part.number}]" if part.total > 1 else ""
            yield from missing(part.difference, f"{path}/{name}{position}")


def is_name(name: str) -> bool:
    """Whether the leaf is an element at all, so that a rest block can carry it."""
    return name != STRAY_TEXT
