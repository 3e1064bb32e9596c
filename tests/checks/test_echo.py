"""``edu-gateway echo``: a letter to oneself, and what is said when it does not come home."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from world import World

from gateway.app import Gateway
from gateway.cli import main
from gateway.echo import WAY, Seen, send_echo
from gateway.model import ReceiptType, Status
from gateway.simulators.archive_answers import Behaviour


@pytest.fixture
def running(world: World) -> Iterator[World]:
    """A gateway that works, with a login at its endpoint."""
    world.set(listen={"username": "arkiv", "password": "hemmelig"})
    gateway = Gateway(world.settings())
    gateway.start()
    world.archive.gateway_url = gateway.url
    yield world
    gateway.stop()


def test_the_whole_way_home(running: World) -> None:
    result = CliRunner().invoke(main, ["echo", "--config", str(running.config)])
    assert result.exit_code == 0, result.output
    told = [one.split()[2] for one in result.output.splitlines() if " s  " in one]
    assert sorted(told) == sorted(WAY)
    assert told[:2] == ["OPPRETTET", "SENDT"]
    (letter,) = running.archive.letters
    assert (letter.title or "").startswith("TEST: ekkobrev")
    assert letter.envelope.sender is not None
    assert letter.envelope.sender.orgnr == running.own.orgnr
    (document,) = letter.documents
    assert document.filename == "ekko.txt"
    assert letter.conversation_id in result.output
    assert "hemmelig" not in result.output


def test_archive_that_sends_no_receipts(running: World) -> None:
    running.archive.default = Behaviour(receipt=None)
    told: list[Seen] = []
    outcome = _echo(running, told, until=Status.LEVERT)
    assert outcome.arrived
    assert {one.status for one in told} == set(WAY) - {Status.LEST}


def test_archive_that_is_down(running: World) -> None:
    running.archive.stop()
    outcome = _echo(running, [], timeout=4.0)
    assert not outcome.arrived
    assert set(outcome.missing) >= {Status.INNKOMMENDE_LEVERT, Status.LEVERT, Status.LEST}
    assert any("ArchiveUnreachable" in one for one in outcome.problems)


def test_archive_that_refuses(running: World) -> None:
    running.archive.default = Behaviour("result", type=ReceiptType.ERROR, receipt=None)
    outcome = _echo(running, [])
    assert outcome.refusal is not None
    assert outcome.refusal.startswith("FEIL")


def test_gateway_that_refuses(running: World) -> None:
    del running.network.registry.entries[running.own.orgnr]
    outcome = _echo(running, [])
    assert outcome.refusal is not None
    assert "Fant ikke service record" in outcome.refusal


def test_gateway_that_is_not_running(world: World) -> None:
    result = CliRunner().invoke(main, ["echo", "--config", str(world.config)])
    assert result.exit_code == 1
    assert "Is the gateway running?" in " ".join(result.output.split())
    assert not (world.folder / "data").exists()


def test_timeout_names_what_is_missing_and_where_to_look(running: World) -> None:
    running.network.fault("upload", status=503, times=None)
    arguments = ["echo", "--config", str(running.config), "--timeout", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    words = " ".join(result.output.split())
    assert "OPPRETTET" in words
    assert "SENDT, INNKOMMENDE_MOTTATT, MOTTATT" in words
    assert "token-broker and transport of `edu-gateway check`" in words
    assert max(map(len, result.output.splitlines())) <= 80


def _echo(world: World, told: list[Seen], until: Status = Status.LEST, timeout: float = 60.0):
    return send_echo(
        world.settings(), now=datetime.now(UTC), tell=told.append, until=until, timeout=timeout
    )
