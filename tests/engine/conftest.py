"""Two organisations with gateways and archives, and the network between, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from letters_and_traces import Pair

from gateway.demo import Demo


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    lines: list[str] = []
    with Demo(tmp_path_factory.mktemp("pair"), lines.append) as demo:
        yield Pair(demo)
