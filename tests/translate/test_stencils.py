"""Messages of a known form: filled in from a stencil, and no different for it."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from support_translate import FACTS, FILES, melding

from gateway.model import Document
from gateway.translate import (
    Mapping,
    ToArkivmelding,
    ToMelding,
    load_mapping,
    stencil,
    to_arkivmelding,
    to_melding,
)

_MAPPINGS = {
    "faithful": load_mapping("faithful"),
    "rich": load_mapping("rich"),
    "corrected": load_mapping(switches=dict.fromkeys(load_mapping("faithful").switches, True)),
}
_ORDINARY = {
    name: replace(one, out_stencils=stencil.Stencils(one.questions),
                  back_stencils=stencil.Stencils(one.questions))
    for name, one in _MAPPINGS.items()
}  # fmt: skip

# Few values, so that those of one letter are often equal, and often odd.
_VALUES = (
    *("Svar på søknad", "Svar", "A & B <c>", "to\nlinjer", " luft ", "Avsender", "H", "J", "U"),
    *("0", "1", "2", "7", "42", "007", "+3", "2026", "4711", "123456789012345678901"),
    *("2026-01-31", "2026-07-01", "0001-01-01", "20260131", "31.01.2026", "2026-02-30"),
    *("2026-01-31T00:00:00+01:00", "2026-01-31T12:30:00.000+01:00", "2026-07-01T00:00:00"),
    *("6e9cab22-a682-461c-bcd4-f201bfb3de8c", "6E9CAB22-A682-461C-BCD4-F201BFB3DE8C"),
    *("2026/471", "2026/472", "p360", "991825827", "Offl. § 13", "BU", "application/pdf"),
)
_SINGLE = {
    "journpost": "jpId jpJaar jpSeknr jpJpostnr jpJdato jpNdoktype jpDokdato jpStatus jpInnhold"
    " jpForfdato jpTgkode jpUoff jpAgdato jpArkdel jpAntved jpSaar jpSaseknr jpOffinnhold ukjent",
    "noarksak": "saId saSaar saSeknr saPapir saDato saTittel saStatus saArkdel saJenhet saTgkode"
    " saUoff saOfftittel saAdmkort saAdmbet saAnsvinit saAnsvnavn",
}
_REPEATED = {
    "journpost/avsmot": "amIhtype amNavn amKortnavn amAdresse amPostnr amKopimot amAvskm"
    " amAvskdato amAvsavdok amSbhinit amEpostadr",
    "journpost/dokument": "dlRnr dlType dbTittel dbStatus veVariant veDokformat veMimeType",
    "noarksak/sakspart": "spId spNavn spKortnavn spAdresse",
    "journpost/tilleggsinfo": "tiItype tiTgkode tiTekst",
}


@st.composite
def _forms(draw: st.DrawFn) -> list[tuple[str, ...]]:
    """The fields of a letter, in the order of the letter."""
    single = [(owner, name) for owner, names in _SINGLE.items() for name in names.split()]
    fields: list[tuple[str, ...]] = [
        *draw(st.lists(st.sampled_from(single), unique=True, max_size=14))
    ]
    for path, names in _REPEATED.items():
        owner, group = path.split("/")
        for number in range(draw(st.integers(0, 2))):
            some = draw(st.lists(st.sampled_from(names.split()), unique=True, max_size=4))
            fields += [(owner, group, str(number), name) for name in some]
            if group == "dokument":
                fields.append((owner, group, str(number), "veFilnavn"))
    return fields


def _letter(form: list[tuple[str, ...]], values: list[str]) -> str:
    root = etree.Element("Melding")
    made = {(name,): etree.SubElement(root, name) for name in ("journpost", "noarksak")}
    for path, value in zip(form, values, strict=True):
        owner = made[path[:1]]
        if len(path) > 2:
            if path[:3] not in made:
                made[path[:3]] = etree.SubElement(owner, path[1])
                if path[1] == "dokument":
                    fil = etree.SubElement(made[path[:3]], "fil")
                    etree.SubElement(fil, "base64").text = "aGVp"
            owner = made[path[:3]]
        etree.SubElement(owner, path[-1]).text = value
    return etree.tostring(root, encoding="unicode")


def _values(form: list[tuple[str, ...]], say: random.Random) -> list[str]:
    values = []
    for path in form:
        if path[-1] == "veFilnavn":
            stem = say.choice(["Svar på søknad", "vedlegg 1", "2026-01-31", "a"])
            values.append(f"{stem}{path[2]}{say.choice(['.pdf', '.docx'])}")
        else:
            values.append(say.choice(_VALUES))
    return values


def _out(xml: str, mapping: Mapping) -> ToArkivmelding:
    return to_arkivmelding(melding(xml), FACTS, mapping, sending=False)


def _back(xml: bytes, files: dict[str, Document], mapping: Mapping) -> ToMelding:
    return to_melding(etree.fromstring(xml), files, FACTS, mapping, delivering=False)


def _tampered(xml: bytes, say: random.Random) -> bytes:
    """With one value changed on the way, now and then to that of another field."""
    root = etree.fromstring(xml)
    leaves = [node for node in root.iter() if not len(node) and node.text]
    if say.random() < 0.5 and leaves:
        say.choice(leaves).text = say.choice([say.choice(_VALUES), say.choice(leaves).text])
    return etree.tostring(root)


@given(_forms(), st.integers(0, 2**32), st.sampled_from(sorted(_MAPPINGS)))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_filled_in_or_not_the_translation_is_the_same(
    form: list[tuple[str, ...]], seed: int, profile: str
) -> None:
    say = random.Random(seed)
    mapping, ordinary = _MAPPINGS[profile], _ORDINARY[profile]
    values = _values(form, say)
    for _ in range(12):
        # One or a few values differ from the letter before.
        for at in say.sample(range(len(form)), min(len(form), say.randrange(4))):
            values[at] = _values(form, say)[at]
        xml = _letter(form, values)
        ordinary.out_stencils.forget()
        made = _out(xml, mapping)
        expected = _out(xml, ordinary)
        assert (made.xml, made.losses, made.problems) == (
            expected.xml,
            expected.losses,
            expected.problems,
        )
        assert [(one.filename, one.mime_type, one.title) for one in made.documents] == [
            (one.filename, one.mime_type, one.title) for one in expected.documents
        ]
        files = {one.filename: one for one in made.documents} if say.random() < 0.8 else FILES
        sent = _tampered(made.xml, say)
        ordinary.back_stencils.forget()
        assert _back(sent, files, mapping) == _back(sent, files, ordinary)
