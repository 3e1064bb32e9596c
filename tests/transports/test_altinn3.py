"""The transport against the simulated broker: every named trouble of altinn-transport 6."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

from network_side import ARKIVVERKET, KARTVERKET, Wiring, parcel

from gateway.ports import Offer, TransferState
from gateway.simulators.network import Network

Send = Callable[..., str]


def fetched(receiver: Wiring, offer: Offer) -> bytes:
    target = io.BytesIO()
    assert receiver.transport.fetch(offer, target) == len(target.getvalue())
    return target.getvalue()


def calls(network: Network, call: str) -> list[int]:
    return [line.status for line in network.requests if line.call == call]


# --- scenario 1: the way there --------------------------------------------------------------


def test_package_arrives_and_is_gone_after_acknowledge(
    send: Send, sender: Wiring, receiver: Wiring
) -> None:
    data = random.Random(1).randbytes(300_000)
    package = parcel(data)
    identifier = send(package)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.AVAILABLE

    (offer,) = receiver.transport.pending(ARKIVVERKET)
    assert (offer.transfer_id, offer.sender, offer.receiver, offer.reference, offer.size) == (
        identifier,
        KARTVERKET,
        ARKIVVERKET,
        package.reference,
        len(data),
    )
    assert fetched(receiver, offer) == data
    receiver.transport.acknowledge(offer)
    assert receiver.transport.pending(ARKIVVERKET) == []
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.FETCHED


def test_both_sides_are_recognisable_by_user_agent(send: Send, network: Network) -> None:
    send()
    assert all(line.user_agent.startswith("edu-gateway/") for line in network.requests)
