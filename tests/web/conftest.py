"""One running pair of organisations for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from gateway.demo import Demo, Side


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("operators"), lambda line: None) as running:
        yield running


@pytest.fixture(scope="session")
def a(demo: Demo) -> Side:
    return demo.sides[0]


@pytest.fixture(scope="session")
def b(demo: Demo) -> Side:
    return demo.sides[1]


@pytest.fixture(scope="session")
def site(a: Side) -> Iterator[httpx.Client]:
    """A's pages, over a real socket."""
    with httpx.Client(base_url=a.gateway.url.removesuffix("/noarkExchange")) as client:
        yield client
