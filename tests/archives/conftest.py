"""Fixtures of the archive side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_letters import GatewayStandIn


@pytest.fixture
def gateway_stand_in(tmp_path: Path) -> Iterator[GatewayStandIn]:
    stand_in = GatewayStandIn(tmp_path / "gateway")
    yield stand_in
    stand_in.stop()
