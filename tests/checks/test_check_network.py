"""``edu-gateway check`` of the network: servers, clock and rights."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import pytest
from world import FAIL, ORGNR, SKIP, WARN, World, line, not_well

from gateway.checks import Grade
from gateway.checks.clock import seconds_ahead

# --- servers that do not answer -------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key", "name"),
    [
        ("archive", "url", "archive-tcp"),
        ("network", "token_url", "token-endpoint"),
        ("network", "exchange_url", "token-exchange"),
        ("network", "registry_url", "registry"),
        ("network", "broker_url", "broker"),
    ],
)
def test_closed_port(world: World, closed_port: int, section: str, key: str, name: str) -> None:
    world.set(**{section: {key: f"http://127.0.0.1:{closed_port}/x"}})
    findings = world.check()
    assert not_well(findings) == {name: FAIL}
    assert str(closed_port) in line(findings, name).seen
    assert "refused" in line(findings, name).seen
    builds_on_it = [one for one in findings if one.seen == f"not tried because {name} failed"]
    assert builds_on_it


def test_a_name_that_nobody_knows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def unknown(host: object, *rest: object, **more: object) -> object:
        if host == "arkiv.example":  # real name servers are no loopback
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    world.set(archive={"url": "http://arkiv.example/edu"})
    findings = world.check()
    assert not_well(findings) == {"archive-dns": FAIL}
    assert "arkiv.example: Name or service" in line(findings, "archive-dns").seen


def test_broken_registry_is_not_taken_for_reachable(world: World) -> None:
    world.network.fault("jwk", status=503, times=None)
    assert not_well(world.check()) == {"registry": FAIL}


# --- clock ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "grade"), [(8.0, WARN), (60.0, FAIL), (-8.0, WARN), (-60.0, FAIL)]
)
def test_clock_that_is_off(world: World, seconds: float, grade: Grade) -> None:
    world.network.clock.advance(seconds)
    findings = world.check()
    assert not_well(findings) == {"clock": grade}
    assert ("behind" if seconds > 0 else "ahead of") in line(findings, "clock").seen
    tokens = line(findings, "token-broker").grade
    assert tokens is (SKIP if grade is FAIL else Grade.OK)


@pytest.mark.parametrize(
    ("asked", "answered", "ahead"),
    [(100.2, 100.9, 0.0), (95.0, 106.0, 0.0), (110.5, 111.0, 9.5), (90.0, 91.0, -9.0)],
)
def test_slow_answers_and_whole_seconds_are_no_difference(
    asked: float, answered: float, ahead: float
) -> None:
    date = datetime.fromtimestamp(100, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert seconds_ahead(date, asked, answered) == pytest.approx(ahead)
    assert seconds_ahead("yesterday", asked, answered) is None


# --- rights ---------------------------------------------------------------------------


def test_unknown_client(world: World) -> None:
    world.set(network={"client_id": "someone"})
    findings = world.check()
    assert not_well(findings) == {"token-registry": FAIL, "token-broker": FAIL}
    assert "client id is unknown" in line(findings, "token-broker").seen


def test_scope_that_was_not_granted(world: World) -> None:
    client = world.network.maskinporten.clients[world.own.client_id]
    client.scopes -= {"altinn:broker.write"}
    findings = world.check()
    assert not_well(findings) == {"token-broker": FAIL}
    assert "MP-201" in line(findings, "token-broker").seen


def test_system_user_that_was_not_approved(world: World) -> None:
    world.network.maskinporten.withdraw(ORGNR)
    findings = world.check()
    assert not_well(findings) == {"token-broker": FAIL}
    assert "system user" in line(findings, "token-broker").seen


def test_organisation_without_a_record(world: World) -> None:
    del world.network.registry.entries[ORGNR]
    assert not_well(world.check()) == {"registry-self": FAIL}


def test_resource_without_access(world: World) -> None:
    resource = world.network.environment.resource
    world.network.broker.denied.add((ORGNR, resource, "read"))
    assert not_well(world.check()) == {"transport": FAIL}
