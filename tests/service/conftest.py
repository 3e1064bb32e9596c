"""A settings file that works, with a keystore."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.simulators.network import Network

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """Settings of a gateway whose archive and network do not answer."""
    own = Network(tmp_path / "network").add_organisation("910077473", "Fjordvik kommune")
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
[organisation]
orgnr = "910077473"
keystore = '{own.keystore}'
keystore_password = "{own.keystore_password}"
[archive]
dialect = "p360"
url = "{NOBODY}/edu"
auth = "basic"
username = "u"
password = "hemmelig"
[network]
token_url = "{NOBODY}/token"
token_audience = "{NOBODY}/"
exchange_url = "{NOBODY}/exchange"
broker_url = "{NOBODY}/broker"
registry_url = "{NOBODY}/registry"
client_id = "{own.client_id}"
poll_seconds = 3600
[listen]
port = 0
""",
        encoding="utf-8",
    )
    return path
