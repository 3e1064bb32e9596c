"""``edu-gateway check`` of the archive: logins, TLS, and a mailbox instead of one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_stand_ins import Guarded, Mailbox, server_tls
from world import FAIL, LOGINS, World, line, not_well


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "accounts").write_text("SAK:arkiv:Hemmelig1\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(tmp_path / "accounts"))


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
