"""The loss report of an ordinary letter without reading everything back.

Most fields are carried by one line whose target can be looked at directly. A letter in
which anything else happens to a field that can be read back is left to `compare`; a test
holds the two ways equal.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf

from gateway.model import Loss, Outcome
from gateway.record import Record
from gateway.translate.difference import Missing
from gateway.translate.losses import loss_out
from gateway.translate.mapping import Mapping
from gateway.translate.scope import Scope


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
        self._reader = Scope(scope.facts, {})
        self.losses: list[Loss] = []

    def add(self, edu: str, path: str, item: Record) -> bool:
        """The losses of one object at `path` and of those inside it; False: cannot say."""
        if item.repeats:
            return False
        looks = self._mapping.looks
        safe, unsent = looks.safe[edu], looks.unsent[edu]
        for name, value in item.values.items():
            if name in safe:
                continue
            known = unsent.get(name)
            if known is None:
                if not self._look(edu, path, name, value, item):
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

    def _look(self, edu: str, path: str, name: str, value: str, item: Record) -> bool:
        """Look for the value in what was made of its object."""
        looks = self._mapping.looks
        look, seen = looks.by_object[edu].get(name), None
        if look is not None:
            record = self._scope.made[id(item)].get(look.am) or self._singles.get(look.am)
            if record is not None:
                if look.give is not None:
                    self._reader.item = record
                    seen = look.give(self._reader)
                else:
                    seen = record.values.get(look.element)
                    if look.codes is not None and seen is not None:
                        seen = look.codes.get(seen)
        if seen == value or not value or value.isspace():
            return True
        if seen is None:
            if look is None:
                if name in looks.readable[edu]:
                    return False
            elif look.codes is not None or looks.readable[edu][name] > 1:
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
