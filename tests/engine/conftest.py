"""Two organisations with gateways and archives, and the network between, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from letters_and_traces import Pair

from gateway.demo import Demo
from gateway.settings import Messages


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    lines: list[str] = []
    with Demo(tmp_path_factory.mktemp("pair"), lines.append) as demo:
        yield Pair(demo)


@pytest.fixture(scope="session")
def troubled_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    quick = Messages(retry_seconds=0.3, unclear_seconds=3)
    with Demo(tmp_path_factory.mktemp("troubled"), lambda line: None, messages=quick) as demo:
        yield Pair(demo)


@pytest.fixture
def troubled(troubled_pair: Pair) -> Iterator[Pair]:
    """A pair whose network is made to fail; retries and waits are short."""
    yield troubled_pair
    troubled_pair.demo.network.faults.remove()
