"""What every test gets: no network but loopback."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _is_loopback(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anywhere else fails the test that makes it."""
    if request.config.getoption("--endpoint", default=None):  # another server: tests/wire
        return
    real = socket.socket.connect
    real_ex = socket.socket.connect_ex

    def connect(self: socket.socket, address: object) -> None:
        if not _is_loopback(address):
            pytest.fail(f"network access outside loopback: {address!r}")
        real(self, address)  # type: ignore[arg-type]

    def connect_ex(self: socket.socket, address: object) -> int:
        if not _is_loopback(address):
            pytest.fail(f"network access outside loopback: {address!r}")
        return real_ex(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)


@pytest.fixture
def shared_samples() -> Path:
    """The samples folder beside the checkout; the test is skipped where it is absent."""
    folder = SHARED / "samples"
    if not folder.is_dir():
        pytest.skip("../shared/samples is not here; it is an addition to our own fixtures")
    return folder
