"""`edu-gateway compare` on folders, end to end."""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from compare_letters import NOW, melding, put_message, record_letters
from lxml import etree

from gateway.certificates import load_keystore
from gateway.cli.compare import command
from gateway.model import AppReceipt, Document, ReceiptType, StatusMessage
from gateway.package import arkivmelding_sbd, build_package, kvittering_sbd
from gateway.spool import FolderSpool

_PACKAGING = Path(__file__).parents[1] / "package" / "fixtures"
_PASSWORD = "changeit"
_AM = "http://www.arkivverket.no/standarder/noark5/arkivmelding"


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(command, ["run", *map(str, arguments)], env=env)


def translated(
    conversation: str, number: int = 1, title: str = "Søknad om skjenkebevilling"
) -> str:
    """What another system could have made of `melding(number)`: other order and prefixes."""
    return f"""<a:arkivmelding xmlns:a="{_AM}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
<a:antallFiler>2</a:antallFiler><a:system>p360</a:system><a:meldingId>{conversation}</a:meldingId>
<a:tidspunkt>2026-10-01T00:00:00</a:tidspunkt><a:mappe i:type="a:saksmappe">
<a:saksaar>2026</a:saksaar><a:sakssekvensnummer>{number}</a:sakssekvensnummer>
<a:systemID>26/{number:05}</a:systemID><a:tittel>Skjenkesaker</a:tittel>
<a:saksdato>2026-10-01+02:00</a:saksdato><a:saksstatus>Under behandling</a:saksstatus>
<a:skjerming><a:skjermingshjemmel>offl. § 13</a:skjermingshjemmel></a:skjerming>
<a:basisregistrering i:type="a:journalpost"><a:tittel>{title}</a:tittel>
<a:offentligTittel>Søknad</a:offentligTittel><a:systemID>{40000 + number}</a:systemID>
<a:journalaar>2026</a:journalaar><a:journalsekvensnummer>{number}</a:journalsekvensnummer>
<a:journalpostnummer>3</a:journalpostnummer><a:journalposttype>Utgående dokument</a:journalposttype>
<a:journalstatus>Journalført</a:journalstatus><a:journaldato>2026-11-02</a:journaldato>
<a:dokumentetsDato>2026-11-01</a:dokumentetsDato>
<a:avskrivning/><a:avskrivning/>
<a:korrespondansepart><a:korrespondanseparttype>Avsender</a:korrespondanseparttype>
<a:korrespondansepartNavn>Fjellbygda kommune</a:korrespondansepartNavn>
<a:postadresse>Storgata 1</a:postadresse></a:korrespondansepart>
<a:korrespondansepart><a:korrespondanseparttype>Mottaker</a:korrespondanseparttype>
<a:korrespondansepartNavn>Havsund kommune</a:korrespondansepartNavn></a:korrespondansepart>
<a:dokumentbeskrivelse><a:tittel>Brev</a:tittel><a:dokumentnummer>1</a:dokumentnummer>
<a:tilknyttetRegistreringSom>Hoveddokument</a:tilknyttetRegistreringSom>
<a:dokumentobjekt><a:variantformat>Produksjonsformat</a:variantformat>
<a:referanseDokumentfil>brev.pdf</a:referanseDokumentfil></a:dokumentobjekt></a:dokumentbeskrivelse>
<a:dokumentbeskrivelse><a:tittel>Kart</a:tittel><a:dokumentnummer>2</a:dokumentnummer>
<a:tilknyttetRegistreringSom>Vedlegg</a:tilknyttetRegistreringSom>
<a:dokumentobjekt><a:variantformat>Produksjonsformat</a:variantformat>
<a:referanseDokumentfil>kart.png</a:referanseDokumentfil></a:dokumentobjekt></a:dokumentbeskrivelse>
</a:basisregistrering></a:mappe></a:arkivmelding>"""


def lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").open(encoding="utf-8")]


def unexplained(out: Path) -> list[tuple[str, str]]:
    return [
        (finding["field"], finding["kind"])
        for line in lines(out)
        for finding in line.get("findings", ())  # type: ignore[attr-defined]
        if finding["rule"] is None
    ]


def test_recorded_letters_against_another_system(tmp_path: Path) -> None:
    ids = record_letters(tmp_path / "recorded", 3)
    other = tmp_path / "other"
    other.mkdir()
    for number, conversation in enumerate(ids, 1):
        (other / f"{conversation}.xml").write_text(translated(conversation, number), "utf-8")
    done = run("--left", other, "--right", tmp_path / "recorded", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "3 messages   0 equal   3 explained   0 different   0 failed" in done.output
    rules = {f["rule"] for line in lines(tmp_path / "out") for f in line["findings"]}  # type: ignore[attr-defined]
    assert rules == {"samme-dag"}
    assert "rules that explained nothing: samme-tall" in done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["summary"]
    # What was seen is what the archive sent, also what no arkivmelding can hold.
    assert summary["seen"]["jpTgkode"] == {"p360": 3}
    assert summary["codes"]["jpNdoktype"] == {"U": 3}


def test_one_wrong_title_is_found_and_the_exit_code_says_so(tmp_path: Path) -> None:
    ids = record_letters(tmp_path / "recorded", 2)
    other = tmp_path / "other"
    other.mkdir()
    for number, conversation in enumerate(ids, 1):
        title = "Søknad om skjenkebevilling" if number == 1 else "Søknad om skjenkeløyve"
        (other / f"{conversation}.xml").write_text(translated(conversation, number, title), "utf-8")
    done = run("--left", other, "--right", tmp_path / "recorded", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert unexplained(tmp_path / "out") == [("jpInnhold", "content differs")]
    assert "jpInnhold" in done.output


def test_documents_are_compared_by_checksum(tmp_path: Path) -> None:
    """A folder per letter on one side, a plain zip on the other, one byte different."""
    first, second = tmp_path / "a" / "brev1", tmp_path / "b"
    first.mkdir(parents=True)
    second.mkdir()
    xml = translated("6f1c0f6e-8c0d-4a7e-9d55-000000000001")
    (first / "arkivmelding.xml").write_text(xml, "utf-8")
    (first / "brev.pdf").write_bytes(b"samme")
    (first / "kart.png").write_bytes(b"kart 1")
    with zipfile.ZipFile(second / "brev1.zip", "w") as archive:
        archive.writestr("arkivmelding.xml", xml)
        archive.writestr("brev.pdf", b"samme")
        archive.writestr("kart.png", b"kart 2")
    done = run("--left", tmp_path / "a", "--right", second, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert unexplained(tmp_path / "out") == [("dokument[2].fil", "content differs")]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["summary"]
    assert summary["documents"] == {"compared": 2, "different": 1, "equal": 1}


def test_melding_against_melding_with_other_envelopes(tmp_path: Path) -> None:
    """Aligned by journal post where conversation ids differ, by file name where both lack."""
    for side, conversation in (("a", "gammel-1"), ("b", "ny-1")):
        (tmp_path / side).mkdir()
        (tmp_path / side / f"{side}.xml").write_text(put_message(melding(1), conversation), "utf-8")
    bare = '<Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types">' + (
        '<journpost xmlns=""><jpInnhold>{}</jpInnhold></journpost></Melding>'
    )
    (tmp_path / "a" / "uten.xml").write_text(bare.format("Uten id"), "utf-8")
    (tmp_path / "b" / "uten.xml").write_text(bare.format("Uten  id"), "utf-8")
    done = run("--left", tmp_path / "a", "--right", tmp_path / "b", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "2 messages   1 equal   1 explained" in done.output


def test_what_our_translation_loses(tmp_path: Path) -> None:
    record_letters(tmp_path / "recorded", 1)
    done = run("--left", tmp_path / "recorded", "--right", "translate", "--out", tmp_path / "out")
    assert done.exit_code == 1
    found = unexplained(tmp_path / "out")
    assert ("jpTgkode", "lost") in found
    assert ("avsmot[2].amOrgnr", "lost") in found
    assert not [field for field, _ in found if field in ("jpNdoktype", "jpStatus", "meldingId")]


def test_recording_that_holds_both_sides(tmp_path: Path) -> None:
    ids = record_letters(tmp_path / "recorded", 1)
    (tmp_path / "recorded" / "old.xml").write_text(translated(ids[0]), "utf-8")
    done = run("--left", tmp_path / "recorded", "--right", "translate", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "1 messages" in done.output


def test_package_against_package(tmp_path: Path) -> None:
    spool = FolderSpool(tmp_path / "spool")
    identity = load_keystore(_PACKAGING / "receiver.p12", _PASSWORD)
    for side, text in (("a", b"samme brev"), ("b", b"annet brev")):
        (tmp_path / side).mkdir()
        documents = []
        xml = translated("6f1c0f6e-8c0d-4a7e-9d55-000000000001").encode()
        for name, data in (("arkivmelding.xml", xml), ("brev.pdf", text), ("kart.png", b"k")):
            writer = spool.create()
            writer.write(data)
            mime_type = "text/xml" if name.endswith("xml") else "application/octet-stream"
            documents.append(Document(name, mime_type, writer.commit()))
        message = "6f1c0f6e-8c0d-4a7e-9d55-000000000001"
        sbd = arkivmelding_sbd(
            sender="991825827",
            receiver="974760673",
            message_id=message,
            conversation_id=message,
            created=NOW,
            expires=NOW + timedelta(hours=24),
        )
        with (tmp_path / side / "sbd.zip").open("wb") as target:
            build_package(
                target,
                sbd,
                documents,
                signer=identity,
                receiver_certificate=identity.certificate,
            )
        receipt = kvittering_sbd(
            sender="974760673",
            receiver="991825827",
            message_id="6f1c0f6e-8c0d-4a7e-9d55-00000000000f",
            conversation_id=message,
            related_to_message_id=message,
            receipt=AppReceipt(ReceiptType.OK, (StatusMessage("Recno", f"{side}1"),)),
            created=NOW,
            expires=NOW + timedelta(hours=24),
        )
        with (tmp_path / side / "kvittering.zip").open("wb") as target:
            build_package(target, receipt)
    done = run(
        "--left", tmp_path / "a", "--right", tmp_path / "b", "--out", tmp_path / "out",
        "--keystore", _PACKAGING / "receiver.p12",
        env={"EDU_GATEWAY_KEYSTORE_PASSWORD": _PASSWORD},
    )  # fmt: skip
    assert done.exit_code == 1, done.output
    assert sorted(unexplained(tmp_path / "out")) == [
        ("dokument[1].fil", "content differs"),
        ("message[1].text", "content differs"),
    ]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["summary"]
    assert summary["receipts"] == {"matched": 1}


def test_letters_that_only_one_side_has(tmp_path: Path) -> None:
    ids = record_letters(tmp_path / "a", 2)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.xml").write_text(put_message(melding(1, dialect="p360"), ids[0]), "utf-8")
    (tmp_path / "b" / "9.xml").write_text(put_message(melding(9), "en-helt-annen"), "utf-8")
    done = run("--left", tmp_path / "a", "--right", tmp_path / "b", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert sorted(unexplained(tmp_path / "out")) == [
        ("(hele meldingen)", "invented"),
        ("(hele meldingen)", "lost"),
    ]


def test_letters_of_one_conversation_find_their_own(tmp_path: Path) -> None:
    """One letter to three receivers under one conversation id; a file named in capitals."""
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for number, name in enumerate(("Brev", "brev", "vedtak"), 1):
            if sys.platform == "win32" and name == "brev":
                continue
            text = put_message(melding(number, f"Tittel {number}"), "samme-samtale")
            (tmp_path / side / f"{name}.xml").write_text(text, "utf-8")
    (tmp_path / "b" / "Brev.xml").unlink()
    (tmp_path / "b" / "vedtak.xml").rename(tmp_path / "b" / "annet.xml")
    done = run("--left", tmp_path / "b", "--right", tmp_path / "a", "--out", tmp_path / "out")
    assert unexplained(tmp_path / "out") == [("(hele meldingen)", "invented")], done.output
    lines = (tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()
    assert len({json.loads(line)["key"] for line in lines}) == len(lines)


def test_a_broken_file_is_named_and_stops_nothing(tmp_path: Path) -> None:
    record_letters(tmp_path / "a", 1)
    record_letters(tmp_path / "b", 1)
    (tmp_path / "a" / "odelagt.xml").write_text(
        '<Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types"><journpost>', "utf-8"
    )
    (tmp_path / "a" / "lesmeg.txt").write_text("ikke en melding", "utf-8")
    done = run("--left", tmp_path / "a", "--right", tmp_path / "b", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "1 equal" in done.output
    assert "1 failed" in done.output
    assert "odelagt.xml" in done.output
    assert "lesmeg.txt" not in done.output


def test_a_second_run_shows_what_changed(tmp_path: Path) -> None:
    ids = record_letters(tmp_path / "recorded", 3)
    other = tmp_path / "other"
    other.mkdir()

    def write(number: int, title: str) -> None:
        text = translated(ids[number - 1], number, title)
        (other / f"{number}.xml").write_text(text, "utf-8")

    for number, title in ((1, "Annen tittel"), (2, "Feil tittel"), (3, "Fortsatt feil")):
        write(number, title)
    arguments = ("--left", other, "--right", tmp_path / "recorded", "--out", tmp_path / "out")
    run(*arguments)
    write(1, "Søknad om skjenkebevilling")  # mended
    write(2, "Nå en tredje")  # different in another way
    done = run(*arguments)
    assert "since the last run: 1 new, 2 gone" in done.output
    changes = [json.loads(line) for line in (tmp_path / "out" / "changes.jsonl").open("rb")]
    assert [(it["change"], it["left"]) for it in changes] == [
        ("gone", "Annen tittel"),
        ("new", "Nå en tredje"),
        ("gone", "Feil tittel"),
    ]
    assert "since the last run: 0 new, 0 gone" in run(*arguments).output


def test_reports_for_machines(tmp_path: Path) -> None:
    ids = record_letters(tmp_path / "recorded", 2)
    other = tmp_path / "other"
    other.mkdir()
    (other / "1.xml").write_text(translated(ids[0]), "utf-8")
    (other / "2.xml").write_text(translated(ids[1], 2, "=1+1|'cmd'!A1"), "utf-8")
    run("--left", other, "--right", tmp_path / "recorded", "--out", tmp_path / "out")
    done = CliRunner().invoke(
        command,
        ["report", str(tmp_path / "out"), "--out", str(tmp_path / "report"),
         "--format", "csv", "--format", "json", "--format", "junit"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    with (tmp_path / "report" / "forskjeller.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    wrong = [row for row in rows if not row["rule"]]
    assert [(row["field"], row["left"]) for row in wrong] == [("jpInnhold", "'=1+1|'cmd'!A1")]
    data = json.loads((tmp_path / "report" / "forskjeller.json").read_text("utf-8"))
    assert [line["status"] for line in data["messages"]] == ["explained", "different"]
    suite = etree.parse(tmp_path / "report" / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [it.get("message") for it in suite.iter("failure")] == ["jpInnhold"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--left", "{a}", "--right", "{a}/nowhere"), "does not exist"),
        (("--left", "{empty}", "--right", "{a}"), "no letters"),
        (("--left", "{a}", "--right", "{a}", "--switch", "odd=on"), "no switch"),
        (("--left", "{a}", "--right", "{a}", "--profile", "odd"), "odd.toml"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    record_letters(tmp_path / "a", 1)
    (tmp_path / "empty").mkdir()
    places = {"a": str(tmp_path / "a"), "empty": str(tmp_path / "empty")}
    done = run(*(it.format(**places) for it in arguments), "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert complaint in done.output
