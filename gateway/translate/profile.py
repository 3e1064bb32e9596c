"""A profile as its mapping file declares it: groups of lines, rules, switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.record import Schema
from gateway.translate.codes import CodeList, FileTypes


@dataclass(frozen=True, slots=True)
class Line:
    """One field. `at` is file and line; names are relative to the group unless they begin
    with a slash. See the head of `faithful.toml` for what each key means."""

    at: str
    edu: str | None
    am: str | None
    out: bool
    back: bool
    kind: str = "text"
    codes: str | None = None
    value: str | None = None
    otherwise: str | None = None
    when: str | None = None
    join: str | None = None
    split: str | None = None
    always: str | None = None
    wrapper: bool = False
    empty: str | None = None
    truth: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of one kind of object. `each`: one target object per source object."""

    at: str
    edu: str
    am: str
    each: bool
    xsi_type: str | None
    when: str | None
    omit_empty: bool
    pair: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """How values that are empty or odd are treated."""

    text_empty: str = "keep"
    code_empty: str = "default"
    with_offset: bool = False
    missing_dates: frozenset[str] = frozenset()
    plain_back: bool = False
    """Dates on the way back lose their offset."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that one mapping file and the shared lists say, switches applied."""

    name: str
    rules: Rules
    carry_rest: bool
    melding: tuple[Line, ...]
    groups: tuple[Group, ...]
    lists: Mapping[str, CodeList]
    file_types: FileTypes
    switches: Mapping[str, bool]
    edu_schema: Schema
    am_schema: Schema

    @property
    def am_types(self) -> Mapping[str, str]:
        """Path of every mapped arkivmelding object to its type in the schema."""
        return {group.am: _am_type(self, group) for group in self.groups}

    @property
    def edu_types(self) -> Mapping[str, str]:
        """Path of every mapped Melding object to its type in the schema."""
        return {
            group.edu: type_
            for group in self.groups
            if (type_ := type_at(self.edu_schema, self.edu_schema.root, group.edu)) is not None
        }


def _am_type(profile: Profile, group: Group) -> str:
    if group.xsi_type is not None:
        return group.xsi_type
    types = {other.am: other.xsi_type for other in profile.groups if other.xsi_type}
    found = type_at(profile.am_schema, profile.am_schema.root, group.am, types)
    assert found is not None
    return found


def type_at(
    schema: Schema, start: str, path: str, xsi_types: Mapping[str, str] | None = None
) -> str | None:
    """Type of the element at `path` below type `start`; None when there is no such."""
    type_, walked = start, ""
    for name in path.split("/"):
        child = schema.types.get(type_, {}).get(name)
        if child is None:
            return None
        walked = f"{walked}/{name}" if walked else name
        type_ = (xsi_types or {}).get(walked, child.type)
    return type_
