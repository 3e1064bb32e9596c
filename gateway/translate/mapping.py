"""A mapping ready for use: files read and checked, compiled once, shared by all threads."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path

from gateway.record import Schema
from gateway.translate.alike import Questions, find_questions
from gateway.translate.codes import FileTypes
from gateway.translate.compiled import (
    BackPlan,
    OutPlan,
    Steps,
    compile_back,
    compile_out,
    target_of,
)
from gateway.translate.homes import Homes, find_homes, full
from gateway.translate.loading import load_profile
from gateway.translate.profile import Profile
from gateway.translate.stencil import Stencils


@dataclass(frozen=True, slots=True)
class Mapping:
    """One profile with its switches set. Make it with `load_mapping`, once."""

    profile: Profile
    out_root: Steps
    out: OutPlan
    back: BackPlan
    reading_back: BackPlan
    """How a receiver without our predecessor's defects reads what we write."""
    reading_out: OutPlan
    """What of an arkivmelding a Melding holds; see `compile_out`."""
    homes: Homes
    translated: frozenset[str]
    """Paths of EDU fields that the profile sends, without positions."""
    read: frozenset[str]
    """Paths of arkivmelding elements that the profile reads, without positions."""

    links: MappingOf[tuple[str, str], tuple[tuple[bool, str], ...]]
    """Which EDU fields an element takes its value from: (object, element) to (each, name).
    `each`: the name is relative to the source object; else it is a whole path."""

    questions: Questions
    """What may be asked of the values of a message; see `gateway.translate.alike`."""

    out_stencils: Stencils
    back_stencils: Stencils

    @property
    def name(self) -> str:
        return self.profile.name

    @property
    def switches(self) -> MappingOf[str, bool]:
        return self.profile.switches

    @property
    def edu_schema(self) -> Schema:
        return self.profile.edu_schema

    @property
    def am_schema(self) -> Schema:
        return self.profile.am_schema

    @property
    def file_types(self) -> FileTypes:
        return self.profile.file_types


def load_mapping(
    profile: str = "faithful",
    folder: Path | None = None,
    switches: MappingOf[str, bool] | None = None,
) -> Mapping:
    """Read, check and compile `profile` from `folder` (our own ``mappings`` if None).

    `switches` are set over the profile's own defaults. Raises `ConfigurationError`
    naming file and line.
    """
    chosen = load_profile(profile, folder, switches)
    # How values are read honestly: every correction on, but what is a date stays one, and
    # repairs are for letters that are not ours.
    honest = {name: True for name in chosen.switches if name != _REPAIRS}
    honest |= {name: value for name, value in chosen.switches.items() if name == _DATES}
    reading = load_profile(profile, folder, honest)
    reading_back = compile_back(reading)
    richest = load_profile("rich", folder)
    homes = find_homes(richest)
    out_root, out = compile_out(chosen)
    questions = find_questions([chosen, reading], homes.kinds)
    return Mapping(
        chosen,
        out_root,
        out,
        compile_back(chosen),
        reading_back,
        compile_out(reading, reading=True)[1],
        homes,
        frozenset(
            full(group.edu, line.edu)
            for group in reading.groups
            for line in group.lines
            if line.out and line.edu is not None
        ),
        frozenset(
            full(group.am, line.am)
            for group in reading.groups
            for line in group.lines
            if line.back and line.am is not None
        ),
        _links(chosen),
        questions,
        Stencils(questions),
        Stencils(questions),
    )


def _links(profile: Profile) -> dict[tuple[str, str], tuple[tuple[bool, str], ...]]:
    links: dict[tuple[str, str], tuple[tuple[bool, str], ...]] = {}
    for group in profile.groups:
        for line in group.lines:
            if line.edu is None or line.am is None or line.value is not None:
                continue
            path, element = target_of(line.am, group.am)
            source = (True, line.edu) if group.each else (False, full(group.edu, line.edu))
            key = (path or group.am, element)
            links[key] = (*links.get(key, ()), source)
    return links


_DATES = "minvalue_date_is_missing"
_REPAIRS = "svarinn_repairs"
