"""A simulated network and a plain HTTP client that knows nothing of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from network_caller import ANNE, BERIT, Caller

from gateway.simulators.network import Network


@pytest.fixture(scope="session")
def simulator_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keystores that are made once for all tests."""
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture
def network(simulator_keys: Path) -> Iterator[Network]:
    """A fresh network with two organisations."""
    with Network(simulator_keys) as network:
        network.add_organisation(ANNE, "Anne kommune")
        network.add_organisation(BERIT, "Berit etat")
        yield network


@pytest.fixture
def anne(network: Network) -> Iterator[Caller]:
    """The one who sends."""
    with Caller(network, ANNE) as caller:
        yield caller


@pytest.fixture
def berit(network: Network) -> Iterator[Caller]:
    """The one who receives."""
    with Caller(network, BERIT) as caller:
        yield caller
