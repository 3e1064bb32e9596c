"""arkivmelding to EDU."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass

from lxml import etree

from gateway.arkivmelding import NAMESPACE, read_noark5
from gateway.edu.noark4 import DOKUMENT, JOURNPOST, NOARKSAK, write_noark4
from gateway.errors import TranslationImpossible
from gateway.model import Content, Document, Loss, Melding
from gateway.record import XSI_NIL, Record
from gateway.translate.building import build_out
from gateway.translate.compiled import Steps
from gateway.translate.difference import Difference
from gateway.translate.losses import losses_in
from gateway.translate.mapping import Mapping
from gateway.translate.reading import CASE, POST, build_back
from gateway.translate.rest import apply_rest, read_rest
from gateway.translate.restoring import forward, refusals, refused_fields, senders_facts
from gateway.translate.scope import Facts, Scope
from gateway.translate.stencil import Sheet, Way


@dataclass(frozen=True, slots=True)
class ToMelding:
    """The letter for the archive: `xml` is the Melding without the documents' content,
    `contents` are those of the documents given."""

    xml: str
    contents: MappingOf[str, Content]
    losses: tuple[Loss, ...]

    @property
    def melding(self) -> Melding:
        """The letter as a tree, a new one at each call."""
        return Melding(etree.fromstring(self.xml, _OWN), self.contents)


_OWN = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
"""For text that we have just written ourselves."""


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

    def run(root: etree._Element, facts: Facts, named: Callable[[str], str]) -> Sheet:
        return _translate(root, {named(name) for name in documents}, facts, mapping, delivering)

    way = Way(run, delivering, documents)
    sheet = mapping.back_stencils.translate(root, facts, way)
    contents = {ref or "": documents[name or ""].content for ref, name in sheet.rows}
    return ToMelding(sheet.xml, contents, sheet.losses)


def _translate(
    root: etree._Element,
    documents: Container[str],
    facts: Facts,
    mapping: Mapping,
    delivering: bool,
) -> Sheet:
    am = read_noark5(root, mapping.am_schema)
    objects = find_objects(am, mapping)
    scope = Scope(facts, objects)
    references = _references(objects[POST])
    if delivering:
        _require_files(references, documents)
    edu = build_back(mapping.back, scope)
    rests = _rests(root, am, mapping)
    refused: set[str] = set()
    if rests:
        refused = refused_fields(edu, rests, am, objects, facts, mapping)
        for name, rest in rests.items():
            apply_rest(edu.groups[name][0], rest, name, refused)
    rows: list[tuple[str, str]] = []
    refs: list[str | None] = []
    for number, filename in enumerate(references, 1):
        if filename is not None and filename in documents:
            refs.append(f"dokument-{number}")
            rows.append((f"dokument-{number}", filename))
        else:
            refs.append(None)
    again = _said_again(am, edu, rests, facts, mapping, references)
    losses = losses_in(am, again, mapping, facts)
    refs += [None] * (_count(edu) - len(refs))
    return Sheet(
        write_noark4(edu, refs, mapping.edu_schema),
        (*scope.notes, *refusals(rests, refused), *losses),
        tuple(rows),
    )


def _said_again(
    am: Record,
    edu: Record,
    rests: MappingOf[str, Difference],
    facts: Facts,
    mapping: Mapping,
    references: Sequence[str | None],
) -> Record:
    """The arkivmelding that the letter still tells of.

    Where a rest block was used, what its sender filled in by rule is no loss either.
    """
    names = [name or "" for name in references]
    if rests:
        scope = forward(edu, senders_facts(am, facts), mapping, names)
        return build_out(mapping.out_root, mapping.out, scope)
    return build_out(Steps(()), mapping.reading_out, forward(edu, facts, mapping, names))


def _count(edu: Record) -> int:
    return len(edu.groups[JOURNPOST][0].groups.get(DOKUMENT, ()))


def _rests(root: etree._Element, am: Record, mapping: Mapping) -> dict[str, Difference]:
    """The rest blocks, when the profile carries them."""
    if not mapping.profile.carry_rest:
        return {}
    case = _nth(root, "mappe", am.groups["mappe"], "saksmappe")
    found = {NOARKSAK: read_rest(case)}
    if case is not None:
        posts = _first(am.groups["mappe"], "saksmappe")
        assert posts is not None
        post = _nth(case, "basisregistrering", posts.groups["basisregistrering"], "journalpost")
        found[JOURNPOST] = read_rest(post)
    return {name: rest for name, rest in found.items() if rest is not None}


def _nth(
    parent: etree._Element, name: str, records: Sequence[Record], type: str
) -> etree._Element | None:
    """The element that the first record of `type` was read from."""
    at = next(number for number, record in enumerate(records) if record.type == type)
    nodes = [
        node
        for node in parent.iterchildren(tag=f"{{{NAMESPACE}}}{name}")
        if node.get(XSI_NIL) not in ("true", "1")
    ]
    return nodes[at]


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


def _require_files(references: Sequence[str | None], documents: Container[str]) -> None:
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
