"""Arkivmelding under the names that people know from BEST/EDU.

A records manager says ``jpInnhold`` and ``avsmot[2].amNavn``, whatever the system calls
them. The table of names is read off the mapping lines themselves; what no line mentions
keeps its arkivmelding name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.translate.codes import CodeList
from gateway.translate.profile import Profile

_PLAIN_GROUPS = {
    "noarksak": "",
    "journpost": "",
    "journpost/avsmot": "avsmot",
    "journpost/dokument": "dokument",
    "noarksak/klassering": "klassering",
    "noarksak/sakspart": "sakspart",
}

CASE = "mappe"
POST = "mappe/basisregistrering"


def group_name(edu_path: str) -> str:
    """What a group of the Melding is called in a comparison; empty for the letter itself."""
    known = _PLAIN_GROUPS.get(edu_path)
    return known if known is not None else edu_path.replace("/", ".")


@dataclass(frozen=True, slots=True)
class Names:
    """`fields`: arkivmelding leaf to (group, name); `objects`: arkivmelding object that
    repeats to its group. `codes`: field pattern to its code list, `kinds` to its type
    (``text``, ``integer``, ``date``, ``code``). `universe` is every field there is."""

    fields: Mapping[str, tuple[str, str]]
    objects: Mapping[str, str]
    codes: Mapping[str, CodeList]
    kinds: Mapping[str, str]
    universe: tuple[str, ...]


def build_names(profiles: Iterable[Profile]) -> Names:
    """Names from mapping profiles; where two give the same place, the first wins.

    A place that holds what another place holds too is told apart by its object:
    ``jpUoff (journalpost)``.
    """
    fields: dict[str, tuple[str, str]] = {}
    objects: dict[str, str] = {}
    codes: dict[str, CodeList] = {}
    kinds: dict[str, str] = {}
    universe: tuple[str, ...] = ()
    taken: set[tuple[str, str]] = set()
    for profile in profiles:
        universe = universe or tuple(_every_field(profile))
        for group in profile.groups:
            if group.each:
                objects.setdefault(group.am, group_name(group.edu))
        lines = [(group, line) for group in profile.groups for line in group.lines]
        for out in (True, False):
            for group, line in lines:
                if line.out is not out or line.value is not None:
                    continue
                if line.edu is None or line.am is None:
                    continue
                place = line.am[1:] if line.am.startswith("/") else f"{group.am}/{line.am}"
                if place in fields:
                    continue
                edu = f"{group.edu}/{line.edu}"
                edu = line.edu[1:] if line.edu.startswith("/") else edu
                owner, _, name = edu.rpartition("/")
                owner = group_name(owner)
                if (owner, name) in taken:
                    holder = "journalpost" if place.startswith(POST) else "sak"
                    name = f"{name} ({holder})"
                fields[place] = (owner, name)
                taken.add((owner, name))
                pattern = f"{owner}[].{name}" if owner else name
                kinds.setdefault(pattern, line.kind)
                if line.codes is not None:
                    codes.setdefault(pattern, profile.lists[line.codes])
    return Names(fields, objects, codes, kinds, universe)


def _every_field(profile: Profile) -> Iterable[str]:
    """Patterns of every leaf that a Melding may have, in the schema's order."""
    types = profile.edu_schema.types

    def walk(type_: str, path: str, prefix: str) -> Iterable[str]:
        for child in types[type_].values():
            if child.name == "fil":
                yield f"{prefix}fil"
            elif child.type not in types:
                yield f"{prefix}{child.name}"
            elif child.name != "journpost":
                below = f"{path}/{child.name}" if path else child.name
                name = group_name(below)
                mark = "[]." if child.repeated else "."
                yield from walk(
                    child.type,
                    below,
                    f"{name}{mark}" if child.repeated else prefix + f"{child.name}.",
                )

    for name in ("journpost", "noarksak"):
        yield from walk(types[profile.edu_schema.root][name].type, name, "")
