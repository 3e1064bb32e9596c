"""Sending over the simulated broker, and its troubles (altinn-transport 6.3)."""

from __future__ import annotations

import random
import uuid

import pytest
from network_side import ARKIVVERKET, KARTVERKET, Send, Wiring, calls, fetched, parcel

from gateway import errors
from gateway.ports import TransferState
from gateway.simulators.network import EICAR, Network


def test_announced_but_not_uploaded_is_told_apart(sender: Wiring) -> None:
    """Scenario 2: a crash after announcing; the same id takes the upload."""
    package = parcel()
    identifier = sender.transport.announce(package)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.ANNOUNCED
    sender.transport.upload(identifier, package)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.AVAILABLE


def test_lost_answer_to_announce_leaves_an_orphan_that_nobody_sees(
    sender: Wiring, receiver: Wiring, network: Network
) -> None:
    network.fault("initialize", drop="after")
    package = parcel()
    with pytest.raises(errors.NetworkUnavailable):
        sender.transport.announce(package)
    sender.transport.upload(sender.transport.announce(package), package)
    assert len(network.transfers) == 2
    assert len(receiver.transport.pending(ARKIVVERKET)) == 1


def test_lost_answer_to_upload_is_unclear_and_the_overview_decides(
    sender: Wiring, receiver: Wiring, network: Network
) -> None:
    """Scenarios 3 and 4: no second package appears."""
    package = parcel()
    identifier = sender.transport.announce(package)
    network.fault("upload", drop="after")
    with pytest.raises(errors.TransferUnclear):
        sender.transport.upload(identifier, package)
    assert sender.transport.outcome(identifier, KARTVERKET).uploaded
    sender.transport.upload(identifier, package)  # a 409, which means: it is there
    assert calls(network, "upload")[-1] == 409
    assert len(receiver.transport.pending(ARKIVVERKET)) == 1


def test_line_lost_in_the_middle_of_an_upload_takes_the_same_id_again(
    sender: Wiring, network: Network
) -> None:
    data = random.Random(2).randbytes(3_000_000)
    package = parcel(data)
    identifier = sender.transport.announce(package)
    network.fault("upload", drop="during", cut_after=100_000)
    with pytest.raises(errors.TransferUnclear):
        sender.transport.upload(identifier, package)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.UPLOADING
    sender.transport.upload(identifier, package)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.AVAILABLE
    (transfer,) = network.transfers
    assert transfer.checksum == package.md5


def test_upload_with_other_bytes_than_announced_needs_a_new_transfer(sender: Wiring) -> None:
    package = parcel(md5="0" * 32)
    identifier = sender.transport.announce(package)
    with pytest.raises(errors.TransferFailed):
        sender.transport.upload(identifier, package)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.FAILED


def test_malware_shows_as_failed_and_the_receiver_sees_nothing(
    send: Send, sender: Wiring, receiver: Wiring
) -> None:
    """Scenario 8."""
    identifier = send(parcel(b"zip" + EICAR + b"zip"))
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.FAILED
    assert receiver.transport.pending(ARKIVVERKET) == []


def test_slow_scan_shows_as_processing(
    send: Send, sender: Wiring, receiver: Wiring, network: Network
) -> None:
    network.broker.scan.delay = 1200
    identifier = send()
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.PROCESSING
    assert receiver.transport.pending(ARKIVVERKET) == []
    network.clock.advance(1200)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.AVAILABLE
    assert len(receiver.transport.pending(ARKIVVERKET)) == 1


def test_unknown_and_never_published_transfers_have_failed(
    sender: Wiring, network: Network
) -> None:
    assert sender.transport.outcome(str(uuid.uuid4()), KARTVERKET) == TransferState.FAILED
    identifier = sender.transport.announce(parcel())
    network.clock.advance(31 * 86400)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.FAILED


def test_purged_after_delivery_is_gone_not_failed(
    send: Send, sender: Wiring, receiver: Wiring, network: Network
) -> None:
    identifier = send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    fetched(receiver, offer)
    receiver.transport.acknowledge(offer)
    network.clock.advance(25 * 3600)
    assert sender.transport.outcome(identifier, KARTVERKET) == TransferState.GONE


def test_upload_streams_with_known_length(sender: Wiring, network: Network) -> None:
    network.broker.resources[network.environment.resource].max_size = 10
    package = parcel(b"eleven byte")
    identifier = sender.transport.announce(package)
    with pytest.raises(errors.TooLarge):  # only judged when Content-Length is known
        sender.transport.upload(identifier, package)


@pytest.mark.parametrize(
    ("rule", "error", "retry"),
    [
        ({"status": 500}, errors.NetworkUnavailable, errors.Retry.LATER),
        (
            {"status": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"},
            errors.NetworkUnavailable,
            errors.Retry.LATER,
        ),
        ({"status": 503, "code": "BRO-00021"}, errors.NetworkUnavailable, errors.Retry.LATER),
        ({"status": 401, "code": "BRO-00006"}, errors.NetworkAccessDenied, errors.Retry.LATER),
        ({"status": 401, "times": 2}, errors.NetworkUnavailable, errors.Retry.LATER),
        ({"status": 403}, errors.NetworkAccessDenied, errors.Retry.LATER),
        ({"status": 403, "code": "BRO-00005"}, errors.NetworkRefused, errors.Retry.AFTER_OPERATOR),
        ({"status": 400, "code": "BRO-00025"}, errors.NetworkRefused, errors.Retry.AFTER_OPERATOR),
        ({"status": 400, "code": "BRO-00026"}, errors.CannotHandle, errors.Retry.NEVER),
        ({"status": 400, "code": "BRO-00028"}, errors.ReceiverNotOnNetwork, errors.Retry.NEVER),
        ({"status": 400}, errors.CannotHandle, errors.Retry.NEVER),
        ({"drop": "before"}, errors.NetworkUnavailable, errors.Retry.LATER),
    ],
)
def test_refused_announcements_say_whether_trying_again_helps(
    sender: Wiring,
    network: Network,
    rule: dict[str, object],
    error: type[errors.GatewayError],
    retry: errors.Retry,
) -> None:
    network.fault("initialize", **rule)
    with pytest.raises(error) as caught:
        sender.transport.announce(parcel())
    assert type(caught.value) is error
    assert caught.value.retry == retry


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"status": 500, "code": "BRO-00008"}, errors.TransferFailed),
        ({"status": 504}, errors.TransferUnclear),
        ({"status": 404, "code": "BRO-00001"}, errors.TransferFailed),
        ({"status": 429}, errors.NetworkUnavailable),
        ({"status": 409, "code": "BRO-00004"}, errors.TransferUnclear),
    ],
)
def test_refused_uploads_say_what_to_do_next(
    sender: Wiring, network: Network, rule: dict[str, object], error: type[errors.GatewayError]
) -> None:
    package = parcel()
    identifier = sender.transport.announce(package)
    network.fault("upload", **rule)
    with pytest.raises(error) as caught:
        sender.transport.upload(identifier, package)
    assert type(caught.value) is error


def test_network_that_is_not_there_is_unavailable(sender: Wiring, network: Network) -> None:
    package = parcel()
    identifier = sender.transport.announce(package)
    network.stop()
    with pytest.raises(errors.NetworkUnavailable):
        sender.transport.upload(identifier, package)
    with pytest.raises(errors.NetworkUnavailable):
        sender.transport.outcome(identifier, KARTVERKET)


def test_acting_for_an_organisation_without_system_user_names_it(sender: Wiring) -> None:
    with pytest.raises(errors.ConfigurationError, match="910077473"):
        sender.transport.announce(parcel(sender="910077473"))
