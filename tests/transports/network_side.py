"""What the tests of the network side share."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from gateway.ports import Offer, Parcel
from gateway.registry import Registry
from gateway.simulators.network import Network, Organisation
from gateway.spool import BytesContent
from gateway.tokens import SystemUser, TokenSource
from gateway.transports.altinn3 import Altinn3

KARTVERKET, ARKIVVERKET = "991825827", "974760673"

Send = Callable[..., str]
"""The fixture `send`."""


@dataclass(frozen=True)
class FileContent:
    """A `model.Content` in a file."""

    path: Path
    size: int

    @property
    def sha256(self) -> str:
        raise NotImplementedError

    def open(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass
class Wiring:
    """Everything a gateway has on its network side."""

    network: Network
    organisation: Organisation
    client: httpx.Client
    tokens: TokenSource
    registry: Registry
    transport: Altinn3


def parcel(
    data: bytes = b"PK\x03\x04 a package",
    *,
    sender: str = KARTVERKET,
    receiver: str = ARKIVVERKET,
    reference: str | None = None,
    md5: str | None = None,
) -> Parcel:
    """A package of these bytes."""
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Parcel(
        sender, receiver, reference or str(uuid.uuid4()), BytesContent(data), md5 or digest
    )


def system_user(organisation: Organisation) -> SystemUser:
    """The organisation's own."""
    return SystemUser(organisation.orgnr, organisation.external_ref)


def fetched(receiver: Wiring, offer: Offer) -> bytes:
    target = io.BytesIO()
    assert receiver.transport.fetch(offer, target) == len(target.getvalue())
    return target.getvalue()


def calls(network: Network, call: str) -> list[int]:
    return [line.status for line in network.requests if line.call == call]
