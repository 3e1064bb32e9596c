"""Builds the arkivmelding record from a Melding, by plan."""

from __future__ import annotations

from gateway.record import Record
from gateway.translate.compiled import OutPlan, Step, Steps
from gateway.translate.scope import Scope


def build_out(root: Steps, plan: OutPlan, scope: Scope) -> Record:
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


def _fill(record: Record, steps: Steps, scope: Scope) -> None:
    values, given = record.values, scope.item.values
    for source, name in steps.copies:
        value = given.get(source)
        if value is not None:
            values[name] = value
    for step in steps.rules:
        if step.wrapper is not None:
            _fill_inside(record, step.wrapper, step, scope)
        elif step.name not in values:
            value = step.give(scope)
            if value is not None:
                _put(record, step, value)


def _fill_inside(record: Record, wrapper: str, step: Step, scope: Scope) -> None:
    inner = record.group(wrapper)
    if inner is None and step.keep_wrapper:
        inner = Record()
        record.groups[wrapper] = [inner]
    if inner is not None and step.name in inner.values:
        return
    value = step.give(scope)
    if value is None:
        return
    if inner is None:
        inner = Record()
        record.groups[wrapper] = [inner]
    _put(inner, step, value)


def _put(record: Record, step: Step, value: str) -> None:
    if step.split is not None and step.split in value:
        parts = value.split(step.split)
        record.repeats[step.name] = parts
        value = parts[0]
    record.values[step.name] = value
