"""Authentication against acceptors that behave as IIS does: per connection for NTLM."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_letters import ENVELOPE, make_melding
from archive_stand_ins import Guarded, server_tls

from gateway.archives.settings import ArchiveSettings
from gateway.archives.soap import SoapArchive
from gateway.errors import ArchiveFault, ArchiveUnreachable, ConfigurationError
from gateway.model import OK
from gateway.ports import Delivery
from gateway.tap.recorder import Counts
from gateway.tap.recording import Recording
from gateway.tap.relay import Target
from gateway.tap.tap import Tap
from gateway.translate import load_mapping

LETTER = Delivery(ENVELOPE, make_melding(b"x" * 3_000_000))


@pytest.fixture(autouse=True)
def _accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "accounts"
    file.write_text("SAK:arkiv:Hemmelig1\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(file))


def _archive(url: str, **settings: Any) -> SoapArchive:
    return SoapArchive(ArchiveSettings("arkiv", "p360", url, **settings))


def _windows(url: str, auth: str, password: str = "Hemmelig1") -> SoapArchive:
    return _archive(url, auth=auth, username="arkiv", password=password, domain="SAK")


@pytest.mark.parametrize(("auth", "scheme"), [("ntlm", "NTLM"), ("negotiate", "Negotiate")])
def test_letter_is_sent_once_only_on_the_authenticated_connection(auth: str, scheme: str) -> None:
    with Guarded(scheme) as guarded:
        assert _windows(guarded.url, auth).put_message(LETTER) == OK
    assert guarded.principals == {"SAK\\arkiv"}
    assert guarded.letters == 1
    assert guarded.accepted > 4_000_000
    assert guarded.refused == 0, "nothing of the letter goes out before the handshake is done"


@pytest.mark.parametrize(("auth", "scheme"), [("ntlm", "NTLM"), ("negotiate", "Negotiate")])
def test_wrong_password_is_a_fault_before_anything_is_sent(auth: str, scheme: str) -> None:
    with Guarded(scheme) as guarded, pytest.raises(ArchiveFault, match="credentials") as caught:
        _windows(guarded.url, auth, "feil").put_message(LETTER)
    assert caught.value.fault_code == "HTTP 401"
    assert guarded.accepted == guarded.refused == 0


def test_connection_that_lost_its_login_is_authenticated_once_more() -> None:
    with Guarded("NTLM", forget=1) as guarded:
        assert _windows(guarded.url, "ntlm").put_message(LETTER) == OK
    assert guarded.letters == 1
    assert guarded.refused > 4_000_000


@pytest.mark.parametrize("forget", [0, 1])
@pytest.mark.parametrize(("auth", "scheme"), [("ntlm", "NTLM"), ("negotiate", "Negotiate")])
def test_a_tap_in_between_changes_nothing(
    auth: str, scheme: str, forget: int, tmp_path: Path
) -> None:
    recording, counts = Recording(tmp_path / "record", load_mapping(), "p360"), Counts()
    with Guarded(scheme, forget=forget) as guarded:
        tap = Tap("127.0.0.1", 0, Target("127.0.0.1", guarded.port), recording, counts)
        tap.start()
        assert _windows(f"http://127.0.0.1:{tap.port}/edu", auth).put_message(LETTER) == OK
        tap.stop(10)
    assert guarded.principals == {"SAK\\arkiv"}
    assert guarded.letters == 1
    assert len(list((tmp_path / "record" / "letters").iterdir())) == counts["recorded"] == 1


def test_connection_that_always_loses_its_login_ends_in_a_fault() -> None:
    with Guarded("NTLM", forget=9) as guarded, pytest.raises(ArchiveFault) as caught:
        _windows(guarded.url, "ntlm").put_message(LETTER)
    assert caught.value.fault_code == "HTTP 401"
    assert guarded.letters == 0


def test_scheme_that_the_archive_does_not_offer_is_named() -> None:
    with Guarded("NTLM") as guarded, pytest.raises(ArchiveFault, match="offers NTLM"):
        _windows(guarded.url, "negotiate").put_message(LETTER)


def test_basic_login_goes_with_the_letter_at_once() -> None:
    with Guarded("Basic") as guarded:
        archive = _archive(guarded.url, auth="basic", username="arkiv", password="Hemmelig æ")
        assert archive.put_message(LETTER) == OK
    assert guarded.refused == 0


def test_wrong_basic_password_is_a_fault() -> None:
    with Guarded("Basic") as guarded, pytest.raises(ArchiveFault, match="Basic"):
        _archive(guarded.url, auth="basic", username="arkiv", password="feil").put_message(LETTER)


def test_missing_login_says_what_the_archive_offers() -> None:
    with Guarded("NTLM") as guarded, pytest.raises(ArchiveFault, match="NTLM"):
        _archive(guarded.url).put_message(LETTER)


@pytest.mark.skipif(sys.platform == "win32", reason="the process has an account there")
def test_account_that_cannot_be_used_here_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a name only Windows can log on, as the service's own account."""
    monkeypatch.delenv("NTLM_USER_FILE")
    with Guarded("NTLM") as guarded, pytest.raises(ConfigurationError, match="ntlm"):
        _archive(guarded.url, auth="ntlm").put_message(LETTER)


def test_proxy_is_used_when_it_is_set_and_the_environment_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    with Guarded("Basic") as guarded:
        login = {"auth": "basic", "username": "arkiv", "password": "Hemmelig æ"}
        assert _archive(guarded.url, **login).put_message(LETTER) == OK
        behind = _archive(
            "http://archive.invalid/edu", proxy=f"http://127.0.0.1:{guarded.port}", **login
        )
        assert behind.put_message(LETTER) == OK
    assert guarded.paths[-1] == "http://archive.invalid/edu"


@pytest.fixture
def https_archive(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    context, ca_file = server_tls(tmp_path)
    guarded = Guarded("NTLM")
    guarded.server.socket = context.wrap_socket(guarded.server.socket, server_side=True)
    with guarded:
        yield guarded.url.replace("http:", "https:"), ca_file


def test_tls_with_the_configured_authority_and_ntlm_inside(
    https_archive: tuple[str, Path],
) -> None:
    url, ca_file = https_archive
    login = {"auth": "ntlm", "username": "arkiv", "password": "Hemmelig1", "domain": "SAK"}
    assert _archive(url, ca_file=ca_file, **login).put_message(LETTER) == OK


def test_unknown_authority_is_unreachable_and_nothing_is_sent(
    https_archive: tuple[str, Path],
) -> None:
    url, _ = https_archive
    with pytest.raises(ArchiveUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        _archive(url).put_message(LETTER)
