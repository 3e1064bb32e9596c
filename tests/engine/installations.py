"""Gateways with archives, built one by one on a simulated network."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.demo import Side
from gateway.settings import ArchiveSystem, Listen, Messages, Network, Organisation, Settings
from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.network import Network as SimulatedNetwork
from gateway.simulators.network import Organisation as Participant


def archive_of(orgnr: str, folder: Path, stack: ExitStack, dialect: str) -> SimulatedArchive:
    """An archive that runs until `stack` is left."""
    folder.mkdir(parents=True)
    archive = SimulatedArchive("Fagsystem", orgnr, dialect=dialect, folder=folder)
    archive.start()
    stack.callback(archive.stop)
    return archive


def reached(network: SimulatedNetwork, participant: Participant, **changes: Any) -> Network:
    """The settings that lead to the simulated network."""
    environment = network.environment
    settings = Network(
        token_url=environment.token_endpoint,
        token_audience=environment.audience,
        exchange_url=environment.exchange,
        broker_url=environment.broker,
        registry_url=environment.registry,
        client_id=participant.client_id,
        system_user=participant.external_ref,
        poll_seconds=0.3,
        rate_limits=False,
    )
    return replace(settings, **changes)


def installation(
    network: SimulatedNetwork,
    participant: Participant,
    home: Path,
    stack: ExitStack,
    *,
    dialect: str = "ephorte",
    network_settings: dict[str, Any] | None = None,
    organisation: dict[str, Any] | None = None,
    **settings: Any,
) -> Side:
    """A gateway of `participant` and its archive; they run until `stack` is left."""
    archive = archive_of(participant.orgnr, home / "archive", stack, dialect)
    gateway = Gateway(
        Settings(
            organisation=Organisation(
                participant.orgnr,
                participant.keystore,
                participant.keystore_password,
                **(organisation or {}),
            ),
            archive=ArchiveSystem(dialect, archive.url),
            network=reached(network, participant, **(network_settings or {})),
            folder=home / "gateway",
            listen=Listen(port=0),
            messages=Messages(retry_seconds=0.3),
            **settings,
        )
    )
    gateway.start()
    stack.callback(gateway.stop)
    archive.gateway_url = gateway.url
    return Side("C", participant.orgnr, participant.name, dialect, archive, gateway)
