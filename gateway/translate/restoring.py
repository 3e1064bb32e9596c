"""Uses a rest block only where it agrees with the arkivmelding around it (mapping 7.3).

A carried value counts when translating it forward gives what the arkivmelding says.
Where somebody changed a field on the way, the changed field wins.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.edu.noark4 import DOKUMENT, JOURNPOST, NOARKSAK
from gateway.model import Loss, Outcome
from gateway.record import Record
from gateway.translate.building import build_out
from gateway.translate.difference import Difference
from gateway.translate.documents import assign_numbers, package_names
from gateway.translate.homes import REST
from gateway.translate.mapping import Mapping as Translation
from gateway.translate.rest import BLOCK, apply_rest
from gateway.translate.scope import Facts, Scope, Watch

_POSITION = re.compile(r"\[\d+\]")
_ROUNDS = 8


def forward(edu: Record, facts: Facts, mapping: Translation, filenames: Sequence[str]) -> Scope:
    """A scope for translating `edu` forward, as the check and the loss report do."""
    scope = Scope(facts, {NOARKSAK: edu.groups[NOARKSAK][0], JOURNPOST: edu.groups[JOURNPOST][0]})
    dokumenter = scope.objects[JOURNPOST].groups.get(DOKUMENT, [])
    scope.count = len(dokumenter)
    scope.numbers = assign_numbers([dokument.values.get("dlRnr") for dokument in dokumenter])
    scope.filenames = [
        filenames[number] if number < len(filenames) else None for number in range(len(dokumenter))
    ]
    return scope


def refused_fields(
    edu: Record,
    rests: Mapping[str, Difference],
    am: Record,
    objects: Mapping[str, Record],
    facts: Facts,
    mapping: Translation,
) -> set[str]:
    """Paths of carried fields that do not agree; `edu` is what stands without the rest."""
    refused: set[str] = set()
    carried = {path for name, rest in rests.items() for path, _ in _paths(rest, name)}
    facts = senders_facts(am, facts)
    for _ in range(_ROUNDS):
        tried = _copy(edu)
        for name, rest in rests.items():
            apply_rest(tried.groups[name][0], rest, name, refused)
        dokumenter = tried.groups[JOURNPOST][0].groups.get(DOKUMENT, [])
        scope = forward(tried, facts, mapping, package_names(dokumenter, mapping.file_types))
        scope.origins = []
        build_out(mapping.out_root, mapping.out, scope)
        new = (
            _disagreeing(scope.origins, objects, mapping, carried, facts.watch) & carried
        ) - refused
        if not new:
            break
        refused |= new
    return refused


def refusals(rests: Mapping[str, Difference], refused: set[str]) -> Iterator[Loss]:
    """The refused values as losses."""
    for name, rest in rests.items():
        owner = "mappe" if name == NOARKSAK else "mappe/basisregistrering"
        for path, value in _paths(rest, name):
            if path in refused and value is not None:
                inner = path.partition("/")[2]
                yield Loss(
                    f"{owner}/{REST}/{BLOCK}/{inner}",
                    Outcome.LOST,
                    "text",
                    "the field it belongs to was changed on the way",
                    None,
                    value,
                )


def _paths(rest: Difference, path: str) -> Iterator[tuple[str, str | None]]:
    for name, value in rest.values.items():
        yield f"{path}/{name}", value
    for name, parts in rest.groups.items():
        for part in parts:
            position = f"[{part.number}]" if part.total > 1 else ""
            yield from _paths(part.difference, f"{path}/{name}{position}")


def senders_facts(am: Record, facts: Facts) -> Facts:
    """The facts at the sender, as far as the arkivmelding tells: fillings depend on them."""
    now = facts.now
    try:
        stated = datetime.fromisoformat(am.values.get("tidspunkt", ""))
        now = stated if stated.tzinfo is not None else now
    except ValueError:
        pass  # an odd time says nothing of when the letter was made
    return replace(
        facts,
        now=now,
        system=am.values.get("system", facts.system),
        conversation_id=am.values.get("meldingId", facts.conversation_id),
    )


def _disagreeing(
    origins: Sequence[tuple[str, str, Record]],
    objects: Mapping[str, Record],
    mapping: Translation,
    carried: set[str],
    watch: Watch | None,
) -> set[str]:
    made: dict[str, list[tuple[str, Record]]] = {}
    for am_path, origin, record in origins:
        made.setdefault(am_path, []).append((origin, record))
    found: set[str] = set()
    for plan in mapping.out.all():
        there = _instances(plan.am, objects)
        here = made.get(plan.am, [])
        if len(here) != len(there):
            names = {
                f"{plan.edu}/{name}"
                for step in plan.steps.all
                for _, name in mapping.links.get((plan.am, _target(step.wrapper, step.name)), ())
            }
            found |= {path for path in carried if _POSITION.sub("", path) in names}
            continue
        for (origin, ours), theirs in zip(here, there, strict=True):
            for step in plan.steps.all:
                target = _target(step.wrapper, step.name)
                if not _agree(ours, theirs, step.wrapper, step.name, watch):
                    for each, name in mapping.links.get((plan.am, target), ()):
                        found.add(origin + name if each else name)
    return found


def _target(wrapper: str | None, name: str) -> str:
    return f"{wrapper}/{name}" if wrapper else name


def _instances(path: str, objects: Mapping[str, Record]) -> list[Record]:
    for owner in sorted(objects, key=len, reverse=True):
        if path == owner:
            return [objects[owner]]
        if path.startswith(owner + "/"):
            found = [objects[owner]]
            for name in path[len(owner) + 1 :].split("/"):
                found = [inner for record in found for inner in record.groups.get(name, ())]
            return found
    return []


def _agree(
    ours: Record, theirs: Record, wrapper: str | None, name: str, watch: Watch | None
) -> bool:
    mine, other = _value(ours, wrapper, name), _value(theirs, wrapper, name)
    if watch is not None and mine != other and isinstance(mine, str) and isinstance(other, str):
        watch.compared[mine, other] = None
    if mine == other or (name == "systemID" and _derived(mine) and _derived(other)):
        return True
    return not (mine or other)


def _derived(values: str | list[str] | None) -> bool:
    """An id that some sender of our kind made; it depends on facts we may not have."""
    if not isinstance(values, str):
        return False
    try:
        return uuid.UUID(values).version == 5
    except ValueError:
        return False


def _value(record: Record, wrapper: str | None, name: str) -> str | list[str] | None:
    if wrapper is not None:
        inner = record.group(wrapper)
        if inner is None:
            return None
        record = inner
    return record.repeats.get(name) or record.values.get(name)


def _copy(record: Record) -> Record:
    made = Record(record.type)
    made.values = dict(record.values)
    made.groups = {
        name: [_copy(inner) for inner in records] for name, records in record.groups.items()
    }
    return made
