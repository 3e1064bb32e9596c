"""``edu-gateway check``: all green when all is well, and one line for what is broken."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive_stand_ins import Guarded, server_tls
from click.testing import CliRunner
from world import FAIL, LOGINS, SKIP, WARN, World, line, not_well

from gateway.app import Gateway
from gateway.checks import Grade
from gateway.cli import main
from gateway.simulators.archive import SimulatedArchive
from gateway.store.database import Database

PAGE = Path(__file__).parents[2] / "docs" / "check.md"


# --- all is well ----------------------------------------------------------------------


def test_all_green_before_the_first_start_and_nothing_is_left(world: World) -> None:
    before = _files(world.folder)
    findings = world.check()
    assert {one.grade for one in findings} == {Grade.OK}, findings
    assert _files(world.folder) == before
    assert not world.archive.letters
    assert not world.network.transfers
    page = PAGE.read_text(encoding="utf-8")
    for one in findings:
        assert f"| `{one.name}` |" in page


def test_all_green_beside_a_running_gateway(world: World) -> None:
    gateway = Gateway(world.settings())
    gateway.start()
    try:
        findings = world.check()
    finally:
        gateway.stop()
    assert {one.grade for one in findings} == {Grade.OK}, findings
    assert "a gateway answers" in line(findings, "endpoint").seen
    assert "opened and writable" in line(findings, "database").seen


def test_a_database_is_left_as_it_was(world: World) -> None:
    _make_database(world)
    before = _files(world.folder)
    assert not_well(world.check()) == {}
    assert _files(world.folder) == before


def test_the_shared_folder_instead_of_altinn(world: World) -> None:
    (world.folder / "share").mkdir()
    world.set(network={"transport": "directory", "directory": str(world.folder / "share")})
    findings = world.check()
    assert not_well(findings) == {}
    assert "broker" not in {one.name for one in findings}
    assert not list((world.folder / "share").iterdir())
    (world.folder / "share").rmdir()
    assert not_well(world.check()) == {"transport": FAIL}


# --- settings -------------------------------------------------------------------------


def test_every_wrong_setting_has_a_line(world: World) -> None:
    world.set(network={"colour": "red", "client_id": ""}, listen={"port": "soon"}, nonsense={})
    findings = world.check()
    wrong = [one.seen for one in findings if one.name == "settings"]
    for key in ("network.colour", "network.client_id", "listen.port", "nonsense"):
        assert any(one.startswith(f"gateway.toml: {key}") for one in wrong), key
    assert not_well(findings) == {"settings": FAIL}
    assert line(findings, "others").grade is SKIP


# --- several organisations ------------------------------------------------------------

OTHER = "974760673"


@pytest.fixture
def two(world: World) -> Iterator[World]:
    """Acts for another organisation that has an archive of its own."""
    with SimulatedArchive(
        "Skogland", OTHER, dialect="ephorte", folder=world.folder / "other"
    ) as archive:
        world.serve(OTHER, "Skogland fylkeskommune", archive.url)
        yield world


def test_all_green_with_two_organisations(two: World) -> None:
    findings = two.check()
    assert {one.grade for one in findings} == {Grade.OK}, findings
    theirs = {one.name for one in findings if one.name.endswith(f"-{OTHER}")}
    for name in ("archive-service", "token-broker", "registry-self", "certificate-published"):
        assert f"{name}-{OTHER}" in theirs
    assert "dialect ephorte" in line(findings, f"archive-settings-{OTHER}").seen
    assert "Skogland" in line(findings, f"registry-self-{OTHER}").seen


def test_an_organisation_that_shares_our_archive_has_no_lines_for_one(world: World) -> None:
    world.serve(OTHER, "Skogland fylkeskommune")
    findings = world.check()
    assert not_well(findings) == {}
    names = [one.name for one in findings]
    assert f"transport-{OTHER}" in names
    assert f"archive-tcp-{OTHER}" not in names


def test_only_the_other_archive_is_down(two: World, closed_port: int) -> None:
    two.values["on_behalf_of"][0]["archive"]["url"] = f"http://127.0.0.1:{closed_port}/x"
    findings = two.check()
    assert not_well(findings) == {f"archive-tcp-{OTHER}": FAIL}
    skipped = {one.name for one in findings if one.grade is SKIP}
    assert skipped == {f"archive-{step}-{OTHER}" for step in ("http", "login", "service")}


def test_our_trouble_with_tls_is_not_the_other_archives(two: World) -> None:
    context, _ = server_tls(two.folder)
    guarded = Guarded("Basic")
    guarded.server.socket = context.wrap_socket(guarded.server.socket, server_side=True)
    with guarded:
        two.set(archive={"url": guarded.url.replace("http:", "https:"), **LOGINS["Basic"]})
        findings = two.check()
    assert not_well(findings) == {"archive-tls": FAIL}
    assert line(findings, f"archive-service-{OTHER}").grade is Grade.OK


def test_only_the_other_system_user_is_not_approved(two: World) -> None:
    two.network.maskinporten.withdraw(OTHER)
    findings = two.check()
    assert not_well(findings) == {f"token-broker-{OTHER}": FAIL}
    assert [one.name for one in findings if one.grade is SKIP] == [f"transport-{OTHER}"]


def test_only_the_other_organisation_is_not_well_registered(two: World) -> None:
    entry = two.network.registry.entries[OTHER]
    entry.certificate = two.network.add_organisation("910075918", "Fremmed").certificate
    assert not_well(two.check()) == {f"certificate-published-{OTHER}": FAIL}
    del two.network.registry.entries[OTHER]
    assert not_well(two.check()) == {f"registry-self-{OTHER}": FAIL}


def test_searches_that_are_used_up_are_no_failure(two: World) -> None:
    two.set(network={"rate_limits": True, "searches_per_minute": 2})
    two.serve("889640782", "Tredje kommune")
    assert not_well(two.check()) == {"transport-889640782": WARN}


# --- what is ours ---------------------------------------------------------------------


def test_folder_that_cannot_be_written_to(world: World) -> None:
    (world.folder / "data" / "blobs").mkdir(parents=True)
    (world.folder / "data" / "blobs" / "incoming").touch()  # where a folder belongs
    findings = world.check()
    assert not_well(findings) == {"disk": FAIL}
    assert line(findings, "database").seen == "not tried because disk failed"


def test_little_room(world: World) -> None:
    world.set(alerts={"min_free_bytes": 1 << 60})
    assert not_well(world.check()) == {"disk": WARN}


def test_database_of_a_newer_version(world: World) -> None:
    _make_database(world)
    with sqlite3.connect(world.folder / "data" / "gateway.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    findings = world.check()
    assert not_well(findings) == {"database": FAIL}
    assert "9999" in line(findings, "database").seen


def test_file_that_is_no_database(world: World) -> None:
    (world.folder / "data").mkdir()
    (world.folder / "data" / "gateway.db").write_bytes(b"something else" * 1000)
    assert not_well(world.check()) == {"database": FAIL}


def test_another_program_has_our_port(world: World) -> None:
    world.set(listen={"port": int(world.archive.url.rpartition(":")[2].partition("/")[0])})
    assert not_well(world.check()) == {"endpoint": FAIL}


# --- the command ----------------------------------------------------------------------


@pytest.fixture
def run() -> Callable[..., tuple[int, str]]:
    def command(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["check", *arguments])
        return result.exit_code, result.output

    return command


def test_table_and_exit_codes(world: World, run: Callable[..., tuple[int, str]]) -> None:
    code, output = run("--config", str(world.config))
    assert code == 0
    assert "0 WARN, 0 FAIL" in output
    assert max(map(len, output.splitlines())) <= 80
    world.set(organisation={"keystore_alias": "fjordvik"})
    code, output = run("--config", str(world.config))
    assert code == 1
    assert "FAIL  keystore-alias" in output
    assert "→ Set organisation.keystore_alias" in output
    assert run("--timeout", "never")[0] == 2


def test_json(world: World, run: Callable[..., tuple[int, str]]) -> None:
    world.network.clock.advance(8)
    code, output = run("--config", str(world.config), "--json")
    assert code == 0
    found = {one["name"]: one for one in json.loads(output)}
    assert found["clock"]["grade"] == "WARN"
    assert "NTP" in found["clock"]["remedy"]


def test_no_secret_is_printed(world: World, closed_port: int) -> None:
    secrets = {name: f"hemmelig-{name}" for name in ("store", "archive", "listen", "server")}
    server = f"postgresql+psycopg://edu:{secrets['server']}@127.0.0.1:{closed_port}/edu"
    with Guarded("Basic") as guarded:
        world.set(
            organisation={"keystore_password": secrets["store"]},
            archive={**LOGINS["Basic"], "url": guarded.url, "password": secrets["archive"]},
            listen={"username": "arkiv", "password": secrets["listen"]},
            database={"url": server},
        )
        findings = world.check()
    assert not_well(findings) == {"keystore": FAIL, "archive-login": FAIL, "database": FAIL}
    text = repr(findings)
    assert not [one for one in secrets.values() if one in text]


def test_long_names_have_a_line_of_their_own(two: World, run: Callable[..., tuple[int, str]]):
    code, output = run("--config", str(two.config))
    assert code == 0
    lines = output.splitlines()
    assert f"OK    certificate-published-{OTHER}" in lines
    assert max(map(len, lines)) <= 80


def _make_database(world: World) -> None:
    (world.folder / "data").mkdir()
    Database(f"sqlite:///{world.folder / 'data' / 'gateway.db'}").close()


def _files(folder: Path) -> dict[str, str]:
    """Everything but the settings, which the test itself writes."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "gateway.toml"
    }
