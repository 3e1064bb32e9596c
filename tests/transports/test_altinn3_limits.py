"""Altinn's tokens and limits, as the transport meets them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from network_side import ARKIVVERKET, KARTVERKET, Send, Wiring, calls, fetched, parcel

from gateway import errors
from gateway.simulators.network import Network
from gateway.transports.pace import ALTINN_LIMITS, Pace, poll_interval


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
