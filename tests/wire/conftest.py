"""Options of the conformance suite, and our own endpoint when no other is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from wire_cases import Target

from gateway.edu.limits import Limits
from gateway.engine.context import Context, Policy, Served
from gateway.engine.intake import Intake
from gateway.engine.ledger import Ledger
from gateway.errors import ReceiverUnknown, RegistryRefused, RegistryUnavailable
from gateway.model import Recipient
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.translate import load_mapping


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("wire", "BEST/EDU conformance")
    group.addoption("--endpoint", help="URL of another server's noarkExchange")
    group.addoption("--own", default="991825827", help="its organisation")
    group.addoption("--receiver", default="974760673", help="an organisation on DPO")
    group.addoption("--unknown-receiver", default="811413382", help="one nobody knows")


class StubAddresses:
    """An address registry whose answers the cases know."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def find(self, orgnr: str, process: str | None = None) -> Recipient:
        target = self._target
        if orgnr == target.down:
            raise RegistryUnavailable("simulated")
        if orgnr == target.refused:
            raise RegistryRefused("simulated")
        if orgnr in (target.receiver, target.own):
            return Recipient(orgnr, "Mottaker", "DPO", process or "p", security_level=3)
        if orgnr == target.dpv:
            return Recipient(orgnr, "Privat AS", "DPV", process or "p")
        raise ReceiverUnknown(orgnr)

    def name(self, orgnr: str) -> str | None:
        return None


class AnySize:
    """All that intake asks a transport."""

    largest = None


@pytest.fixture(scope="session")
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    option = request.config.getoption
    found = Target(
        url=option("--endpoint", default=None) or "",
        own=option("--own", default="991825827"),
        receiver=option("--receiver", default="974760673"),
        unknown=option("--unknown-receiver", default="811413382"),
    )
    if found.url:
        yield found
        return
    folder = tmp_path_factory.mktemp("wire")
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    blobs = BlobStore(folder / "blobs")
    context = Context(
        database=database,
        blobs=blobs,
        transport=cast("Any", AnySize()),  # nothing is sent: no workers run here
        addresses=StubAddresses(found),
        archives={},
        identities=[],
        mapping=load_mapping(),
        policy=Policy((Served(found.own, "websak"),), "urn:test:process"),
    )
    intake = Intake(context, Ledger(context))
    listener = Listener(create_app(intake, blobs, limits=Limits()))
    listener.start()
    found.url = f"http://127.0.0.1:{listener.port}/noarkExchange"
    found.blobs = folder / "blobs"
    yield found
    listener.stop(5)
    database.close()
