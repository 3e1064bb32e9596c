"""Receiving and polling over the simulated broker (altinn-transport 1.7 and 6.4)."""

from __future__ import annotations

import logging
import random
import re
import uuid
from collections.abc import Callable

import pytest
from network_side import ARKIVVERKET, Send, Wiring, calls, fetched, parcel

from gateway import errors
from gateway.simulators.network import Network, Status, parameters
from gateway.transports.channel import Channel

# --- receiving: 6.4 ---------------------------------------------------------------------------


def test_begun_download_is_offered_again_after_a_restart(
    send: Send, receiver: Wiring, wire: Callable[..., Wiring]
) -> None:
    """Scenario 5: what Integrasjonspunkt loses, since it polls one list only."""
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    assert not offer.reoffered
    fetched(receiver, offer)
    restarted = wire(ARKIVVERKET)
    (again,) = restarted.transport.pending(ARKIVVERKET)
    assert again.transfer_id == offer.transfer_id
    assert again.reoffered


def test_begun_downloads_are_looked_for_every_fourth_round(
    send: Send, receiver: Wiring, network: Network
) -> None:
    for _ in range(8):
        receiver.transport.pending(ARKIVVERKET)
    assert len(calls(network, "list")) == 10


def test_interrupted_download_goes_on_where_it_stopped(
    send: Send, receiver: Wiring, network: Network
) -> None:
    data = random.Random(3).randbytes(500_000)
    send(parcel(data))
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    network.fault("download", cut_after=200_000)
    network.fault("download", cut_after=100_000)
    assert fetched(receiver, offer) == data
    assert calls(network, "download") == [200, 206, 206]


def test_network_that_ignores_ranges_is_read_from_the_start_and_given_up_in_the_end(
    send: Send, receiver: Wiring, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(parcel(b"x" * 1000))
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    monkeypatch.setattr(parameters, "_RANGE", re.compile("never"))
    network.fault("download", cut_after=500)
    assert fetched(receiver, offer) == b"x" * 1000
    network.fault("download", cut_after=500, times=None)
    with pytest.raises(errors.NetworkUnavailable):
        fetched(receiver, offer)


def test_flipped_byte_is_noticed_and_fetched_again(
    send: Send, receiver: Wiring, network: Network
) -> None:
    send(parcel(b"x" * 1000))
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    network.fault("download", flip_byte=500)
    assert fetched(receiver, offer) == b"x" * 1000
    network.fault("download", flip_byte=500, times=None)
    with pytest.raises(errors.DigestMismatch):
        fetched(receiver, offer)


def test_announced_length_that_is_wrong_is_noticed(
    send: Send, receiver: Wiring, network: Network
) -> None:
    send(parcel(b"x" * 1000))
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    network.fault("download", wrong_length=-10)
    network.fault("download", wrong_length=10)
    assert fetched(receiver, offer) == b"x" * 1000


def test_file_without_checksum_is_judged_by_length(
    send: Send, receiver: Wiring, network: Network
) -> None:
    send(parcel(b"x" * 1000))
    network.fault("overview", merge={"checksum": None, "ukjent": {"felt": [1]}})
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    assert offer.md5 is None
    network.fault("download", wrong_length=-10)
    assert fetched(receiver, offer) == b"x" * 1000


def test_download_that_never_progresses_ends(
    send: Send, receiver: Wiring, network: Network
) -> None:
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    network.fault("download", cut_after=0, times=None)
    with pytest.raises(errors.NetworkUnavailable):
        fetched(receiver, offer)


def test_offer_that_expired_is_gone(send: Send, receiver: Wiring, network: Network) -> None:
    """Scenario 16."""
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    network.clock.advance(31 * 86400)
    with pytest.raises(errors.OfferGone):
        fetched(receiver, offer)
    receiver.transport.acknowledge(offer)  # nothing to be done about it
    assert receiver.transport.pending(ARKIVVERKET) == []


def test_acknowledging_twice_is_harmless(send: Send, receiver: Wiring) -> None:
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    fetched(receiver, offer)
    receiver.transport.acknowledge(offer)
    receiver.transport.acknowledge(offer)


def test_rejected_package_is_not_offered_again(send: Send, receiver: Wiring) -> None:
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    fetched(receiver, offer)
    receiver.transport.reject(offer, "no zip")
    assert receiver.transport.pending(ARKIVVERKET) == []


def test_lost_answer_to_confirm_is_settled_by_the_next(
    send: Send, receiver: Wiring, network: Network
) -> None:
    """Scenario 7."""
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    fetched(receiver, offer)
    network.fault("confirm", drop="after")
    with pytest.raises(errors.NetworkUnavailable):
        receiver.transport.acknowledge(offer)
    receiver.transport.acknowledge(offer)
    assert calls(network, "confirm") == [0, 400]


def test_another_installation_that_takes_our_packages_is_noticed(
    send: Send,
    receiver: Wiring,
    wire: Callable[..., Wiring],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """6.6: the first confirm meets a package that is confirmed already."""
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    rival = wire(ARKIVVERKET)
    fetched(rival, offer)
    rival.transport.acknowledge(offer)
    fetched(receiver, offer)
    with caplog.at_level(logging.WARNING):
        receiver.transport.acknowledge(offer)
    assert "another installation" in caplog.text


def test_confirm_of_a_download_that_the_network_forgot(
    send: Send, receiver: Wiring, network: Network
) -> None:
    """BRO-00019: the network wants to see a download first."""
    send()
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    receiver.transport.acknowledge(offer)
    assert network.transfers[0].status == Status.AllConfirmedDownloaded


# --- lists: 1.7 ---------------------------------------------------------------------------------


def test_250_packages_come_in_order_and_are_looked_up_once(
    send: Send, receiver: Wiring, network: Network
) -> None:
    """Scenario 9."""
    sent = [send(parcel(b"%d" % number)) for number in range(250)]
    assert [offer.transfer_id for offer in receiver.transport.pending(ARKIVVERKET)] == sent
    assert len(calls(network, "overview")) == 250
    receiver.transport.pending(ARKIVVERKET)
    assert len(calls(network, "overview")) == 250


def test_flood_for_a_foreign_channel_hides_nothing(
    send: Send, receiver: Wiring, network: Network
) -> None:
    """Scenario 10: more foreign packages than one page, ours behind them."""
    for _ in range(120):
        send(parcel(reference="foo-42"))
    ours = send()
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == [ours]
    looked_up = len(calls(network, "overview"))
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == [ours]
    assert len(calls(network, "overview")) == looked_up
    assert receiver.transport.skipped(ARKIVVERKET) == 120


def test_two_gateways_of_one_organisation_share_by_channel(
    send: Send, receiver: Wiring, wire: Callable[..., Wiring]
) -> None:
    """Scenario 11."""
    second = wire(ARKIVVERKET, channel="foo-42")
    theirs, ours = send(parcel(reference="foo-42")), send()
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == [ours]
    assert [o.transfer_id for o in second.transport.pending(ARKIVVERKET)] == [theirs]
    sole = wire(ARKIVVERKET, accept_any_reference=True)
    assert [o.transfer_id for o in sole.transport.pending(ARKIVVERKET)] == [theirs, ours]


@pytest.mark.parametrize(
    ("reference", "ours"),
    [
        (None, True),
        ("", False),
        ("foo-42", False),
        ("test-data", False),
        ("a" * 25, False),
        ("a" * 26, True),
        ("a.b", True),
        ("æøå", True),
        ("foo\n", True),
        ("3ae45699-08a6-45c3-94b8-b4cead4e1ebc", True),
    ],
)
def test_references_that_look_like_a_channel_are_not_for_the_default_installation(
    reference: str | None, ours: bool
) -> None:
    assert Channel().takes(reference) is ours


def test_ids_of_purged_and_unknown_files_in_the_list_do_no_harm(
    send: Send, receiver: Wiring, network: Network
) -> None:
    purged = send()
    network.force_status(purged, Status.Purged)
    good = send()
    network.fault("list", extend=[str(uuid.uuid4()), purged, good, good])
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == [good]


def test_one_overview_that_fails_does_not_stop_the_round(
    send: Send, receiver: Wiring, network: Network
) -> None:
    first, second = send(), send()
    network.fault("overview", status=500, transfer_id=first)
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == [second]
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == [first, second]


def test_polling_without_rights_says_so(receiver: Wiring, network: Network) -> None:
    receiver.transport.check(ARKIVVERKET)
    network.maskinporten.withdraw(ARKIVVERKET)
    with pytest.raises(errors.NetworkAccessDenied):
        receiver.transport.pending(ARKIVVERKET)
    with pytest.raises(errors.NetworkAccessDenied):
        receiver.transport.check(ARKIVVERKET)
