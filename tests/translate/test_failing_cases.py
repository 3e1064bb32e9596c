"""Where the predecessor crashed: the sensible outcome, and never a bare exception."""

from __future__ import annotations

import pytest
from lxml import etree
from support_translate import FACTS, FILES, melding

from gateway.errors import TranslationImpossible
from gateway.model import Loss, Outcome
from gateway.translate import ToArkivmelding, load_mapping, to_arkivmelding, to_melding

FAITHFUL = load_mapping()
_DOKUMENT = (
    "<dokument>{numbers}<dbTittel>Brev</dbTittel><fil><base64>{content}</base64></fil>"
    "<veFilnavn>{name}</veFilnavn><veMimeType>{mime}</veMimeType></dokument>"
)


def dokument(
    name: str = "brev.pdf",
    content: str = "aGVp",
    mime: str = "application/pdf",
    numbers: str = "<dlRnr>1</dlRnr>",
) -> str:
    return _DOKUMENT.format(name=name, content=content, mime=mime, numbers=numbers)


def letter(journpost: str = "", noarksak: str = "", documents: str | None = None) -> str:
    return (
        '<Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types"><journpost xmlns="">'
        f"<jpInnhold>Tittel</jpInnhold>{journpost}"
        f"{dokument() if documents is None else documents}</journpost>"
        f'<noarksak xmlns=""><saTittel>Sak</saTittel>{noarksak}</noarksak></Melding>'
    )


def send(xml: str) -> ToArkivmelding:
    return to_arkivmelding(melding(xml), FACTS, FAITHFUL)


def text(root: etree._Element, name: str) -> str | None:
    return root.findtext(f".//{{*}}{name}")


def loss(losses: tuple[Loss, ...], path: str) -> Loss:
    found = [one for one in losses if one.path == path]
    assert found, f"{path} is not in {[one.path for one in losses]}"
    return found[0]


@pytest.mark.parametrize("bad", ["abc", " 5", "5 ", "1.0", "2016/1", "1e3", "  "])
def test_an_unreadable_integer_is_left_out_and_named(bad: str) -> None:
    result = send(letter(noarksak=f"<saSaar>{bad}</saSaar>"))
    assert text(result.root, "saksaar") is None
    if bad.strip():
        named = loss(result.losses, "noarksak/saSaar")
        assert (named.outcome, named.kind, named.value) == (Outcome.LOST, "integer", bad)


@pytest.mark.parametrize(
    ("given", "day"),
    [
        ("20160125", "2016-01-25"),
        ("25.01.2016", "2016-01-25"),
        (" 2016-01-25\n", "2016-01-25"),
    ],
)
def test_a_date_in_another_form_is_repaired(given: str, day: str) -> None:
    result = send(letter(noarksak=f"<saDato>{given}</saDato>"))
    assert text(result.root, "saksdato") == day
    assert text(result.root, "tidspunkt") == f"{day}T00:00:00"
    assert Outcome.REPAIRED in {
        one.outcome for one in result.losses if one.path == "noarksak/saDato"
    }


@pytest.mark.parametrize("bad", ["2016", "2016-01", "--01-25", "2016-02-30", "0000-01-01", "x"])
def test_an_unreadable_date_is_left_out_and_named(bad: str) -> None:
    result = send(letter(journpost=f"<jpJdato>{bad}</jpJdato>"))
    assert text(result.root, "journaldato") is None
    assert loss(result.losses, "journpost/jpJdato").kind == "date"


def test_documents_without_number_get_their_position_skipping_those_in_use() -> None:
    documents = "".join(
        dokument(f"{n}.pdf", numbers=number)
        for n, number in enumerate(["", "<dlRnr>1</dlRnr>", "<dlRnr/>", "<dlRnr>x</dlRnr>"])
    )
    result = send(letter(documents=documents))
    numbers = [node.text for node in result.root.iter("{*}dokumentnummer")]
    assert numbers == ["2", "1", "3", "4"]


def test_missing_noarksak_is_told_in_the_predecessors_words() -> None:
    xml = letter().partition("<noarksak")[0] + "</Melding>"
    with pytest.raises(TranslationImpossible) as caught:
        send(xml)
    assert caught.value.receipt.messages[0].code == "Unknown"
    assert caught.value.text == (
        f"No Noarksak in MeldingType for message {FACTS.conversation_id}, aborting conversion"
    )


def test_missing_journpost_is_told_in_the_predecessors_words() -> None:
    with pytest.raises(TranslationImpossible) as caught:
        send("<Melding><noarksak><saTittel>Sak</saTittel></noarksak></Melding>")
    assert caught.value.text.startswith("No Journpost in MeldingType for message")


def test_duplicate_names_are_all_listed() -> None:
    with pytest.raises(TranslationImpossible) as caught:
        send(letter(documents=dokument("a") + dokument("b") + dokument("a")))
    assert caught.value.text == "Found duplicate filenames in message: a, a"


@pytest.mark.parametrize("content", ["", "  "])
def test_an_empty_document_is_refused_by_name(content: str) -> None:
    with pytest.raises(TranslationImpossible) as caught:
        send(letter(documents=dokument("ok.pdf") + dokument("tomt.pdf", content)))
    assert "Dokument 2" in caught.value.text
    assert "tomt.pdf" in caught.value.text


def test_an_undecodable_document_is_refused_by_name() -> None:
    given = melding(letter())
    node = next(given.root.iter("base64"))
    node.attrib.clear()
    node.set("problem", "undecodable")
    with pytest.raises(TranslationImpossible, match="usable content") as caught:
        to_arkivmelding(given, FACTS, FAITHFUL)
    assert caught.value.text == 'Dokument 1 "brev.pdf" har innhold som ikke er gyldig base64'


def test_a_document_without_fil_is_refused_by_name() -> None:
    with pytest.raises(TranslationImpossible) as caught:
        send(letter(documents="<dokument><veFilnavn>uten.pdf</veFilnavn></dokument>"))
    assert caught.value.text == 'Dokument 1 "uten.pdf" mangler innhold (fil/base64)'


def test_a_missing_name_is_made_from_title_and_type() -> None:
    result = send(letter(documents=dokument(name="")))
    assert [one.filename for one in result.documents] == ["Brev.pdf"]
    assert text(result.root, "referanseDokumentfil") == "Brev.pdf"
    named = loss(result.losses, "journpost/dokument/veFilnavn")
    assert named.outcome is Outcome.DEFAULTED


def test_an_empty_mime_type_follows_the_extension() -> None:
    result = send(letter(documents=dokument("notat.docx", mime="")))
    assert result.documents[0].mime_type.endswith("wordprocessingml.document")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("arkivmelding.xml", "vedlegg-arkivmelding.xml"),
        ("Manifest.xml", "vedlegg-Manifest.xml"),
        ("mimetype", "vedlegg-mimetype"),
        ("META-INF/manifest.xml", "META-INF_manifest.xml"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\temp\\brev.pdf", "C__temp_brev.pdf"),
        ("..", "dokument"),
        ("nul.txt", "vedlegg-nul.txt"),
        ("linje\nskift.pdf", "linje_skift.pdf"),
        ("æøå rapport.pdf", "æøå rapport.pdf"),
    ],
)
def test_names_are_safe_in_a_package(given: str, expected: str) -> None:
    result = send(letter(documents=dokument(given)))
    assert result.documents[0].filename == expected
    assert text(result.root, "referanseDokumentfil") == expected
    changed = [one for one in result.losses if one.path == "journpost/dokument/veFilnavn"]
    assert bool(changed) == (given != expected)


def test_names_that_differ_in_case_only_become_two_files() -> None:
    result = send(letter(documents=dokument("a.pdf") + dokument("A.PDF")))
    assert [one.filename for one in result.documents] == ["a.pdf", "A-2.PDF"]


def test_qualified_children_are_accepted() -> None:
    result = send(letter().replace(' xmlns=""', ""))
    assert text(result.root, "tittel") == "Sak"


def test_nested_journpost_files_are_not_sent_but_named() -> None:
    nested = f"<journpost><jpInnhold>Indre</jpInnhold>{dokument('indre.pdf')}</journpost>"
    result = send(letter(noarksak=nested))
    assert [one.filename for one in result.documents] == ["brev.pdf"]
    paths = {one.path for one in result.losses}
    assert {"noarksak/journpost/jpInnhold", "noarksak/journpost/dokument/fil/base64"} <= paths


def test_a_comment_in_a_value_does_not_cut_it() -> None:
    result = send(letter(noarksak="<saOfftittel>En<!-- x --> tittel</saOfftittel>"))
    assert text(result.root, "offentligTittel") == "En tittel"


# --- incoming -------------------------------------------------------------------------


def arkivmelding(post: str = "", case: str = "", file: str = "b.pdf") -> etree._Element:
    return etree.fromstring(
        '<arkivmelding xmlns="http://www.arkivverket.no/standarder/noark5/arkivmelding" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><mappe xsi:type="saksmappe">'
        '<tittel>Sak</tittel><basisregistrering xsi:type="journalpost"><dokumentbeskrivelse>'
        f"<tittel>D</tittel><dokumentobjekt><referanseDokumentfil>{file}</referanseDokumentfil>"
        f"</dokumentobjekt></dokumentbeskrivelse><tittel>T</tittel>{post}</basisregistrering>"
        f"{case}</mappe></arkivmelding>".encode()
    )


def test_a_missing_dokumentnummer_becomes_the_position() -> None:
    result = to_melding(arkivmelding(), FILES, FACTS, FAITHFUL)
    assert result.melding.root.findtext(".//dlRnr") == "1"


@pytest.mark.parametrize("kind", ["", "<korrespondanseparttype>Tull</korrespondanseparttype>"])
def test_an_unknown_party_type_becomes_receiver(kind: str) -> None:
    post = (
        f"<korrespondansepart>{kind}<korrespondansepartNavn>N</korrespondansepartNavn>"
        "</korrespondansepart>"
    )
    result = to_melding(arkivmelding(post), FILES, FACTS, FAITHFUL)
    assert result.melding.root.findtext(".//amIhtype") == "1"
    path = "mappe/basisregistrering/korrespondansepart/korrespondanseparttype"
    assert loss(result.losses, path).outcome in (Outcome.DEFAULTED, Outcome.CHANGED)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(TranslationImpossible) as caught:
        to_melding(arkivmelding(file="borte.pdf"), FILES, FACTS, FAITHFUL)
    assert caught.value.text == "File borte.pdf is missing from ASiC"


def test_further_journal_posts_are_in_the_report() -> None:
    root = arkivmelding()
    case = root[0]
    case.append(etree.fromstring(etree.tostring(case[1])))
    result = to_melding(root, FILES, FACTS, FAITHFUL)
    assert any("basisregistrering[2]/tittel" in one.path for one in result.losses)


def test_a_legal_basis_on_the_journal_post_is_read_by_default() -> None:
    """The predecessor lost it (mapping 8, B3)."""
    post = (
        "<skjerming><tilgangsrestriksjon>X</tilgangsrestriksjon>"
        "<skjermingshjemmel>Offl. § 13</skjermingshjemmel></skjerming>"
    )
    result = to_melding(arkivmelding(post), FILES, FACTS, FAITHFUL)
    assert result.melding.root.findtext(".//jpUoff") == "Offl. § 13"
    off = load_mapping(switches={"read_shielding_from_journalpost": False})
    assert to_melding(arkivmelding(post), FILES, FACTS, off).melding.root.find(".//jpUoff") is None
