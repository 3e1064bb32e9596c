"""EDU to arkivmelding."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from gateway.arkivmelding import write_noark5
from gateway.edu.noark4 import DOKUMENT, JOURNPOST, NOARKSAK, read_noark4
from gateway.errors import TranslationImpossible
from gateway.model import Document, Loss, Melding
from gateway.record import Record
from gateway.translate.building import build_out
from gateway.translate.difference import Difference, compare
from gateway.translate.documents import assign_numbers, collect_documents
from gateway.translate.losses import losses_beside, losses_out
from gateway.translate.mapping import Mapping
from gateway.translate.reading import build_back
from gateway.translate.rest import add_rest
from gateway.translate.scope import Facts, Scope
from gateway.translate.stencil import Sheet, Way


@dataclass(frozen=True, slots=True)
class ToArkivmelding:
    """`documents` in the letter's order, named as ``referanseDokumentfil`` names them.

    `xml` is ``arkivmelding.xml`` as it lies in the package. `problems` are documents that
    could not be sent; only when they were not required.
    """

    xml: bytes
    documents: tuple[Document, ...]
    losses: tuple[Loss, ...]
    problems: tuple[str, ...] = ()

    @property
    def root(self) -> etree._Element:
        """The same as a tree, a new one at each call."""
        return etree.fromstring(self.xml, _OWN)


_OWN = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
"""For text that we have just written ourselves."""


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

    def run(root: etree._Element, facts: Facts, _: object) -> Sheet:
        return _translate(Melding(root, melding.contents), facts, mapping, sending)

    way = Way(run, (sending, *melding.contents))
    sheet = mapping.out_stencils.translate(melding.root, facts, way)
    documents = tuple([
        Document(name or "", mime_type or "", melding.contents[ref or ""], title)
        for ref, name, mime_type, title in sheet.rows
    ])  # fmt: skip
    return ToArkivmelding(sheet.xml.encode(), documents, sheet.losses, sheet.problems)


def _translate(melding: Melding, facts: Facts, mapping: Mapping, sending: bool) -> Sheet:
    record, files = read_noark4(melding.root, mapping.edu_schema)
    objects = _objects(record, facts)
    scope = Scope(facts, objects)
    dokumenter = objects[JOURNPOST].groups.get(DOKUMENT, [])
    documents = collect_documents(
        dokumenter, files, melding.contents, scope, mapping.file_types, sending
    )
    scope.count = len(dokumenter)
    scope.numbers = assign_numbers([dokument.values.get("dlRnr") for dokument in dokumenter])
    scope.filenames = documents.filenames
    am = build_out(mapping.out_root, mapping.out, scope)
    differences = read_back(am, scope, mapping)
    losses = list(losses_out(differences, mapping))
    if mapping.profile.carry_rest:
        add_rest(am, differences[NOARKSAK], differences[JOURNPOST])
    return Sheet(
        write_noark5(am, mapping.am_schema),
        (*scope.notes, *losses, *losses_beside(record)),
        tuple(documents.rows),
        tuple(documents.problems),
    )


def read_back(am: Record, scope: Scope, mapping: Mapping) -> dict[str, Difference]:
    """What a good receiver cannot read out of `am`, for noarksak and journpost."""
    case = am.groups["mappe"][0]
    reader = Scope(
        scope.facts,
        {"mappe": case, "mappe/basisregistrering": case.groups["basisregistrering"][0]},
    )
    back = build_back(mapping.reading_back, reader)
    return {
        name: compare(
            scope.objects[name], back.groups[name][0], name, scope.kept, scope.facts.watch
        )
        for name in (NOARKSAK, JOURNPOST)
    }


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
