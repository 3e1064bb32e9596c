"""Builds the Melding record from an arkivmelding, by plan."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.edu.noark4 import DOKUMENT, JOURNPOST
from gateway.record import Record
from gateway.translate.compiled import ONCE, BackChain, BackOther, BackPlan, Steps
from gateway.translate.documents import assign_numbers
from gateway.translate.scope import Scope

CASE = "mappe"
POST = "mappe/basisregistrering"


def build_back(plan: BackPlan, scope: Scope) -> Record:
    """The Melding as a record, without files."""
    edu = Record()
    made: dict[str, Record] = {}
    for path, steps in plan.singles:
        record = Record()
        scope.item = scope.objects[ONCE[path]]
        scope.path = f"{ONCE[path]}/"
        fill_back(record, steps, scope)
        made[path] = record
        edu.groups[path] = [record]
    for chain in plan.chains:
        owner, _, name = chain.edu.rpartition("/")
        items = _chain(chain, scope)
        if items:
            made[owner].groups[name] = items
    return edu


def fill_back(record: Record, steps: Steps, scope: Scope) -> None:
    """Apply `steps` to the current item; the first that gives a value wins."""
    values, given = record.values, scope.item.values
    for source, name in steps.copies:
        if name not in values:
            value = given.get(source)
            if value is not None:
                values[name] = value
    for step in steps.rules:
        if step.name not in values:
            value = step.give(scope)
            if value is not None:
                values[step.name] = value


def _chain(chain: BackChain, scope: Scope) -> list[Record]:
    owner = scope.objects[CASE if chain.edu.startswith("noarksak/") else POST]
    base = CASE if chain.edu.startswith("noarksak/") else POST
    outer = owner.groups.get(chain.names[0], [])
    flat: list[tuple[tuple[Record, str], ...]] = []
    for position, first in enumerate(outer, 1):
        path = f"{base}/{chain.names[0]}" + (f"[{position}]/" if len(outer) > 1 else "/")
        if len(chain.names) == 1:
            flat.append(((first, path),))
            continue
        inner = first.groups.get(chain.names[1], [])
        for number, second in enumerate(inner, 1):
            below = f"{path}{chain.names[1]}" + (f"[{number}]/" if len(inner) > 1 else "/")
            flat.append(((first, path), (second, below)))
    if chain.edu == f"{JOURNPOST}/{DOKUMENT}":
        scope.numbers = assign_numbers(
            [levels[0][0].values.get("dokumentnummer") for levels in flat]
        )
    items: list[Record] = []
    for position, levels in enumerate(flat, 1):
        scope.position = position
        item = Record()
        for (record, path), steps in zip(levels, chain.steps, strict=True):
            scope.item, scope.path = record, path
            fill_back(item, steps, scope)
        items.append(item)
    for other in chain.others:
        _apply_other(other, items, owner, base, scope)
    scope.position = 1
    return items


def _apply_other(
    other: BackOther, items: Sequence[Record], owner: Record, base: str, scope: Scope
) -> None:
    sources = owner.groups.get(other.name, [])
    if not sources:
        return
    for position, item in enumerate(items):
        if not other.pair:
            number = 0
        elif len(sources) == len(items):
            number = position
        elif position == 0:
            number = 0
        else:
            break
        scope.item = sources[number]
        scope.path = f"{base}/{other.name}" + (f"[{number + 1}]/" if len(sources) > 1 else "/")
        fill_back(item, other.steps, scope)
