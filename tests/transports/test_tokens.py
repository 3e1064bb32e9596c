"""Tokens against the simulated Maskinporten and Altinn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
import pytest
from network_side import ARKIVVERKET, KARTVERKET, Wiring, system_user

from gateway.errors import ConfigurationError, Retry, TokenRefused, TokenUnavailable
from gateway.http import call, new_client
from gateway.package.identity import Identity
from gateway.simulators.network import Network, Organisation
from gateway.tokens import SystemUser, TokenSource

BROKER = frozenset({"altinn:broker.read", "altinn:broker.write"})
Source = Callable[..., TokenSource]


@pytest.fixture
def source(network: Network, client: httpx.Client) -> Source:
    """A token source of an organisation, with some of its settings changed."""

    def make(organisation: Organisation | None = None, **changes: object) -> TokenSource:
        organisation = organisation or network.organisations[KARTVERKET]
        environment = network.environment
        settings: dict[str, object] = {
            "token_endpoint": environment.token_endpoint,
            "audience": environment.audience,
            "client_id": organisation.client_id,
            "identity": Identity(
                organisation.private_key, organisation.certificate, organisation.chain
            ),
            "http": client,
            "exchange": environment.exchange,
        }
        return TokenSource(**{**settings, **changes})  # type: ignore[arg-type]

    return make


def claims(token: str) -> dict[str, object]:
    return jwt.decode(token, options={"verify_signature": False})


def test_exchanged_token_acts_for_the_system_users_organisation(
    source: Source, network: Network
) -> None:
    organisation = network.organisations[KARTVERKET]
    token = source().access(BROKER, system_user(organisation), exchanged=True)()
    detail = claims(token)["authorization_details"][0]  # type: ignore[index]
    assert detail["systemuser_org"]["ID"] == f"0192:{KARTVERKET}"
    assert claims(token)["urn:altinn:authenticatemethod"] == "maskinporten"


@pytest.mark.parametrize("by", ["certificate", "certificate without chain", "key id"])
def test_grant_names_its_key_in_either_way(source: Source, network: Network, by: str) -> None:
    organisation = network.organisations[KARTVERKET]
    changes: dict[str, object] = {}
    if by == "key id":
        changes["key_id"] = organisation.key_id
    elif by == "certificate without chain":
        changes["identity"] = Identity(organisation.private_key, organisation.certificate)
    assert source(**changes).access(["eformidling:dpo"], exchanged=False)()


def test_token_is_fetched_once_and_renewed_before_it_expires(
    source: Source, network: Network
) -> None:
    ahead = [0.0]
    tokens = source(clock=lambda: time.time() + ahead[0])
    access = tokens.access(BROKER, system_user(network.organisations[KARTVERKET]), exchanged=True)
    first = access()
    assert access() == first
    ahead[0] = 1500.0
    assert access() == first
    ahead[0] = 1800.0 - 170.0  # less than a tenth of its life is left
    with pytest.raises(TokenRefused, match="clock"):  # a grant from the future
        access()


def test_short_lived_token_is_used_until_shortly_before_its_end(
    source: Source, network: Network
) -> None:
    ahead = [0.0]
    access = source(clock=lambda: time.time() + ahead[0]).access(
        ["eformidling:dpo"], exchanged=False
    )
    first = access()
    ahead[0] = 100.0
    assert access() == first
    assert network.maskinporten.grants == 1


def test_many_threads_cause_one_fetch(source: Source, network: Network) -> None:
    network.fault("token", delay_after=0.1)
    access = source().access(["eformidling:dpo"], exchanged=False)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(access())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert network.maskinporten.grants == 1


def test_each_acting_organisation_has_its_own_token(source: Source, network: Network) -> None:
    organisation = network.organisations[KARTVERKET]
    network.add_system_user(organisation, "910077473")
    tokens = source()
    own = tokens.access(BROKER, system_user(organisation), exchanged=True)()
    other = tokens.access(BROKER, SystemUser("910077473"), exchanged=True)()
    detail = claims(other)["authorization_details"][0]  # type: ignore[index]
    assert detail["systemuser_org"]["ID"] == "0192:910077473"
    assert own != other


def test_refused_token_is_dropped_only_once(source: Source, network: Network) -> None:
    access = source().access(["eformidling:dpo"], exchanged=False)
    first = access()
    access.refused(first)
    second = access()
    access.refused(first)  # somebody who still holds the old one
    assert second != first
    assert access() == second


def test_unknown_system_user_is_named(source: Source) -> None:
    with pytest.raises(TokenRefused, match=r"MP-301.*910075918.*'wrong'") as caught:
        source().access(BROKER, SystemUser("910075918", "wrong"), exchanged=True)()
    assert caught.value.retry == Retry.AFTER_OPERATOR


def test_unapproved_system_user_is_refused(source: Source, network: Network) -> None:
    organisation = network.organisations[KARTVERKET]
    network.maskinporten.withdraw(KARTVERKET)
    with pytest.raises(TokenRefused, match="MP-302"):
        source().access(BROKER, system_user(organisation), exchanged=True)()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_id": "MOVE_IP_910000000"}, "MP-100"),
        ({"audience": "https://maskinporten.no"}, "MP-110"),
        ({"client_id": f"MOVE_IP_{ARKIVVERKET}"}, "MP-122"),
        ({"key_id": "unknown"}, "MP-121"),
        ({"clock": lambda: time.time() - 600}, "MP-130"),
        ({"clock": lambda: time.time() + 30}, "MP-130"),
    ],
)
def test_refusals_are_explained_to_the_operator(
    source: Source, change: dict[str, object], code: str
) -> None:
    with pytest.raises(TokenRefused, match=code):
        source(**change).access(["eformidling:dpo"], exchanged=False)()


def test_scope_that_is_not_granted_is_refused(source: Source) -> None:
    with pytest.raises(TokenRefused, match="MP-201"):
        source().access(["eformidling:dph"], exchanged=False)()


def test_someone_elses_key_does_not_sign_for_us(source: Source, network: Network) -> None:
    own, other = network.organisations[KARTVERKET], network.organisations[ARKIVVERKET]
    with pytest.raises(TokenRefused, match="MP-124"):
        source(identity=Identity(other.private_key, own.certificate)).access(
            ["eformidling:dpo"], exchanged=False
        )()


def test_reused_grant_is_made_anew_once(source: Source, network: Network) -> None:
    body = '{"error": "invalid_grant", "error_description": "Used (MP-012)"}'
    network.fault("token", status=400, body=body)
    assert source().access(["eformidling:dpo"], exchanged=False)()
    network.fault("token", status=400, body=body, times=2)
    with pytest.raises(TokenUnavailable):
        source().access(["eformidling:dpo"], exchanged=False)()


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        ("token", {"status": 500}),
        ("token", {"status": 503, "headers": {"Retry-After": "7"}}),
        ("token", {"status": 200, "body": "<html></html>"}),
        ("token", {"status": 200, "body": "{}"}),
        ("token", {"drop": "before"}),
        ("exchange", {"status": 401}),
        ("exchange", {"status": 500}),
        ("exchange", {"status": 200, "body": "not a token"}),
    ],
)
def test_outages_pass_by_themselves(
    source: Source, network: Network, operation: str, rule: dict[str, object]
) -> None:
    access = source().access(BROKER, system_user(network.organisations[KARTVERKET]), exchanged=True)
    network.fault(operation, **rule)
    with pytest.raises(TokenUnavailable) as caught:
        access()
    if "headers" in rule:
        assert caught.value.retry_after == 7
    assert access()


def test_answer_that_trickles_is_given_up_in_total(network: Network) -> None:
    network.fault("metadata", trickle=100.0)
    started = time.monotonic()
    with new_client() as client, pytest.raises(TokenUnavailable, match="not done within"):
        call(
            client,
            "GET",
            f"{network.url}/.well-known/oauth-authorization-server",
            unavailable=TokenUnavailable,
            total=0.5,
        )
    assert time.monotonic() - started < 2


def test_exchange_address_is_needed_for_exchanged_tokens(source: Source) -> None:
    with pytest.raises(ConfigurationError, match="exchange"):
        source(exchange=None).access(BROKER, exchanged=True)()


def test_secrets_are_in_no_log_line_and_no_repr(
    sender: Wiring, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    """At any level, httpx's and httpcore's own included."""
    caplog.set_level(logging.DEBUG)
    access = sender.tokens.access(
        BROKER, system_user(network.organisations[KARTVERKET]), exchanged=True
    )
    token = access()
    sender.registry.find(ARKIVVERKET)
    sender.transport.check(KARTVERKET)
    network.fault("token", status=500)
    access.refused(token)
    with pytest.raises(TokenUnavailable) as caught:
        access()
    seen = caplog.text + repr(sender) + repr(access) + repr(vars(access)) + str(caught.value)
    seen += repr(network.organisations[KARTVERKET])
    assert len(caplog.records) > 5
    for secret in (token, token.split(".")[1][:60], "eyJ", "PRIVATE KEY", "simulated'"):
        assert secret not in seen


def test_tls_is_verified_and_a_ca_file_of_ones_own_is_trusted(tmp_path: Path) -> None:
    with Network(tmp_path, tls=True) as network:
        url = f"{network.url}/.well-known/oauth-authorization-server"
        assert url.startswith("https://")
        with new_client() as client, pytest.raises(TokenUnavailable, match="CERTIFICATE_VERIFY"):
            call(client, "GET", url, unavailable=TokenUnavailable)
        with new_client(network.ca_file) as client:
            assert call(client, "GET", url, unavailable=TokenUnavailable).ok


def test_proxies_of_the_environment_are_used_except_for_loopback(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.delenv("NO_PROXY", raising=False)
    with new_client() as client:
        url = f"{network.url}/.well-known/oauth-authorization-server"
        assert call(client, "GET", url, unavailable=TokenUnavailable).ok
        with pytest.raises(TokenUnavailable):
            call(client, "GET", "http://maskinporten.example/", unavailable=TokenUnavailable)
    assert network.requests[-1].path.startswith("/.well-known")


def test_answer_without_end_is_refused(network: Network) -> None:
    network.fault("jwks", status=200, body="x" * 5000)
    with new_client() as client, pytest.raises(TokenUnavailable, match="more than 1000 bytes"):
        call(client, "GET", f"{network.url}/jwks", unavailable=TokenUnavailable, limit=1000)
