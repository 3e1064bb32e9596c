"""arkivmelding to EDU."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from gateway.arkivmelding import read_noark5
from gateway.edu.noark4 import DOKUMENT, JOURNPOST, write_noark4
from gateway.errors import TranslationImpossible
from gateway.model import Content, Document, Loss, Melding
from gateway.record import Record
from gateway.translate.compiled import BackChain, BackOther, BackPlan, Step
from gateway.translate.documents import assign_numbers
from gateway.translate.mapping import Mapping
from gateway.translate.scope import Facts, Scope

CASE = "mappe"
POST = "mappe/basisregistrering"


@dataclass(frozen=True, slots=True)
class ToMelding:
    """The letter for the archive. Its contents are those of the documents given."""

    melding: Melding
    losses: tuple[Loss, ...]


def to_melding(
    root: etree._Element,
    documents: MappingOf[str, Document],
    facts: Facts,
    mapping: Mapping,
    *,
    delivering: bool = True,
) -> ToMelding:
    """Translate a received arkivmelding; `documents` are the package's, by file name.

    Raises `TranslationImpossible` when there is no saksmappe with a journalpost, or, when
    `delivering`, when a document that it names is not there. With `delivering` off only
    the metadata are translated and missing documents are left empty.
    """
    am = read_noark5(root, mapping.am_schema)
    objects = find_objects(am, mapping)
    scope = Scope(facts, objects)
    references = _references(objects[POST])
    if delivering:
        _require_files(references, documents)
    edu = build_back(mapping.back, scope)
    contents: dict[str, Content] = {}
    refs: list[str | None] = []
    for number, name in enumerate(references, 1):
        document = documents.get(name) if name is not None else None
        if document is None:
            refs.append(None)
        else:
            refs.append(f"dokument-{number}")
            contents[f"dokument-{number}"] = document.content
    return ToMelding(
        Melding(write_noark4(edu, refs, mapping.edu_schema), contents), tuple(scope.notes)
    )


def find_objects(am: Record, mapping: Mapping) -> dict[str, Record]:
    """The case and its journal post, as mapping 4.1 finds them."""
    case = _first(am.groups.get("mappe"), "saksmappe")
    if case is None:
        raise TranslationImpossible(
            "the arkivmelding has no saksmappe",
            peer_text='No "Saksmappe" found in Arkivmelding',
        )
    post = _first(case.groups.get("basisregistrering"), "journalpost")
    if post is None:
        raise TranslationImpossible(
            "the saksmappe has no journalpost",
            peer_text='No "Journalpost" found in Arkivmelding',
        )
    return {CASE: case, POST: post}


def _first(records: Sequence[Record] | None, type: str) -> Record | None:
    return next((record for record in records or () if record.type == type), None)


def _references(post: Record) -> list[str | None]:
    return [
        objekt.values.get("referanseDokumentfil")
        for beskrivelse in post.groups.get("dokumentbeskrivelse", ())
        for objekt in beskrivelse.groups.get("dokumentobjekt", ())
    ]


def _require_files(references: Sequence[str | None], documents: MappingOf[str, Document]) -> None:
    for number, name in enumerate(references, 1):
        if not name:
            raise TranslationImpossible(
                f"dokumentobjekt {number} has no referanseDokumentfil",
                peer_text=f"Dokument {number} mangler referanseDokumentfil",
            )
        if name not in documents:
            raise TranslationImpossible(
                f"referanseDokumentfil of document {number} is not in the package",
                peer_text=f"File {name} is missing from ASiC",
            )


def build_back(plan: BackPlan, scope: Scope) -> Record:
    """The Melding as a record, without files."""
    edu = Record()
    made: dict[str, Record] = {}
    for path, steps in plan.singles:
        record = Record()
        scope.path = ""
        scope.item = record
        scope.path = f"{_AM_OF[path]}/"
        fill_back(record, steps, scope)
        made[path] = record
        edu.groups[path] = [record]
    for chain in plan.chains:
        owner, _, name = chain.edu.rpartition("/")
        items = _chain(chain, scope)
        if items:
            made[owner].groups[name] = items
    return edu


_AM_OF = {"noarksak": CASE, "journpost": POST}


def fill_back(record: Record, steps: Sequence[Step], scope: Scope) -> None:
    """Apply `steps` to the current item; the first that gives a value wins."""
    values = record.values
    for step in steps:
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
