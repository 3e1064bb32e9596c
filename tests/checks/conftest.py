"""A world in which everything is in order, to be broken in one place."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import ORGNR, World

from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.network import Network


@pytest.fixture(scope="session")
def network_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("network")


@pytest.fixture
def world(network_keys: Path, tmp_path: Path) -> Iterator[World]:
    archive = SimulatedArchive(
        "Arkiv",
        ORGNR,
        dialect="p360",
        folder=tmp_path / "archive",
        credentials=("arkiv", "hemmelig"),
    )
    with Network(network_keys) as network, archive:
        own = network.add_organisation(ORGNR, "Fjordvik kommune")
        environment = network.environment
        world = World(tmp_path, network, archive)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        world.set(
            organisation={
                "orgnr": ORGNR,
                "keystore": str(own.keystore),
                "keystore_password": own.keystore_password,
            },
            archive={"dialect": "p360", "url": archive.url},
            network={
                "token_url": environment.token_endpoint,
                "token_audience": environment.audience,
                "exchange_url": environment.exchange,
                "broker_url": environment.broker,
                "registry_url": environment.registry,
                "client_id": own.client_id,
                "system_user": own.external_ref,
                "poll_seconds": 0.2,
                "rate_limits": False,
            },
            listen={"port": port},
            messages={"retry_seconds": 0.5},
            alerts={"min_free_bytes": 1000},
        )
        yield world


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine where nobody listens, and nobody else can meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
