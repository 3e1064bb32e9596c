"""`edu-gateway package`, as a support person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from packing import FIXTURES, PASSWORD

from gateway.cli import main

JAVA_MADE = FIXTURES / "sbd-arkivmelding-v4-javaasic.zip"
KEYS = ["--keystore", str(FIXTURES / "receiver.p12")]
ENVIRONMENT = {"EDU_GATEWAY_KEYSTORE_PASSWORD": PASSWORD}


def run(*arguments: object, **more: object) -> Result:
    environment = more.pop("env", ENVIRONMENT)
    return CliRunner(env=environment).invoke(  # type: ignore[arg-type]
        main, ["package", *map(str, arguments)], **more
    )


def test_build_then_verify_then_open(tmp_path: Path) -> None:
    main_document, attachment = tmp_path / "arkivmelding.xml", tmp_path / "Vedlegg ø.txt"
    main_document.write_text("<arkivmelding/>")
    attachment.write_text("innhold")
    package = tmp_path / "sbd.zip"
    build = [
        "build", package, main_document, attachment,
        "--keystore", FIXTURES / "sender.p12",
        "--receiver-certificate", FIXTURES / "receiver-cert.pem",
        "--sender", "910077473", "--receiver", "910075918",
    ]  # fmt: skip
    assert run(*build).exit_code == 0
    again = run(*build)
    assert again.exit_code == 2
    assert "left alone" in again.output

    verified = run("verify", package, *KEYS, "--json")
    assert verified.exit_code == 0, verified.output
    facts = json.loads(verified.output)
    assert facts["intact"] is True
    assert facts["signature"]["orgnr"] == "910077473"
    assert [it["name"] for it in facts["documents"]] == ["arkivmelding.xml", "Vedlegg ø.txt"]

    out = tmp_path / "ut"
    opened = run("open", package, "--out", out, *KEYS)
    assert opened.exit_code == 0, opened.output
    assert (out / "Vedlegg ø.txt").read_text() == "innhold"
    assert run("open", package, "--out", out, *KEYS).exit_code == 0
    assert (out / "1 Vedlegg ø.txt").exists(), "nothing is overwritten"


def test_inspect_needs_no_key() -> None:
    shown = run("inspect", JAVA_MADE, "--json", env={})
    assert shown.exit_code == 0, shown.output
    facts = json.loads(shown.output)
    assert facts["sbd"]["type"] == "arkivmelding"
    assert facts["envelope"]["cipher"] == "aes256_cbc"
    assert "Fixture Business CA" in facts["envelope"]["locked_for"][0]["issuer"]
    table = run("inspect", JAVA_MADE, *KEYS)
    assert "Søknad æøå (vedlegg).txt" in table.output


def test_trouble_is_named_with_exit_code_one(tmp_path: Path) -> None:
    wrong = run("verify", JAVA_MADE, "--keystore", FIXTURES / "sender.p12")
    assert wrong.exit_code == 1
    assert "WrongKey" in wrong.output
    cut = tmp_path / "cut.zip"
    cut.write_bytes(JAVA_MADE.read_bytes()[:-40])
    inspected = run("inspect", cut, *KEYS)
    assert inspected.exit_code == 1
    assert "BadZip" in inspected.output
    assert "Traceback" not in inspected.output
    untrusted = run("verify", JAVA_MADE, *KEYS, "--trusted", FIXTURES / "ca-chain.pem")
    assert untrusted.exit_code == 1
    assert "no trusted root" in untrusted.output


@pytest.mark.parametrize("way", ["asked", "file", "environment"])
def test_the_password_comes_from_three_places_and_is_never_shown(way: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    more: dict[str, object] = {"env": {}}
    arguments: list[object] = ["verify", JAVA_MADE, *KEYS]
    if way == "asked":
        more["input"] = PASSWORD + "\n"
    elif way == "file":
        arguments += ["--password-file", file]
    else:
        more = {}
    done = run(*arguments, **more)
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
