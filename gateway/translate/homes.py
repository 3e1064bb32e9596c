"""Where profile ``rich`` would put a field, for loss reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.translate.profile import Profile

_POSITION = re.compile(r"\[\d+\]")
REST = "virksomhetsspesifikkeMetadata"


@dataclass(frozen=True, slots=True)
class Homes:
    """By path without positions."""

    am: Mapping[str, str]
    """EDU field to its arkivmelding element."""
    edu: Mapping[str, str]
    kinds: Mapping[str, str]
    """EDU field or arkivmelding element to text, integer, date or code."""

    def of_edu(self, path: str) -> str | None:
        """Home of an EDU field; the rest block when it has none of its own."""
        plain = _POSITION.sub("", path) if "[" in path else path
        if plain in self.am:
            return self.am[plain]
        if plain.startswith("noarksak/"):
            return f"mappe/{REST}"
        if plain.startswith("journpost/"):
            return f"mappe/basisregistrering/{REST}"
        return None

    def of_am(self, path: str) -> str | None:
        """The EDU field of an arkivmelding element, if it has one."""
        return self.edu.get(_POSITION.sub("", path))

    def kind(self, path: str) -> str:
        """What kind of value is there."""
        return self.kinds.get(_POSITION.sub("", path), "text")


def find_homes(profile: Profile) -> Homes:
    """From the lines of `profile` that name both sides."""
    am: dict[str, str] = {}
    edu: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for group in profile.groups:
        for line in group.lines:
            if line.edu is None or line.am is None or line.value is not None:
                continue
            source, target = full(group.edu, line.edu), full(group.am, line.am)
            kind = line.kind if line.kind != "file" else "text"
            kinds.setdefault(source, kind)
            kinds.setdefault(target, kind)
            if line.out:
                am.setdefault(source, target)
            if line.back:
                edu.setdefault(target, source)
    return Homes(am, edu, kinds)


def full(group: str, name: str) -> str:
    """Path of a line's field from the root."""
    return name[1:] if name.startswith("/") else f"{group}/{name}"
