"""A settings file is checked as a whole, and its page names every key."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.settings import _SECTIONS, load_settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

GOOD = """
folder = "store"
[organisation]
orgnr = "910077473"
keystore = "own.p12"
keystore_password_file = "secret"
[archive]
dialect = "p360"
url = "http://archive.example/edu"
timeout = 60
[network]
token_url = "https://a"
token_audience = "https://a/"
exchange_url = "https://b"
broker_url = "https://c"
registry_url = "https://d"
client_id = "x"
[messages.switches]
pair_avskrivning = true
"""


def test_a_good_file_is_read_with_paths_under_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hemmelig\n")
    (tmp_path / "gateway.toml").write_text(GOOD)
    settings = load_settings(tmp_path / "gateway.toml", {})
    assert settings.organisation.keystore == tmp_path / "own.p12"
    assert settings.organisation.keystore_password == "hemmelig"
    assert settings.archive.timeout == 60.0
    assert settings.folder == tmp_path / "store"
    assert settings.messages.switches == {"pair_avskrivning": True}
    assert "hemmelig" not in repr(settings)


def test_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("fil")
    (tmp_path / "gateway.toml").write_text(GOOD)
    environment = {
        "EDU_GATEWAY_ORGANISATION_KEYSTORE_PASSWORD": "miljø",
        "EDU_GATEWAY_LISTEN_PORT": "8080",
    }
    settings = load_settings(tmp_path / "gateway.toml", environment)
    assert settings.organisation.keystore_password == "miljø"
    assert settings.listen.port == 8080


def test_every_error_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(
        GOOD.replace('dialect = "p360"\n', "").replace("timeout = 60", 'timeout = "soon"\ncolour=1')
        + "[nonsense]\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "gateway.toml", {})
    for key in (
        "organisation.keystore_password_file",
        "archive.dialect",
        "archive.timeout",
        "archive.colour",
        "nonsense",
    ):
        assert key in caught.value.detail


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.toml"):
        load_settings(tmp_path / "gateway.toml", {})


def test_the_page_names_every_key() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for section, cls in _SECTIONS.items():
        for one in fields(cls):
            assert f"`{section}.{one.name}`" in page or f"`.{one.name}`" in page, one.name
