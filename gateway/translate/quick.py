"""The loss report of an ordinary letter without translating it to and fro.

Most fields are carried by one line whose target can be looked at directly. A letter in
which anything else happens to a field that can be read back is left to `compare`; tests
hold the two ways equal.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf

from gateway.edu.noark4 import JOURNPOST, NOARKSAK
from gateway.model import Loss, Outcome
from gateway.record import Record
from gateway.translate.difference import Missing
from gateway.translate.looks import Look, LookBack
from gateway.translate.losses import loss_in, loss_out
from gateway.translate.mapping import Mapping
from gateway.translate.scope import Facts, Scope


def quick_losses(scope: Scope, mapping: Mapping) -> list[Loss] | None:
    """What the thorough way would report of noarksak and journpost; None when this letter
    needs it. `scope` is the one that the arkivmelding was built with."""
    if not mapping.looks.usable:
        return None
    singles = {path: record for item in scope.objects.values()
               for path, record in scope.made.get(id(item), {}).items()}  # fmt: skip
    report = _Report(scope, singles, mapping)
    for name, item in scope.objects.items():
        if not report.add(name, f"{name}/", item):
            return None
    return report.losses


class _Report:
    def __init__(self, scope: Scope, singles: MappingOf[str, Record], mapping: Mapping) -> None:
        self._scope = scope
        self._singles = singles
        self._mapping = mapping
        self._reader = Scope(scope.facts, singles)
        self.losses: list[Loss] = []

    def add(self, edu: str, path: str, item: Record) -> bool:
        """The losses of one object at `path` and of those inside it; False: cannot say."""
        if item.repeats:
            return False
        looks = self._mapping.looks
        safe, unsent, own = looks.safe[edu], looks.unsent[edu], looks.by_object[edu]
        made = self._scope.made[id(item)]
        for name, value in item.values.items():
            if name in safe:
                continue
            known = unsent.get(name)
            if known is None:
                look = own.get(name)
                seen = None if look is None else self._seen(look, made)
                if seen != value and not self._lose(edu, path, name, value, look, seen):
                    return False
            elif value and not value.isspace():
                self.losses.append(
                    Loss(path + name, Outcome.LOST, known.kind, known.reason, known.home, value)
                )
        for name, inner in item.groups.items():
            for number, one in enumerate(inner, 1):
                below = f"{path}{name}[{number}]/" if len(inner) > 1 else f"{path}{name}/"
                if f"{edu}/{name}" in looks.by_object:
                    if not self.add(f"{edu}/{name}", below, one):
                        return False
                else:
                    self._lost(below, one)
        return True

    def _seen(self, look: Look, made: MappingOf[str, Record]) -> str | None:
        """What a receiver reads, where the look says."""
        record = made.get(look.am) or self._singles.get(look.am)
        if record is None:
            return None
        if look.give is not None:
            self._reader.item = record
            return look.give(self._reader)
        seen = record.values.get(look.element)
        return seen if look.codes is None or seen is None else look.codes.get(seen)

    def _lose(
        self, edu: str, path: str, name: str, value: str, look: Look | None, seen: str | None
    ) -> bool:
        """Report a field that a line sends or reads; False: cannot say."""
        if not value or value.isspace():
            return True
        if seen is None:
            readable = self._mapping.looks.readable[edu]
            if look is None:
                if name in readable:
                    return False
            elif look.codes is not None or readable[name] > 1:
                return False
        leaf = Missing(path + name, value, seen)
        self.losses.append(loss_out(leaf, f"{edu}/{name}", self._mapping))
        return True

    def _lost(self, path: str, record: Record) -> None:
        """An object of which nothing is sent."""
        for name, value in record.values.items():
            if value and not value.isspace():
                self.losses.append(loss_out(Missing(path + name, value), None, self._mapping))
        for name, inner in record.groups.items():
            for number, one in enumerate(inner, 1):
                self._lost(f"{path}{name}[{number}]/" if len(inner) > 1 else f"{path}{name}/", one)


# --- incoming -------------------------------------------------------------------------


def quick_losses_in(am: Record, edu: Record, mapping: Mapping, facts: Facts) -> list[Loss] | None:
    """What the thorough way would report; None when this arkivmelding needs it.

    One saksmappe with one journalpost, one file per description, nothing repeated that
    must not be.
    """
    case = _only(am, "mappe", "saksmappe")
    post = None if case is None else _only(case, "basisregistrering", "journalpost")
    if post is None or not mapping.looks.usable:
        return None
    references = 0
    for description in post.groups.get("dokumentbeskrivelse", ()):
        objects = description.groups.get("dokumentobjekt", ())
        if len(objects) != 1:
            return None
        references += _FILE in objects[0].values
    report = _ReportIn(edu, str(references), mapping, facts)
    return report.losses if report.add("", "", am) else None


_FILE = "referanseDokumentfil"


def _only(record: Record, name: str, type: str) -> Record | None:
    found = record.groups.get(name, ())
    return found[0] if len(found) == 1 and found[0].type == type else None


class _ReportIn:
    def __init__(self, edu: Record, files: str, mapping: Mapping, facts: Facts) -> None:
        self._seen = {name: edu.groups[name][0] for name in (NOARKSAK, JOURNPOST)}
        self._files = files
        self._mapping = mapping
        self._facts = facts
        self.losses: list[Loss] = []

    def add(self, am: str, path: str, record: Record) -> bool:
        """The losses of one object at `path` and of those inside it; False: cannot say."""
        if record.repeats:
            return False
        looks = self._mapping.looks_back
        own = looks.by_object.get(am, _NO_LOOKS)
        for name, value in record.values.items():
            look = own.get(name)
            if look is None:
                self._lose(f"{path}/{name}", value)
            elif not self._sees(look, value):
                return False
        for name, inner in record.groups.items():
            below = f"{am}/{name}" if am else name
            edu = looks.objects.get(below)
            if below in looks.others:
                if not all(one.empty for one in inner):
                    return False
                continue
            for number, one in enumerate(inner, 1):
                place = f"{path}/{name}[{number}]" if len(inner) > 1 else f"{path}/{name}"
                if edu is not None or below in looks.by_object:
                    if edu is not None and below.count("/") == _OUTER:
                        owner, _, item = edu.rpartition("/")
                        self._seen[edu] = self._seen[owner].groups[item][number - 1]
                    if not self.add(below, place, one):
                        return False
                elif not self._inside(own, name, place, one, len(inner)):
                    return False
        return True

    def _sees(self, look: LookBack, value: str) -> bool:
        seen = self._seen[look.edu].values.get(look.name)
        if look.texts is not None and seen is not None:
            seen = look.texts.get(seen)
        return seen == value or not value or value.isspace()

    def _inside(
        self, own: MappingOf[str, LookBack], name: str, path: str, record: Record, several: int
    ) -> bool:
        """An object that is no more than a wrapper, or unknown."""
        if record.repeats or _FILE in record.values:
            return False
        for leaf, value in record.values.items():
            look = own.get(f"{name}/{leaf}")
            if look is None:
                self._lose(f"{path}/{leaf}", value)
            elif several > 1 or not self._sees(look, value):
                return False
        for group, inner in record.groups.items():
            for number, one in enumerate(inner, 1):
                place = f"{path}/{group}[{number}]" if len(inner) > 1 else f"{path}/{group}"
                if not self._inside(own, f"{name}/{group}", place, one, len(inner)):
                    return False
        return True

    def _lose(self, path: str, value: str) -> None:
        if value and not value.isspace():
            loss = loss_in(Missing(path, value), self._files, self._mapping, self._facts)
            if loss is not None:
                self.losses.append(loss)


_NO_LOOKS: MappingOf[str, LookBack] = {}
_OUTER = 2
"""Slashes in the path of an object that stands in the journal post itself."""
