"""Letters that a modern Integrasjonspunkt made from KS SvarInn (mapping 4.4)."""

from __future__ import annotations

import pytest
from lxml import etree
from support_translate import FACTS

from gateway.model import Outcome
from gateway.translate import load_mapping, to_melding

_LETTER = """
<arkivmelding xmlns="http://www.arkivverket.no/standarder/noark5/arkivmelding"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <antallFiler>0</antallFiler>
  <mappe xsi:type="saksmappe">
    <saksaar>2026</saksaar>
    <basisregistrering xsi:type="journalpost">
      <tittel>Svar på henvendelse</tittel>
      <dokumentbeskrivelse>
        <systemID>1</systemID><tittel>brev.pdf</tittel>
        <dokumentobjekt><referanseDokumentfil>brev.pdf</referanseDokumentfil></dokumentobjekt>
      </dokumentbeskrivelse>
      <dokumentbeskrivelse>
        <systemID>2</systemID><tittel>kart.pdf</tittel>
        <dokumentobjekt><referanseDokumentfil>kart.pdf</referanseDokumentfil></dokumentobjekt>
      </dokumentbeskrivelse>
      <korrespondansepart>
        <korrespondanseparttype>Avsender</korrespondanseparttype>
        <korrespondansepartNavn>Storevik kommune</korrespondansepartNavn>
      </korrespondansepart>
      <journalaar>2026</journalaar>
      <journalsekvensnummer>0</journalsekvensnummer>
      <journalpostnummer>0</journalpostnummer>
      <journaldato>2026-03-21+01:00</journaldato>
    </basisregistrering>
  </mappe>
</arkivmelding>"""


def _translated(*, repairs: bool):
    mapping = load_mapping(switches={"svarinn_repairs": repairs})
    return to_melding(etree.fromstring(_LETTER), {}, FACTS, mapping, delivering=False)


def _texts(root: etree._Element, name: str) -> list[str | None]:
    return [node.text for node in root.iter(name)]


@pytest.mark.parametrize(
    ("name", "bare", "repaired"),
    [
        ("saTittel", [], ["Svar på henvendelse"]),
        ("jpJaar", ["2026"], ["2026"]),
        ("jpSeknr", ["0"], []),
        ("jpJpostnr", ["0"], []),
        ("jpJdato", ["2026-03-21+01:00"], ["2026-03-21"]),
        ("amOrgnr", [], [FACTS.sender_orgnr]),
        ("dlType", ["H", "H"], ["H", "V"]),
        ("dlRnr", ["1", "2"], ["1", "2"]),
    ],
)
def test_what_svarinn_does_not_say(name: str, bare: list[str], repaired: list[str]) -> None:
    assert _texts(_translated(repairs=False).melding.root, name) == bare
    assert _texts(_translated(repairs=True).melding.root, name) == repaired


def test_repairs_are_told() -> None:
    told = {loss.path: loss.outcome for loss in _translated(repairs=True).losses}
    post = "mappe/basisregistrering"
    assert told[f"{post}/journaldato"] == Outcome.CHANGED
    assert told[f"{post}/journalsekvensnummer"] == Outcome.LOST
    assert told["mappe/saTittel"] == Outcome.DEFAULTED
