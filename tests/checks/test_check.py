"""``edu-gateway check``: all green when all is well, and one line for what is broken."""

from __future__ import annotations

import hashlib
import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archive_stand_ins import Guarded, Mailbox, server_tls
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes
from world import ORGNR, World, line, not_well

from gateway.app import Gateway
from gateway.checks import Grade
from gateway.checks.clock import seconds_ahead
from gateway.cli import main
from gateway.simulators.archive import SimulatedArchive
from gateway.store.database import Database

PAGE = Path(__file__).parents[2] / "docs" / "check.md"
FIXTURES = Path(__file__).parents[1] / "package" / "fixtures"
OK, FAIL, WARN, SKIP = Grade.OK, Grade.FAIL, Grade.WARN, Grade.SKIP


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


# --- keystore and certificate ---------------------------------------------------------


def test_wrong_keystore_password(world: World) -> None:
    world.set(organisation={"keystore_password": "et-annet-passord"})
    findings = world.check()
    assert not_well(findings) == {"keystore": FAIL}
    assert "wrong password" in line(findings, "keystore").seen
    assert line(findings, "transport").seen == "not tried because keystore failed"
    assert line(findings, "archive-service").grade is Grade.OK


def test_wrong_alias_and_the_ones_there_are(world: World) -> None:
    world.set(organisation={"keystore_alias": "fjordvik"})
    findings = world.check()
    assert not_well(findings) == {"keystore-alias": FAIL}
    assert f"its only key is named '{ORGNR}'" in line(findings, "keystore-alias").seen


@pytest.mark.parametrize(
    ("alias", "grade", "seen"),
    [
        ("virksomhet", OK, "the key is called 'virksomhet'"),
        ("ny", FAIL, "no key is named 'ny'; it holds 'virksomhet-gammel', 'virksomhet'"),
        (None, FAIL, "set the alias to one of 'virksomhet-gammel', 'virksomhet'"),
    ],
)
def test_a_keystore_with_two_keys(world: World, alias: str | None, grade: Grade, seen: str) -> None:
    chosen = {} if alias is None else {"keystore_alias": alias}
    store = str(FIXTURES / "two-keys.p12")
    world.set(organisation={"keystore": store, "keystore_password": "changeit", **chosen})
    findings = world.check()
    assert line(findings, "keystore").grade is OK
    assert line(findings, "keystore-alias").grade is grade
    assert seen in line(findings, "keystore-alias").seen


def test_expired_certificate(world: World) -> None:
    world.use_certificate(since_days=800, for_days=-3)
    findings = world.check()
    assert not_well(findings) == {"certificate": FAIL}
    assert "expired on" in line(findings, "certificate").seen
    assert line(findings, "token-broker").seen == "not tried because certificate failed"


def test_certificate_that_is_not_valid_yet(world: World) -> None:
    world.use_certificate(since_days=-2, for_days=100)
    assert not_well(world.check()) == {"certificate": FAIL}


def test_certificate_that_expires_soon(world: World) -> None:
    certificate = world.use_certificate(since_days=700, for_days=30)
    world.network.registry.entries[ORGNR].certificate = certificate
    findings = world.check()
    assert not_well(findings) == {"certificate": WARN}
    assert "30 days" in line(findings, "certificate").seen


def test_another_certificate_is_published(world: World) -> None:
    other = world.network.add_organisation("910075918", "Skogland fylkeskommune")
    world.network.registry.entries[ORGNR].certificate = other.certificate
    assert not_well(world.check()) == {"certificate-published": FAIL}


@pytest.mark.parametrize(("policy", "grade"), [("warn", WARN), ("reject", FAIL)])
def test_certificate_of_an_unknown_authority(world: World, policy: str, grade: Grade) -> None:
    world.set(
        trust={"certificates": str(world.network.ca_file), "chain": policy, "revocation": "off"}
    )
    assert not_well(world.check()) == {"certificate-chain": grade}


# --- old keystores --------------------------------------------------------------------


def test_an_old_keystore_opens_or_has_a_line(world: World) -> None:
    before = world.own
    world.network.renew_certificate(ORGNR)
    previous = before.keystore.with_suffix(".previous.p12")
    old = {"keystore": str(previous), "keystore_password": before.keystore_password}
    world.set(organisation={"old_keystores": [old]})
    findings = world.check()
    assert not_well(findings) == {}
    assert f"{previous.name}: opened" in line(findings, "old-keystore-1").seen
    world.set(organisation={"old_keystores": [old, {**old, "keystore_password": "feil-passord"}]})
    findings = world.check()
    assert not_well(findings) == {"old-keystore-2": FAIL}
    assert "wrong password" in line(findings, "old-keystore-2").seen
    assert "feil-passord" not in repr(findings)


def test_the_old_certificate_is_still_published(world: World) -> None:
    before = world.own
    world.network.renew_certificate(ORGNR, publish=False)
    assert not_well(world.check()) == {"certificate-published": FAIL}
    old = {
        "keystore": str(before.keystore.with_suffix(".previous.p12")),
        "keystore_password": before.keystore_password,
    }
    world.set(organisation={"old_keystores": [old]})
    findings = world.check()
    assert not_well(findings) == {"certificate-published": WARN}
    assert "old keystore" in line(findings, "certificate-published").seen


# --- revocation lists -----------------------------------------------------------------


@pytest.fixture
def trusting(world: World) -> World:
    """Trusts the simulated authority, as the real ones are trusted."""
    world.network.renew_certificate(ORGNR)  # names the list where this network has it
    mark = world.own.chain[0].fingerprint(hashes.SHA256()).hex()
    authorities = world.folder / "tillit.toml"
    authorities.write_text(
        f'[test]\npolicies = []\nroots = {{simulated = "{mark}"}}\nintermediates = {{}}\n'
    )
    world.set(
        trust={
            "certificates": str(world.network.ca_file),
            "environment": "test",
            "authorities": str(authorities),
        }
    )
    return world


def test_revocation_list_of_our_authority(trusting: World) -> None:
    assert not_well(trusting.check()) == {}
    trusting.network.fault("crl", status=503, times=None)
    findings = trusting.check()
    assert not_well(findings) == {"revocation-list": WARN}
    assert "/crl: HTTP 503" in line(findings, "revocation-list").seen
    trusting.set(trust={"revocation": "off"})
    findings = trusting.check()
    assert not_well(findings) == {}
    assert "revocation-list" not in {one.name for one in findings}


def test_our_certificate_is_revoked(trusting: World) -> None:
    trusting.network.revoke(ORGNR)
    assert not_well(trusting.check()) == {"revocation-list": FAIL}


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


# --- servers that do not answer -------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key", "name"),
    [
        ("archive", "url", "archive-tcp"),
        ("network", "token_url", "token-endpoint"),
        ("network", "exchange_url", "token-exchange"),
        ("network", "registry_url", "registry"),
        ("network", "broker_url", "broker"),
    ],
)
def test_closed_port(world: World, closed_port: int, section: str, key: str, name: str) -> None:
    world.set(**{section: {key: f"http://127.0.0.1:{closed_port}/x"}})
    findings = world.check()
    assert not_well(findings) == {name: FAIL}
    assert str(closed_port) in line(findings, name).seen
    assert "refused" in line(findings, name).seen
    builds_on_it = [one for one in findings if one.seen == f"not tried because {name} failed"]
    assert builds_on_it


def test_a_name_that_nobody_knows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def unknown(host: object, *rest: object, **more: object) -> object:
        if host == "arkiv.example":  # real name servers are no loopback
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    world.set(archive={"url": "http://arkiv.example/edu"})
    findings = world.check()
    assert not_well(findings) == {"archive-dns": FAIL}
    assert "arkiv.example: Name or service" in line(findings, "archive-dns").seen


def test_broken_registry_is_not_taken_for_reachable(world: World) -> None:
    world.network.fault("jwk", status=503, times=None)
    assert not_well(world.check()) == {"registry": FAIL}


# --- clock ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "grade"), [(8.0, WARN), (60.0, FAIL), (-8.0, WARN), (-60.0, FAIL)]
)
def test_clock_that_is_off(world: World, seconds: float, grade: Grade) -> None:
    world.network.clock.advance(seconds)
    findings = world.check()
    assert not_well(findings) == {"clock": grade}
    assert ("behind" if seconds > 0 else "ahead of") in line(findings, "clock").seen
    tokens = line(findings, "token-broker").grade
    assert tokens is (SKIP if grade is FAIL else Grade.OK)


@pytest.mark.parametrize(
    ("asked", "answered", "ahead"),
    [(100.2, 100.9, 0.0), (95.0, 106.0, 0.0), (110.5, 111.0, 9.5), (90.0, 91.0, -9.0)],
)
def test_slow_answers_and_whole_seconds_are_no_difference(
    asked: float, answered: float, ahead: float
) -> None:
    date = datetime.fromtimestamp(100, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert seconds_ahead(date, asked, answered) == pytest.approx(ahead)
    assert seconds_ahead("yesterday", asked, answered) is None


# --- rights ---------------------------------------------------------------------------


def test_unknown_client(world: World) -> None:
    world.set(network={"client_id": "someone"})
    findings = world.check()
    assert not_well(findings) == {"token-registry": FAIL, "token-broker": FAIL}
    assert "client id is unknown" in line(findings, "token-broker").seen


def test_scope_that_was_not_granted(world: World) -> None:
    client = world.network.maskinporten.clients[world.own.client_id]
    client.scopes -= {"altinn:broker.write"}
    findings = world.check()
    assert not_well(findings) == {"token-broker": FAIL}
    assert "MP-201" in line(findings, "token-broker").seen


def test_system_user_that_was_not_approved(world: World) -> None:
    world.network.maskinporten.withdraw(ORGNR)
    findings = world.check()
    assert not_well(findings) == {"token-broker": FAIL}
    assert "system user" in line(findings, "token-broker").seen


def test_organisation_without_a_record(world: World) -> None:
    del world.network.registry.entries[ORGNR]
    assert not_well(world.check()) == {"registry-self": FAIL}


def test_resource_without_access(world: World) -> None:
    resource = world.network.environment.resource
    world.network.broker.denied.add((ORGNR, resource, "read"))
    assert not_well(world.check()) == {"transport": FAIL}


# --- the archive ----------------------------------------------------------------------


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "accounts").write_text("SAK:arkiv:Hemmelig1\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(tmp_path / "accounts"))


LOGINS = {
    "Basic": {"auth": "basic", "username": "arkiv", "password": "Hemmelig æ"},
    "NTLM": {"auth": "ntlm", "username": "arkiv", "password": "Hemmelig1", "domain": "SAK"},
    "Negotiate": {
        "auth": "negotiate",
        "username": "arkiv",
        "password": "Hemmelig1",
        "domain": "SAK",
    },
}


@pytest.mark.parametrize("scheme", LOGINS)
@pytest.mark.usefixtures("accounts")
def test_archive_login(world: World, scheme: str) -> None:
    with Guarded(scheme) as guarded:
        world.set(archive={"url": guarded.url, **LOGINS[scheme]})
        findings = world.check()
        assert not_well(findings) == {}
        assert "accepted" in line(findings, "archive-login").seen
        world.set(archive={"password": "feil-passord"})
        findings = world.check()
    assert not_well(findings) == {"archive-login": FAIL}
    assert f"401 ({scheme})" in line(findings, "archive-login").seen
    assert line(findings, "archive-service").seen == "not tried because archive-login failed"


@pytest.mark.usefixtures("accounts")
def test_archive_that_wants_another_login(world: World) -> None:
    with Guarded("NTLM") as guarded:
        world.set(archive={"url": guarded.url})
        findings = world.check()
        assert not_well(findings) == {"archive-login": FAIL}
        assert "offers NTLM" in line(findings, "archive-login").seen
        world.set(archive=LOGINS["Basic"])
        findings = world.check()
    assert not_well(findings) == {"archive-login": FAIL}
    assert "offers NTLM, not basic" in line(findings, "archive-login").seen


def test_archive_with_tls(world: World) -> None:
    context, ca_file = server_tls(world.folder)
    guarded = Guarded("Basic")
    guarded.server.socket = context.wrap_socket(guarded.server.socket, server_side=True)
    with guarded:
        url = guarded.url.replace("http:", "https:")
        world.set(archive={"url": url, **LOGINS["Basic"]})
        findings = world.check()
        assert not_well(findings) == {"archive-tls": FAIL}
        assert "certificate is not accepted" in line(findings, "archive-tls").seen
        world.set(archive={"ca_file": str(ca_file)})
        findings = world.check()
    assert not_well(findings) == {}
    assert "valid until" in line(findings, "archive-tls").seen


def test_address_of_something_that_is_no_archive(world: World) -> None:
    world.set(archive={"url": f"{world.network.url}/other"})
    findings = world.check()
    assert not_well(findings) == {"archive-service": FAIL}
    assert "HTTP 404" in line(findings, "archive-service").seen


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def test_mail_archive(world: World, mailbox: Mailbox) -> None:
    mailbox.tls, ca_file = server_tls(world.folder)
    world.set(archive={"dialect": "mail"})
    del world.values["archive"]["url"]
    world.set(
        mail={
            "host": "127.0.0.1",
            "port": mailbox.port,
            "sender": "gateway@kommune.example",
            "receivers": "arkiv@kommune.example",
            "username": "gateway",
            "password": "hemmelig",
            "ca_file": str(ca_file),
        }
    )
    assert not_well(world.check()) == {}
    world.set(mail={"password": "feil-passord"})
    findings = world.check()
    assert not_well(findings) == {"archive-login": FAIL}
    assert "535" in line(findings, "archive-login").seen
    assert not mailbox.mails


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
