"""The documents of a letter: their names in the package, their types, their numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.arkivmelding import FILENAME
from gateway.edu.noark4 import FileReference
from gateway.errors import TranslationImpossible
from gateway.model import Content, Outcome
from gateway.record import Record
from gateway.translate.codes import FileTypes
from gateway.translate.scope import Scope
from gateway.translate.values import extension, read_integer

_RESERVED = {FILENAME, "manifest.xml", "mimetype", "sbd.json", "asic.zip"}
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_UNSAFE = '/\\:*?"<>|'
_ORDINARY = re.compile(r"[a-zA-Z0-9æøåÆØÅ][a-zA-Z0-9æøåÆØÅ _-]{4,150}\.[a-z]{3,4}")
"""Names that are surely safe; no device's name is that long."""
_LONGEST = 200
"""Characters. File systems and zip tools agree on names below 255 bytes."""


@dataclass(slots=True)
class Collected:
    """`filenames` has one name per ``dokument``: what ``referanseDokumentfil`` says. `rows`
    are those with content: its ref, name, mime type and title."""

    filenames: list[str | None] = field(default_factory=list)
    rows: list[tuple[str, str, str, str | None]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def collect_documents(
    dokumenter: Sequence[Record],
    files: Sequence[FileReference | None],
    contents: MappingOf[str, Content],
    scope: Scope,
    types: FileTypes,
    sending: bool,
) -> Collected:
    """Name and check the documents; see `to_arkivmelding` for `sending` and errors."""
    found = Collected()
    _refuse_duplicates(dokumenter, found, sending)
    names = package_names(dokumenter, types)
    for position, (dokument, file) in enumerate(zip(dokumenter, files, strict=True), 1):
        stated = dokument.values.get("veFilnavn")
        mime_type = _mime_type(dokument, stated, types)
        ref = file.ref if file is not None and file.ref in contents else None
        if ref is None:
            problem = _problem(position, stated, file)
            if sending:
                raise TranslationImpossible(
                    f"journpost/dokument[{position}] has no usable content", peer_text=problem
                )
            found.problems.append(problem)
        name = stated
        if sending:
            name = names[position - 1]
            if name != stated:
                _note_name(scope, position, len(dokumenter), stated)
        found.filenames.append(name)
        if ref is not None:
            title = _text(dokument, "dbTittel") or _text(scope.objects["journpost"], "jpInnhold")
            found.rows.append((ref, name or "", mime_type, title))
    return found


def package_names(dokumenter: Sequence[Record], types: FileTypes) -> list[str]:
    """Names that are safe and different in a package, equal to ``veFilnavn`` where it is."""
    taken: set[str] = set()
    return [
        _unique(_safe_name(_stated_or_derived(dokument, position, types)), taken)
        for position, dokument in enumerate(dokumenter, 1)
    ]


def _refuse_duplicates(dokumenter: Sequence[Record], found: Collected, sending: bool) -> None:
    names = [name for dokument in dokumenter if (name := _text(dokument, "veFilnavn"))]
    doubled = (
        [name for name in names if names.count(name) > 1] if len(set(names)) != len(names) else []
    )
    if doubled:
        text = f"Found duplicate filenames in message: {', '.join(doubled)}"
        if sending:
            raise TranslationImpossible(text, peer_text=text)
        found.problems.append(text)


def _problem(position: int, filename: str | None, file: FileReference | None) -> str:
    named = f' "{filename}"' if filename else ""
    if file is None or (file.problem is None and file.ref is None):
        what = "mangler innhold (fil/base64)"
    elif file.problem == "empty":
        what = "er tomt"
    else:
        what = "har innhold som ikke er gyldig base64"
    return f"Dokument {position}{named} {what}"


def _note_name(scope: Scope, position: int, several: int, stated: str | None) -> None:
    scope.path = f"journpost/dokument[{position}]/" if several > 1 else "journpost/dokument/"
    if stated and stated.strip():
        scope.note("veFilnavn", Outcome.CHANGED, "text", "not a safe name in a package", stated)
    else:
        scope.note("veFilnavn", Outcome.DEFAULTED, "text", "missing; a name was made", None)
    scope.path = ""


def _stated_or_derived(dokument: Record, position: int, types: FileTypes) -> str:
    stated = _text(dokument, "veFilnavn")
    if stated:
        return stated
    stem = _text(dokument, "dbTittel") or f"dokument-{position}"
    ending = _ending(dokument, types)
    return stem if not ending or extension(stem) == ending else f"{stem}.{ending}"


def _ending(dokument: Record, types: FileTypes) -> str | None:
    mime_type = _text(dokument, "veMimeType")
    if mime_type:
        found = types.extension_of(mime_type)
        if found:
            return found
    stated = (_text(dokument, "veDokformat") or "").lower().removeprefix("ra-").lstrip(".")
    return stated if stated.isalnum() and stated.isascii() and len(stated) <= 5 else None


def _mime_type(dokument: Record, filename: str | None, types: FileTypes) -> str:
    stated = _text(dokument, "veMimeType")
    if stated:
        return stated
    name = filename if filename and filename.strip() else f"x.{_ending(dokument, types) or ''}"
    return types.mime_type(name)


def _text(record: Record, name: str) -> str | None:
    value = record.values.get(name)
    return value if value is not None and value.strip() else None


def is_ordinary_name(name: str) -> bool:
    """Whether the name of a file is surely safe, as most are."""
    return _ORDINARY.fullmatch(name) is not None and name.lower() not in _RESERVED


def _safe_name(name: str) -> str:
    """A name that means one file in one folder on every system."""
    if is_ordinary_name(name):
        return name
    safe = "".join(
        "_" if character in _UNSAFE or unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
        else character
        for character in name
    )  # fmt: skip
    safe = safe.strip(" ").rstrip(".")
    if not safe.strip("._ "):
        safe = f"dokument{safe}" if safe.strip(".") else "dokument"
    if safe.lower() in _RESERVED or safe.lower() == "meta-inf" or _DEVICES.fullmatch(safe):
        safe = f"vedlegg-{safe}"
    if len(safe) > _LONGEST:
        ending = extension(safe)
        ending = f".{ending}" if ending and len(ending) < 20 else ""
        safe = safe[: _LONGEST - len(ending)] + ending
    return safe


def _unique(name: str, taken: set[str]) -> str:
    """Two names that differ in case only are one file on Windows."""
    candidate, number = name, 1
    while candidate.lower() in taken:
        number += 1
        stem, dot, ending = name.rpartition(".")
        candidate = f"{stem}-{number}.{ending}" if dot and stem else f"{name}-{number}"
    taken.add(candidate.lower())
    return candidate


def assign_numbers(stated: Sequence[str | None]) -> list[str]:
    """A number for every document: its own, or its position, skipping those in use."""
    own = [read_integer(text.strip()) if text else None for text in stated]
    used = {number for number in own if number is not None}
    numbers: list[str] = []
    for position, number in enumerate(own, 1):
        if number is None:
            free = position
            while str(free) in used:
                free += 1
            number = str(free)
            used.add(number)
        numbers.append(number)
    return numbers
