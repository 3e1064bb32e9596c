"""The transport against the simulated broker: every named trouble of altinn-transport 6."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import random
import re
import time
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from network_side import ARKIVVERKET, KARTVERKET, FileContent, Wiring, parcel

from gateway import errors
from gateway.ports import Offer, Parcel, TransferState
from gateway.simulators.network import EICAR, Network, Status, parameters
from gateway.transports import broker
from gateway.transports.altinn3 import Altinn3
from gateway.transports.channel import Channel
from gateway.transports.pace import ALTINN_LIMITS, Pace, poll_interval

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


# --- sending: 6.3 -----------------------------------------------------------------------------


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


# --- tokens and limits in use ---------------------------------------------------------------------


def test_token_that_expired_early_is_replaced_in_the_middle_of_a_call(
    sender: Wiring, receiver: Wiring, network: Network
) -> None:
    """Scenario 12: 401 without a code is about the token, and costs one repetition."""
    package = parcel()
    identifier = sender.transport.announce(package)
    network.maskinporten.expire_tokens()
    sender.transport.upload(identifier, package)
    assert calls(network, "upload") == [401, 200]
    (offer,) = receiver.transport.pending(ARKIVVERKET)
    network.maskinporten.expire_tokens()
    assert fetched(receiver, offer) == package.content.open().read()
    network.maskinporten.expire_tokens()
    receiver.transport.acknowledge(offer)


def test_withdrawn_system_user_keeps_the_token_and_tells_the_operator(
    sender: Wiring, network: Network
) -> None:
    sender.transport.announce(parcel())
    grants = network.maskinporten.grants
    network.maskinporten.withdraw(KARTVERKET)
    with pytest.raises(errors.NetworkAccessDenied):
        sender.transport.announce(parcel())
    assert network.maskinporten.grants == grants


def test_429_is_obeyed_without_another_call(sender: Wiring, network: Network) -> None:
    """Scenario 13."""
    network.fault("initialize", status=429, headers={"Retry-After": "30"})
    for _ in range(3):
        with pytest.raises(errors.NetworkUnavailable) as caught:
            sender.transport.announce(parcel())
        assert caught.value.retry_after is not None
        assert 25 < caught.value.retry_after <= 30
    assert calls(network, "initialize") == [429]


def test_polling_three_organisations_keeps_within_the_search_budget(
    wire: Callable[..., Wiring], network: Network
) -> None:
    """Scenario 18: on behalf of others, with the network's limits on."""
    network.rate_limits = dict(ALTINN_LIMITS)
    vendor = network.organisations[ARKIVVERKET]
    parties = {ARKIVVERKET: vendor.external_ref}
    for orgnr in ("910077473", "910075918"):
        network.add_system_user(vendor, orgnr, f"for-{orgnr}")
        parties[orgnr] = f"for-{orgnr}"
    moment = [0.0]
    pace = Pace(clock=lambda: moment[0], sleep=lambda s: moment.__setitem__(0, moment[0] + s))
    gateway = wire(ARKIVVERKET, parties=parties, pace=pace)
    for party in parties:
        assert gateway.transport.pending(party) == []
    for _ in range(4):
        gateway.transport.pending(ARKIVVERKET)
    with pytest.raises(errors.NetworkUnavailable) as caught:
        gateway.transport.pending(ARKIVVERKET)
    assert caught.value.retry_after is not None
    assert calls(network, "list").count(429) == 0
    callers = {line.caller for line in network.requests if line.call == "list"}
    assert callers == set(parties)
    assert poll_interval(1) == 15
    assert poll_interval(3) == 25


def test_no_minute_holds_more_calls_than_the_limit() -> None:
    moment = [0.0]
    pace = Pace(
        {"list": 10},
        patience=1000,
        clock=lambda: moment[0],
        sleep=lambda s: moment.__setitem__(0, moment[0] + s),
    )
    times = []
    for _ in range(100):
        pace.take("list")
        times.append(moment[0])
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[10:], strict=False))
    assert times[-1] < 60 * 10
    with pytest.raises(errors.NetworkUnavailable):
        pace.take("list", patience=0.0)


def test_list_beyond_the_search_budget_goes_on_in_the_next_round(
    send: Send, wire: Callable[..., Wiring], network: Network
) -> None:
    """P6: a flood of foreign packages must not hide ours for ever."""
    for _ in range(205):
        send(parcel(reference="foo-42"))
    ours = send()
    moment = [0.0]
    pace = Pace({"list": 3}, patience=0.0, clock=lambda: moment[0])
    receiver = wire(ARKIVVERKET, pace=pace)
    seen = []
    network.fault("list", status=500, after_calls=2)
    for _ in range(3):
        with contextlib.suppress(errors.NetworkUnavailable):
            seen += [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)]
        moment[0] += 61
    assert ours in seen
    assert all(status in (200, 500) for status in calls(network, "list"))


def test_lookups_beyond_the_limit_give_what_is_known(
    send: Send, wire: Callable[..., Wiring], network: Network
) -> None:
    sent = [send() for _ in range(5)]
    moment = [0.0]
    receiver = wire(ARKIVVERKET, pace=Pace({"overview": 3}, clock=lambda: moment[0]))
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == sent[:3]
    moment[0] = 61.0
    assert [o.transfer_id for o in receiver.transport.pending(ARKIVVERKET)] == sent


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
