"""One letter in the form that is compared: plain fields, no XML, no bytes of documents.

Whatever a letter came as, a Melding, an arkivmelding, a receipt, it becomes one `Record`
whose leaves have the names of `gateway.compare.names`. Namespaces, prefixes, the order
of different elements and white space between them are gone by then; values are as they
were, since what may be overlooked in a value is for rules to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.compare.names import CASE, POST, Names, group_name
from gateway.edu.noark4 import FileReference
from gateway.model import AppReceipt, Content
from gateway.record import STRAY_TEXT, Record

CONTENT = "fil"
"""Field of a ``dokument`` that stands for its bytes: size and SHA-256."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of one side.

    `kind` is ``melding``, ``arkivmelding`` or ``kvittering``; `size` counts bytes of
    everything, documents included; `with_contents` is False where only the metadata were
    at hand, so that documents can not be compared; `xml` is the metadata as it stood.
    """

    name: str
    kind: str
    record: Record
    conversation: str | None = None
    dialect: str | None = None
    with_contents: bool = False
    size: int = 0
    xml: str | None = None
    sent: Record | None = None
    """The Melding, when `record` is what was made of it."""

    @property
    def journalpost(self) -> str | None:
        """What identifies the journal post in the sender's archive, if it says so."""
        values = self.record.values
        if self.kind == "kvittering" or not values.get("jpId"):
            return None
        return f"{values.get('saId', '')}/{values['jpId']}"

    def as_data(self) -> dict[str, Any]:
        """For a line of JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "record": record_as_data(self.record),
            "conversation": self.conversation,
            "dialect": self.dialect,
            "with_contents": self.with_contents,
            "size": self.size,
            "xml": self.xml,
            "sent": record_as_data(self.sent) if self.sent is not None else None,
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Letter:
        """The letter that `as_data` wrote."""
        return Letter(
            **{
                **data,
                "record": record_from_data(data["record"]),
                "sent": record_from_data(data["sent"]) if data["sent"] is not None else None,
            }
        )


def record_as_data(record: Record) -> dict[str, Any]:
    data: dict[str, Any] = dict(record.values)
    for name, items in record.groups.items():
        data[f"{name}[]"] = [record_as_data(item) for item in items]
    return data


def record_from_data(data: Mapping[str, Any]) -> Record:
    record = Record()
    for name, value in data.items():
        if name.endswith("[]"):
            record.groups[name[:-2]] = [record_from_data(item) for item in value]
        else:
            record.values[name] = value
    return record


def content_mark(content: Content | None) -> str:
    """What is compared instead of a document's bytes; empty when there are none."""
    return f"sha256:{content.sha256} ({content.size} byte)" if content is not None else ""


# --- Melding --------------------------------------------------------------------------


def from_melding(
    melding: Record,
    files: Sequence[FileReference | None],
    contents: Mapping[str, Content],
    *,
    with_contents: bool,
) -> Record:
    """A Melding as `read_noark4` gave it. noarksak and journpost become one level."""
    letter = Record()
    for part, prefix in (("journpost", "jp"), ("noarksak", "sa")):
        for record in melding.groups.get(part, ())[:1]:
            _flatten(record, letter, part, prefix)
    for name, records in melding.groups.items():
        for extra in records[1 if name in ("journpost", "noarksak") else 0 :]:
            letter.groups.setdefault(name, []).append(_item(extra, name))
    if with_contents:
        for dokument, file in zip(letter.groups.get("dokument", ()), files, strict=True):
            if file is not None:
                dokument.values[CONTENT] = content_mark(contents.get(file.ref or ""))
    return letter


def _flatten(record: Record, target: Record, path: str, own_prefix: str) -> None:
    for name, value in _values(record):
        known = name.startswith(own_prefix)
        target.values[name if known else f"{path}.{name}"] = value
    for name, items in record.groups.items():
        below = f"{path}/{name}"
        if name.endswith("EksternNokkel"):
            for item in items[:1]:
                _prefixed(item, target, f"{name}.")
        else:
            group = group_name(below)
            target.groups.setdefault(group, []).extend(_item(item, below) for item in items)


def _prefixed(record: Record, target: Record, prefix: str) -> None:
    for name, value in _values(record):
        target.values[prefix + name] = value


def _item(record: Record, path: str) -> Record:
    item = Record()
    item.values.update(_values(record))
    for name, inner in record.groups.items():
        if name.endswith("EksternNokkel"):
            _prefixed(inner[0], item, f"{name}.")
        else:
            item.groups[name] = [_item(one, f"{path}/{name}") for one in inner]
    return item


def _values(record: Record) -> list[tuple[str, str]]:
    found = []
    for name, value in record.values.items():
        several = record.repeats.get(name)
        shown = "(tekst)" if name == STRAY_TEXT else name
        found.append((shown, "\n".join(several) if several else value))
    return found


# --- arkivmelding ---------------------------------------------------------------------


def from_arkivmelding(
    arkivmelding: Record, documents: Mapping[str, Content] | None, names: Names
) -> Record:
    """An arkivmelding as `read_noark5` gave it, under the names of BEST/EDU.

    `documents` are the files that came with it, by name; None when only the XML is known.
    The first mappe and its first journal post are the letter; further ones are groups.
    """
    letter = Record()
    _Renaming(names, documents).visit(arkivmelding, "", letter, letter, "")
    if documents is not None:
        named = {item.values.get("veFilnavn") for item in letter.groups.get("dokument", ())}
        for filename in sorted(set(documents) - named):
            extra = Record()
            extra.values.update({"veFilnavn": filename, CONTENT: content_mark(documents[filename])})
            letter.groups.setdefault("fil uten omtale", []).append(extra)
    return letter


class _Renaming:
    def __init__(self, names: Names, documents: Mapping[str, Content] | None) -> None:
        self._names = names
        self._documents = documents

    def visit(self, record: Record, path: str, letter: Record, target: Record, prefix: str) -> None:
        """Put the leaves of `record` where they belong: the letter, or the item `target`."""
        if record.type is not None:
            target.values[f"{prefix}xsi:type"] = record.type
        for name, value in _values(record):
            place = f"{path}/{name}" if path else name
            group, known = self._names.fields.get(place, ("", ""))
            if not known:
                target.values[prefix + name] = value
            else:
                (letter if not group else target).values[known] = value
        # Write-offs last: whose they are is known when the parties are.
        for name, items in sorted(record.groups.items(), key=lambda it: it[0] == "avskrivning"):
            self._group(name, items, f"{path}/{name}" if path else name, letter, target, prefix)

    def _group(
        self,
        name: str,
        items: list[Record],
        path: str,
        letter: Record,
        target: Record,
        prefix: str,
    ) -> None:
        if path in (CASE, POST):
            self.visit(items[0], path, letter, letter, f"{_LABELS[path]}.")
            for extra in items[1:]:
                self._loose(f"{_LABELS[path]} til", extra, letter)
        elif path == _AVSKRIVNING:
            self._avskrivning(items, path, letter)
        elif path == _BESKRIVELSE:
            for item in items:
                self._dokument(item, path, letter)
        elif path in self._names.objects:
            made = letter.groups.setdefault(self._names.objects[path], [])
            for item in items:
                made.append(Record())
                self.visit(item, path, letter, made[-1], "")
        elif len(items) == 1:
            if items[0].empty:
                target.values[prefix + name] = ""
            self.visit(items[0], path, letter, target, f"{prefix}{name}.")
        else:
            for item in items:
                self._loose(prefix + name, item, target)

    def _avskrivning(self, items: list[Record], path: str, letter: Record) -> None:
        """The k-th write-off is the k-th party's when there are as many (mapping 3.4)."""
        parties = letter.groups.get("avsmot", [])
        if len(items) == len(parties):
            owners = parties
        else:
            owners = letter.groups.setdefault("avskrivning", [])
            owners.extend(Record() for _ in items)
        for item, owner in zip(items, owners, strict=True):
            if item.empty:
                owner.values["avskrivning"] = ""
            self.visit(item, path, letter, owner, "avskrivning.")

    def _dokument(self, beskrivelse: Record, path: str, letter: Record) -> None:
        """One ``dokument`` per file: a description with two files gives two."""
        made = letter.groups.setdefault("dokument", [])
        objects: list[Record] = beskrivelse.groups.pop("dokumentobjekt", [])
        each: list[Record | None] = [*objects] or [None]
        for objekt in each:
            made.append(Record())
            self.visit(beskrivelse, path, letter, made[-1], "")
            if objekt is not None:
                self.visit(objekt, f"{path}/dokumentobjekt", letter, made[-1], "dokumentobjekt.")
                if objekt.empty:
                    made[-1].values["dokumentobjekt"] = ""
            if self._documents is not None:
                filename = made[-1].values.get("veFilnavn", "")
                made[-1].values[CONTENT] = content_mark(self._documents.get(filename))
        if objects:
            beskrivelse.groups["dokumentobjekt"] = objects

    def _loose(self, name: str, record: Record, target: Record) -> None:
        target.groups.setdefault(name, []).append(_item(record, name))


_LABELS = {CASE: "mappe", POST: "journalpost"}
_AVSKRIVNING = f"{POST}/avskrivning"
_BESKRIVELSE = f"{POST}/dokumentbeskrivelse"


# --- receipts -------------------------------------------------------------------------


def from_receipt(receipt: AppReceipt) -> Record:
    """An AppReceipt, or the same thing inside an SBD."""
    letter = Record()
    letter.values["type"] = str(receipt.type)
    for message in receipt.messages:
        item = Record()
        item.values.update({"code": message.code, "text": message.text})
        letter.groups.setdefault("message", []).append(item)
    return letter
