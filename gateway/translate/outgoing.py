"""EDU to arkivmelding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from gateway.arkivmelding import write_noark5
from gateway.edu.noark4 import DOKUMENT, JOURNPOST, NOARKSAK, read_noark4
from gateway.errors import TranslationImpossible
from gateway.model import Document, Loss, Melding
from gateway.record import Record
from gateway.translate.compiled import OutPlan, Step
from gateway.translate.documents import assign_numbers, collect_documents
from gateway.translate.losses import losses_out
from gateway.translate.mapping import Mapping
from gateway.translate.rest import add_rest
from gateway.translate.scope import Facts, Scope


@dataclass(frozen=True, slots=True)
class ToArkivmelding:
    """`documents` in the letter's order, named as ``referanseDokumentfil`` names them.

    `problems` are documents that could not be sent; only when they were not required.
    """

    root: etree._Element
    documents: tuple[Document, ...]
    losses: tuple[Loss, ...]
    problems: tuple[str, ...] = ()


def to_arkivmelding(
    melding: Melding, facts: Facts, mapping: Mapping, *, sending: bool = True
) -> ToArkivmelding:
    """Translate a letter.

    Raises `TranslationImpossible` with the text for the archive when noarksak or
    journpost is missing (bestedu-soap 3.2, M13, M14), and, when `sending`, when a
    document has no usable content (M10, M11) or two have the same name (M9).

    With `sending` off only the metadata are translated, as they stand: such documents
    are named in `problems`, and file names are not made safe for the package.
    """
    record, files = read_noark4(melding.root, mapping.edu_schema)
    objects = _objects(record, facts)
    scope = Scope(facts, objects)
    dokumenter = objects[JOURNPOST].groups.get(DOKUMENT, [])
    documents = collect_documents(dokumenter, files, melding.contents, scope, mapping, sending)
    scope.count = len(dokumenter)
    scope.numbers = assign_numbers([dokument.values.get("dlRnr") for dokument in dokumenter])
    scope.filenames = documents.filenames
    am = build_out(mapping.out_root, mapping.out, scope)
    losses, rest = losses_out(record, am, scope, mapping)
    if rest is None:
        root = write_noark5(am, mapping.am_schema)
    else:
        root = add_rest(am, rest, mapping.am_schema)
    return ToArkivmelding(
        root,
        tuple(documents.documents),
        (*scope.notes, *losses),
        tuple(documents.problems),
    )


def _objects(melding: Record, facts: Facts) -> dict[str, Record]:
    objects: dict[str, Record] = {}
    for name, text in ((NOARKSAK, "Noarksak"), (JOURNPOST, "Journpost")):
        found = melding.group(name)
        if found is None:
            raise TranslationImpossible(
                f"the Melding has no {name}",
                peer_text=f"No {text} in MeldingType for message {facts.conversation_id}, "
                "aborting conversion",
            )
        objects[name] = found
    return objects


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
    made = []
    for position, item in enumerate(items, 1):
        scope.item, scope.position = item, position
        scope.path = f"{plan.edu}[{position}]/" if len(items) > 1 else f"{plan.edu}/"
        if plan.when is not None and not plan.when(scope):
            continue
        record = _build(plan, scope)
        if not (plan.omit_empty and record.empty):
            made.append(record)
    scope.item, scope.path, scope.position = outer
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
