"""A mapping ready for use: files read and checked, compiled once, shared by all threads."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path

from gateway.record import Schema
from gateway.translate.codes import FileTypes
from gateway.translate.compiled import BackPlan, OutPlan, Step, compile_back, compile_out
from gateway.translate.homes import Homes, find_homes
from gateway.translate.loading import load_profile
from gateway.translate.profile import Profile


@dataclass(frozen=True, slots=True)
class Mapping:
    """One profile with its switches set. Make it with `load_mapping`, once."""

    profile: Profile
    out_root: tuple[Step, ...]
    out: OutPlan
    back: BackPlan
    reading_back: BackPlan
    """How a receiver without our predecessor's defects reads what we write."""
    reading_out: OutPlan
    """What of an arkivmelding a Melding holds; see `compile_out`."""
    homes: Homes

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
    # How values are read honestly: every correction on, but what is a date stays one.
    dates = {"minvalue_date_is_missing"}
    honest = {name: True if name not in dates else value for name, value in chosen.switches.items()}
    reading = load_profile(profile, folder, honest)
    richest = load_profile("faithful", folder)
    out_root, out = compile_out(chosen)
    return Mapping(
        chosen,
        out_root,
        out,
        compile_back(chosen),
        compile_back(reading),
        compile_out(reading, reading=True)[1],
        find_homes(richest),
    )
