"""The transport against the simulated broker: the way there, and what nobody expects."""

from __future__ import annotations

import hashlib
import random
import time
import tracemalloc
import uuid
from pathlib import Path

import httpx
import pytest
from network_side import ARKIVVERKET, KARTVERKET, FileContent, Send, Wiring, fetched, parcel

from gateway import errors
from gateway.ports import Offer, Parcel, TransferState
from gateway.simulators.network import Network
from gateway.transports import broker
from gateway.transports.altinn3 import Altinn3

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


# --- what nobody expects ----------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"fileTransferStatus": "SomethingNew"},
        {"fileTransferStatus": None},
        {"recipients": None, "fileTransferStatus": 7},
    ],
)
def test_status_that_nobody_knows_decides_nothing(
    send: Send, sender: Wiring, network: Network, change: dict[str, object]
) -> None:
    identifier = send()
    network.fault("overview", merge=change)
    with pytest.raises(errors.NetworkUnavailable):
        sender.transport.outcome(identifier, KARTVERKET)


def test_odd_overviews_are_offered_as_far_as_they_can_be_read(
    send: Send, receiver: Wiring, network: Network
) -> None:
    identifier = send()
    network.fault(
        "overview",
        merge={
            "sendersFileTransferReference": None,
            "created": "0001-01-01T00:00:00",
            "fileTransferStatusChanged": "soon",
            "fileTransferSize": None,
            "checksum": "",
            "sender": None,
            "recipients": [None, {}, {"recipient": 3}],
        },
    )
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    assert offer == Offer(identifier, "", ARKIVVERKET, None, None)
    assert fetched(receiver, offer)


@pytest.mark.parametrize("call", ["initialize", "overview", "list", "confirm"])
def test_silent_network_is_given_up(
    send: Send, receiver: Wiring, network: Network, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    monkeypatch.setattr(receiver.client, "timeout", 0.2)
    network.fault(call, delay_before=1.0, times=None)
    started = time.monotonic()
    with pytest.raises(errors.NetworkUnavailable):
        if call == "initialize":
            receiver.transport.announce(parcel(sender=ARKIVVERKET, receiver=KARTVERKET))
        elif call == "overview":
            receiver.transport.outcome(offer.transfer_id, ARKIVVERKET)
        elif call == "list":
            receiver.transport.pending(ARKIVVERKET)
        else:
            receiver.transport.acknowledge(offer)
    assert time.monotonic() - started < 0.9


def test_silence_after_an_upload_is_unclear_and_in_a_download_is_resumed(
    sender: Wiring, receiver: Wiring, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_UPLOAD", httpx.Timeout(0.3))
    monkeypatch.setattr(broker, "_DOWNLOAD", httpx.Timeout(0.3))
    data = b"x" * 200_000
    package = parcel(data)
    identifier = sender.transport.announce(package)
    network.fault("upload", delay_after=1.0)
    with pytest.raises(errors.TransferUnclear):
        sender.transport.upload(identifier, package)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.AVAILABLE
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    network.fault("download", delay_before=1.0)
    assert fetched(receiver, offer) == data


def test_75_mb_pass_with_flat_memory(
    sender: Wiring, receiver: Wiring, tmp_path: Path, network: Network
) -> None:
    """Scenario 17; the simulator runs in the same process and is held to it too."""
    size = 75_000_000
    source = tmp_path / "package"
    digest = hashlib.md5(usedforsecurity=False)
    with source.open("wb") as file:
        piece = random.Random(5).randbytes(1_000_000)
        for _ in range(75):
            file.write(piece)
            digest.update(piece)
    content = FileContent(source, size)
    package = Parcel(KARTVERKET, ARKIVVERKET, str(uuid.uuid4()), content, digest.hexdigest())
    tracemalloc.start()
    try:
        identifier = sender.transport.announce(package)
        sender.transport.upload(identifier, package)
        (offer,) = receiver.transport.pending(ARKIVVERKET)
        with (tmp_path / "arrived").open("w+b") as target:
            assert receiver.transport.fetch(offer, target) == size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


def test_transport_is_what_the_engine_expects(receiver: Wiring) -> None:
    assert isinstance(receiver.transport, Altinn3)
    assert receiver.transport.name == "altinn3"
