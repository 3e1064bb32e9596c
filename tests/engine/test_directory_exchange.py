"""Letters through a shared folder: with no network at all, and with the registry only."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from letters_and_traces import filed, receipts, timeline, until

from gateway.address_book import AddressBook
from gateway.app import Gateway
from gateway.demo import Side
from gateway.errors import ConfigurationError
from gateway.model import ReceiptType, Status
from gateway.settings import (
    ArchiveSystem,
    Listen,
    Messages,
    Network,
    Organisation,
    Settings,
    load_settings,
)
from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.network import Network as SimulatedNetwork
from gateway.simulators.network import Organisation as Participant

PARTIES = (("910077473", "Fjordvik kommune", "p360"), ("910075918", "Skogland", "ephorte"))
CONTENT = random.Random(3).randbytes(200_000)


def address_book(folder: Path, participants: list[Participant]) -> Path:
    path = folder / "addresses.toml"
    for one in participants:
        (folder / f"{one.orgnr}.pem").write_text(one.certificate_pem)
    path.write_text(
        "\n".join(
            f'[[organisation]]\norgnr = "{one.orgnr}"\nname = "{one.name}"\n'
            f'certificate_file = "{one.orgnr}.pem"'
            for one in participants
        )
    )
    return path


def side(
    stack: ExitStack, home: Path, participant: Participant, dialect: str, network: Network
) -> Side:
    (home / "archive").mkdir(parents=True)
    archive = SimulatedArchive(
        participant.name, participant.orgnr, dialect=dialect, folder=home / "archive"
    )
    archive.start()
    stack.callback(archive.stop)
    gateway = Gateway(
        Settings(
            organisation=Organisation(
                participant.orgnr, participant.keystore, participant.keystore_password
            ),
            archive=ArchiveSystem(dialect, archive.url),
            network=network,
            folder=home / "gateway",
            listen=Listen(port=0),
            messages=Messages(retry_seconds=0.3),
        )
    )
    gateway.start()
    stack.callback(gateway.stop)
    archive.gateway_url = gateway.url
    return Side(dialect, participant.orgnr, participant.name, dialect, archive, gateway)


@pytest.fixture(params=["address book", "registry"])
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Side]]:
    with ExitStack() as stack:
        simulated = SimulatedNetwork(tmp_path / "network")
        participants = [simulated.add_organisation(orgnr, name) for orgnr, name, _ in PARTIES]
        shared = tmp_path / "shared"
        shared.mkdir()
        if request.param == "registry":
            simulated.start()
            stack.callback(simulated.stop)
        made = []
        for participant, (_, _, dialect) in zip(participants, PARTIES, strict=True):
            if request.param == "registry":
                network = Network(
                    transport="directory",
                    directory=shared,
                    poll_seconds=0.2,
                    token_url=simulated.environment.token_endpoint,
                    token_audience=simulated.environment.audience,
                    registry_url=simulated.environment.registry,
                    client_id=participant.client_id,
                )
            else:
                book = address_book(tmp_path, participants)
                network = Network(
                    transport="directory", directory=shared, poll_seconds=0.2, addresses=book
                )
            home = tmp_path / participant.orgnr
            made.append(side(stack, home, participant, dialect, network))
        yield made


def test_letters_and_receipts_go_both_ways_through_a_folder(
    sides: list[Side], tmp_path: Path
) -> None:
    for sender, receiver in (sides, sides[::-1]):
        conversation_id, answer = sender.archive.send_letter(
            receiver.orgnr, [("brev.pdf", "application/pdf", CONTENT)]
        )
        assert answer.type is ReceiptType.OK
        until(lambda s=sender, c=conversation_id: Status.LEST in timeline(s, c))
        until(lambda s=sender, c=conversation_id: receipts(s, c))
        (letter,) = filed(receiver, conversation_id)
        checksums = [one.content.sha256 for one in letter.documents]
        assert checksums == [hashlib.sha256(CONTENT).hexdigest()]
        assert [one.type for one in receipts(sender, conversation_id)] == [ReceiptType.OK]

    def all_taken() -> bool:
        return not list((tmp_path / "shared").rglob("*.zip"))

    until(all_taken)
    assert list((tmp_path / "shared").rglob("*.zip.accepted"))
    assert not list((tmp_path / "shared").rglob("*.zip.rejected"))


def test_somebody_who_is_not_listed_cannot_be_written_to(sides: list[Side]) -> None:
    conversation_id, answer = sides[0].archive.send_letter("889640782", [("a.txt", "t/x", b"x")])
    assert answer.type is ReceiptType.ERROR
    assert receipts(sides[0], conversation_id) == []


# --- settings and the file --------------------------------------------------------------

SETTINGS = """
[organisation]
orgnr = "910077473"
keystore = "own.p12"
keystore_password = "x"
[archive]
dialect = "p360"
url = "http://archive.example/edu"
[network]
"""


def settings_error(folder: Path, network: str) -> str:
    (folder / "own.p12").touch()
    (folder / "gateway.toml").write_text(SETTINGS + network)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(folder / "gateway.toml", {})
    return caught.value.detail


def test_only_what_the_transport_needs_must_be_there(tmp_path: Path) -> None:
    air_gapped = 'transport = "directory"\ndirectory = "shared"\naddresses = "addresses.toml"\n'
    for name in ("own.p12", "addresses.toml"):
        (tmp_path / name).touch()
    (tmp_path / "gateway.toml").write_text(SETTINGS + air_gapped)
    assert load_settings(tmp_path / "gateway.toml", {}).network.directory == tmp_path / "shared"
    assert "network.directory: missing" in settings_error(tmp_path, 'transport = "directory"')
    assert "network.registry_url: missing" in settings_error(tmp_path, 'transport = "directory"')
    assert "network.broker_url: missing" in settings_error(tmp_path, "")
    assert "altinn3, directory" in settings_error(tmp_path, 'transport = "pigeon"')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no [[organisation]]"),
        ('[[organisation]]\norgnr = "12"', "nine digits"),
        ('[[organisation]]\norgnr = "910077473"', "name: missing"),
        ('[[organisation]]\norgnr = "910077473"\nname = "F"\ncolour = 1', "colour"),
        ('[[organisation]]\norgnr = "910077473"\nname = "F"\ncertificate = "x"', "certificate"),
        ('[[organisation]]\norgnr = "910077473"\nname = "F"\ncertificate_file = "x"', "No such"),
        ("= 1", "addresses.toml"),
    ],
)
def test_what_is_wrong_with_an_address_book_is_named(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "addresses.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        AddressBook(path, "process")
    assert problem in caught.value.detail
