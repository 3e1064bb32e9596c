"""``edu-gateway translate``, as a person runs it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree
from test_failing_cases import arkivmelding, dokument, letter


def run(*arguments: str | Path, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "translate", *map(str, arguments)],
        input=data,
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def soap(payload: str) -> str:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        '<PutMessageRequest xmlns="http://www.arkivverket.no/Noark/Exchange/types">'
        '<envelope xmlns="" conversationId="3380ca8c-1cbf-47de-9e61-3a5d7cd30d0c">'
        "<sender><orgnr>991825827</orgnr></sender><receiver><orgnr>974760673</orgnr></receiver>"
        f'</envelope><payload xmlns=""><![CDATA[{payload}]]></payload></PutMessageRequest>'
        "</s:Body></s:Envelope>"
    )


def test_one_letter_goes_to_stdout_and_its_losses_to_stderr(inbox: Path) -> None:
    path = inbox / "brev.xml"
    path.write_text(soap(letter(noarksak="<saKasskode>B</saKasskode>")), encoding="utf-8")
    result = run(path, "--system", "ephorte")
    assert result.returncode == 0, result.stderr
    root = etree.fromstring(result.stdout)
    assert root.findtext("{*}system") == "ephorte"
    assert root.findtext("{*}meldingId") == "3380ca8c-1cbf-47de-9e61-3a5d7cd30d0c"
    assert "noarksak/saKasskode" in result.stderr.decode()


def test_many_go_to_a_folder_and_a_bad_one_stops_nothing(inbox: Path, tmp_path: Path) -> None:
    for number in range(3):
        (inbox / f"{number}.xml").write_text(
            letter(noarksak="<saKasskode>B</saKasskode>"), encoding="utf-8"
        )
    (inbox / "bad.xml").write_text("<Melding><journpost/></Melding>", encoding="utf-8")
    (inbox / "none.xml").write_text("not xml", encoding="utf-8")
    out = tmp_path / "out"
    result = run(inbox, "--out", out, "--report", "json")
    assert result.returncode == 1
    assert sorted(path.name for path in out.iterdir()) == ["0.xml", "1.xml", "2.xml"]
    reports = [json.loads(line) for line in result.stderr.decode().splitlines()]
    by_name = {Path(report["input"]).name: report for report in reports}
    assert "No Noarksak" in by_name["bad.xml"]["problems"][0]
    assert by_name["none.xml"]["problems"]
    assert by_name["0.xml"]["problems"] == []
    assert {"path", "outcome", "kind", "reason", "home", "value"} == set(
        by_name["0.xml"]["losses"][0]
    )


def test_an_arkivmelding_becomes_a_melding_with_its_files(inbox: Path, tmp_path: Path) -> None:
    path = inbox / "arkivmelding.xml"
    path.write_bytes(etree.tostring(arkivmelding(file="b.pdf")))
    files = tmp_path / "files"
    files.mkdir()
    (files / "b.pdf").write_bytes(b"hello")
    result = run(path, "--files", files)
    assert result.returncode == 0, result.stderr
    assert etree.fromstring(result.stdout).findtext(".//base64") == "aGVsbG8="
    (files / "b.pdf").unlink()
    missing = run(path, "--files", files)
    assert missing.returncode == 1
    assert b"b.pdf" in missing.stderr
    assert missing.stdout == b""


def test_documents_left_empty_without_files_are_named(inbox: Path) -> None:
    path = inbox / "arkivmelding.xml"
    path.write_bytes(etree.tostring(arkivmelding()))
    result = run(path)
    assert result.returncode == 0
    assert b"1 documents are left empty; --files says where they are" in result.stderr


def test_a_terminal_sees_how_far_it_is(inbox: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    for number in range(3):
        (inbox / f"{number}.xml").write_text(letter(), encoding="utf-8")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gateway", "translate", inbox, "--out", tmp_path / "out"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=False, timeout=120)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a closed terminal
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    assert done.returncode == 0
    assert b"Translating" in shown
    assert b"100%" in shown


def test_a_letter_whose_document_is_empty_is_shown_and_named(inbox: Path) -> None:
    path = inbox / "tomt.xml"
    path.write_text(letter(documents=dokument("tomt.pdf", "")), encoding="utf-8")
    result = run(path)
    assert result.returncode == 1
    assert b"tomt.pdf" in result.stderr
    assert etree.fromstring(result.stdout).findtext(".//{*}referanseDokumentfil") == "tomt.pdf"


def test_standard_input_profile_and_switch() -> None:
    rich = run("-", "--profile", "rich", data=letter().encode())
    assert rich.returncode == 0, rich.stderr
    assert etree.fromstring(rich.stdout).find(".//{*}opprettetDato") is not None
    switched = run("-", "--switch", "no_empty_wrappers=on", data=letter().encode())
    assert etree.fromstring(switched.stdout).find(".//{*}skjerming") is None


def test_wrong_use_is_exit_code_2(inbox: Path) -> None:
    (inbox / "a.xml").write_text(letter(), encoding="utf-8")
    (inbox / "b.xml").write_text(letter(), encoding="utf-8")
    assert run(inbox).returncode == 2
    assert run(inbox / "a.xml", "--switch", "no_such=on").returncode == 2
    assert run(inbox / "a.xml", "--profile", "no_such").returncode == 2


def test_direction_that_does_not_fit_is_an_error(inbox: Path) -> None:
    (inbox / "a.xml").write_text(letter(), encoding="utf-8")
    assert run(inbox / "a.xml", "--to", "edu").returncode == 1
    assert run(inbox / "a.xml", "--to", "arkivmelding").returncode == 0


def test_a_document_type_declaration_is_refused() -> None:
    data = b'<!DOCTYPE m [<!ENTITY x "y">]>' + letter().encode()
    assert run("-", data=data).returncode == 1
