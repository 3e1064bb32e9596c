"""Builds the arkivmelding record from a Melding, by plan."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.record import Record
from gateway.translate.compiled import OutPlan, Step
from gateway.translate.scope import Scope


def build_out(root: Sequence[Step], plan: OutPlan, scope: Scope) -> Record:
    """The arkivmelding as a record."""
    am = Record()
    _fill(am, root, scope)
    scope.item = scope.objects[plan.edu]
    scope.path = f"{plan.edu}/"
    am.groups[plan.name] = [_build(plan, scope)]
    return am


def _build(plan: OutPlan, scope: Scope) -> Record:
    record = Record(plan.xsi_type)
    _fill(record, plan.steps, scope)
    scope.made.setdefault(id(scope.item), {})[plan.am] = record
    if scope.origins is not None:
        scope.origins.append((plan.am, scope.path, record))
    if plan.name == "mappe":
        scope.mappe_id = record.values.get("systemID")
    for child in plan.children:
        if child.same_item:
            made = [_build(child, scope)]
        elif not child.each:
            outer = (scope.item, scope.path)
            scope.item, scope.path = scope.objects[child.edu], f"{child.edu}/"
            made = [_build(child, scope)]
            scope.item, scope.path = outer
        else:
            made = _build_each(child, scope)
        if made:
            record.groups[child.name] = made
    return record


def _build_each(plan: OutPlan, scope: Scope) -> list[Record]:
    owner, _, name = plan.edu.rpartition("/")
    items = scope.objects[owner].groups.get(name)
    if not items:
        return []
    outer = (scope.item, scope.path, scope.position)
    made: list[Record] = []
    flags: list[bool] = []
    for position, item in enumerate(items, 1):
        scope.item, scope.position = item, position
        scope.path = f"{plan.edu}[{position}]/" if len(items) > 1 else f"{plan.edu}/"
        if plan.when is not None:
            passed = plan.when(scope)
            flags.append(passed)
            if not passed:
                continue
        record = _build(plan, scope)
        if not (plan.omit_empty and record.empty):
            made.append(record)
    scope.item, scope.path, scope.position = outer
    if plan.primary and plan.when is not None:
        scope.kept[plan.edu] = flags
    return made


def _fill(record: Record, steps: Sequence[Step], scope: Scope) -> None:
    for step in steps:
        target = record
        if step.wrapper is not None:
            inner = record.groups.get(step.wrapper)
            if inner is not None:
                target = inner[0]
            elif step.keep_wrapper:
                target = Record()
                record.groups[step.wrapper] = [target]
        name = step.name
        if target is not record and name in target.values:
            continue
        if target is record and step.wrapper is None and name in record.values:
            continue
        value = step.give(scope)
        if value is None:
            continue
        if step.wrapper is not None and target is record:
            target = Record()
            record.groups[step.wrapper] = [target]
        if step.split is not None and step.split in value:
            parts = value.split(step.split)
            target.repeats[name] = parts
            value = parts[0]
        target.values[name] = value
