"""A simulated network, and a gateway's network side wired to it over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from network_side import ARKIVVERKET, KARTVERKET, Wiring, parcel

from gateway import http
from gateway.package.identity import Identity
from gateway.ports import Parcel
from gateway.registry import Registry
from gateway.simulators.network import Network
from gateway.tokens import TokenSource
from gateway.transports.altinn3 import Altinn3
from gateway.transports.pace import Pace


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keystores that are made once for all tests."""
    return tmp_path_factory.mktemp("network")


@pytest.fixture
def network(keys: Path) -> Iterator[Network]:
    """A fresh network with two organisations."""
    with Network(keys) as network:
        network.add_organisation(KARTVERKET, "Eksempel kommune")
        network.add_organisation(ARKIVVERKET, "Eksempel etat")
        yield network


Wire = Callable[..., Wiring]


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One HTTP client, as a gateway has."""
    with http.new_client() as client:
        yield client


@pytest.fixture
def wire(network: Network, client: httpx.Client) -> Wire:
    """Make the network side of an organisation's gateway."""

    def make(orgnr: str, *, pace: Pace | None = None, **options: object) -> Wiring:
        organisation = network.organisations[orgnr]
        environment = network.environment
        tokens = TokenSource(
            token_endpoint=environment.token_endpoint,
            audience=environment.audience,
            client_id=organisation.client_id,
            identity=Identity(
                organisation.private_key, organisation.certificate, organisation.chain
            ),
            http=client,
            exchange=environment.exchange,
        )
        registry = Registry(
            environment.registry,
            tokens.access(["eformidling:dpo"], exchanged=False),
            http=client,
        )
        parties = options.pop("parties", {orgnr: organisation.external_ref})
        transport = Altinn3(
            environment.broker,
            environment.resource,
            tokens,
            parties=parties,  # type: ignore[arg-type]
            http=client,
            pace=pace or Pace(None),
            **options,  # type: ignore[arg-type]
        )
        return Wiring(network, organisation, client, tokens, registry, transport)

    return make


@pytest.fixture
def sender(wire: Wire) -> Wiring:
    """The gateway that sends."""
    return wire(KARTVERKET)


@pytest.fixture
def receiver(wire: Wire) -> Wiring:
    """The gateway that receives."""
    return wire(ARKIVVERKET)


@pytest.fixture
def send(sender: Wiring) -> Callable[..., str]:
    """Announce and upload a package; its id."""

    def deliver(package: Parcel | None = None) -> str:
        package = package or parcel()
        identifier = sender.transport.announce(package)
        sender.transport.upload(identifier, package)
        return identifier

    return deliver
