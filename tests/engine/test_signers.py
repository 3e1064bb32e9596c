"""Who signed a package, for whom one is encrypted, and what is done about a stranger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from installations import installation
from letters_and_traces import letter_of, until

from gateway.certificates import fingerprint, read_certificates
from gateway.demo import Side
from gateway.engine.health import Finding, Subject
from gateway.engine.operations import Operations
from gateway.model import ReceiptType, Status
from gateway.registry import Registry
from gateway.settings import TrustedSigners
from gateway.simulators.network import Network
from gateway.store import messages
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message
from gateway.store.tables import message as messages_table

HONEST, REVOKED, RECEIVER = "910077473", "974760673", "910075918"


@dataclass
class World:
    network: Network
    trusted: TrustedSigners
    """The simulated network's authority is on a list of our own."""
    honest: Side
    revoked: Side

    def letter(self, sender: Side, receiver: Side) -> Message:
        """Send a letter; the message that the receiver's gateway made of it."""
        conversation_id, answer = sender.archive.send_letter(
            receiver.orgnr, [("a.txt", "text/plain", b"x")]
        )
        assert answer.type is ReceiptType.OK
        until(lambda: any(it.conversation_id == conversation_id for it in sender.archive.receipts))
        with receiver.gateway.database.read() as tx:
            found = messages.find(
                tx,
                messages_table.c.conversation_id == conversation_id,
                messages_table.c.kind == Kind.LETTER,
            )
        assert found is not None
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("signers")
    with ExitStack() as stack:
        network = stack.enter_context(Network(folder / "network"))
        senders = [
            installation(network, network.add_organisation(orgnr, orgnr), folder / orgnr, stack)
            for orgnr in (HONEST, REVOKED)
        ]
        network.revoke(REVOKED)
        (root,) = read_certificates(network.ca_file)
        authorities = folder / "authorities.toml"
        authorities.write_text(
            f'[test]\npolicies = []\nroots = {{ ours = "{fingerprint(root)}" }}\n'
            "intermediates = {}\n"
        )
        trusted = TrustedSigners(network.ca_file, "test", authorities)
        yield World(network, trusted, *senders)


@pytest.fixture
def receiver(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Side]:
    """A gateway with the settings of trust that the test asks for."""
    participant = world.network.add_organisation(RECEIVER, "Mottaker")
    trust = getattr(request, "param", None) or {}
    with ExitStack() as stack:
        # Its lists are its own: each test begins without any.
        trusted = TrustedSigners(
            **{
                "certificates": world.trusted.certificates,
                "environment": world.trusted.environment,
                "authorities": world.trusted.authorities,
                **trust,
            }
        )
        yield installation(world.network, participant, tmp_path, stack, trust=trusted)
        world.network.faults.remove()


def lists_finding(side: Side) -> Finding | None:
    found = side.gateway.health.examine()
    return next((one for one in found if one.subject is Subject.REVOCATION), None)


@pytest.mark.parametrize("receiver", [{"certificates": None}], indirect=True)
def test_without_certificates_only_the_signature_itself_is_verified(
    world: World, receiver: Side
) -> None:
    letter = world.letter(world.revoked, receiver)
    assert letter.warnings == ()
    assert letter.signature is not None
    assert letter.signature["digest"] == "sha256"


def test_a_revoked_signer_is_noted_and_a_list_is_fetched_once(world: World, receiver: Side) -> None:
    asked = len([it for it in world.network.requests if it.call == "crl"])
    assert lists_finding(receiver).well  # type: ignore[union-attr]
    assert world.letter(world.honest, receiver).warnings == ()
    (warning,) = world.letter(world.revoked, receiver).warnings
    assert "revoked" in warning
    assert len([it for it in world.network.requests if it.call == "crl"]) == asked + 1
    assert len(receiver.archive.letters) == 2


@pytest.mark.parametrize("receiver", [{"chain": "reject"}], indirect=True)
def test_a_revoked_signer_is_refused_where_the_operator_says_so(
    world: World, receiver: Side
) -> None:
    assert world.letter(world.honest, receiver).warnings == ()
    refused = world.letter(world.revoked, receiver)
    assert "revoked" in refused.warnings[0]
    assert len(receiver.archive.letters) == 1
    assert [it.type for it in world.revoked.archive.receipts][-1] is ReceiptType.ERROR


@pytest.mark.parametrize("receiver", [{"chain": "reject", "revocation": "off"}], indirect=True)
def test_no_list_is_asked_when_that_is_off(world: World, receiver: Side) -> None:
    assert world.letter(world.revoked, receiver).warnings == ()
    assert lists_finding(receiver) is None


@pytest.mark.parametrize("receiver", [{"chain": "reject"}], indirect=True)
@pytest.mark.parametrize("trouble", [{"status": 503}, {"delay_before": 30.0}])
def test_a_list_that_cannot_be_had_stops_no_letter(
    world: World, receiver: Side, trouble: dict[str, float]
) -> None:
    world.network.fault("crl", times=None, **trouble)
    (note,) = world.letter(world.honest, receiver).warnings
    assert "no revocation list could tell" in note
    assert len(receiver.archive.letters) == 1
    finding = lists_finding(receiver)
    assert finding is not None
    assert not finding.well
    assert "/crl" in finding.summary


@pytest.mark.parametrize("receiver", [{"chain": "reject", "revocation": "required"}], indirect=True)
def test_a_list_may_be_required(world: World, receiver: Side) -> None:
    world.network.fault("crl", times=None, status=503)
    refused = world.letter(world.honest, receiver)
    assert "no revocation list could tell" in refused.warnings[0]
    assert receiver.archive.letters == []


@pytest.mark.parametrize("receiver", [{"authorities": None}], indirect=True)
def test_a_signer_whose_chain_is_not_trusted_is_noted(world: World, receiver: Side) -> None:
    (warning,) = world.letter(world.honest, receiver).warnings
    assert "no trusted root" in warning


# --- whom we encrypt for --------------------------------------------------------------


def sent_to(sender: Side, orgnr: str) -> str:
    """Hand a letter to the gateway of `sender`; what its archive calls it."""
    conversation_id, answer = sender.archive.send_letter(orgnr, [("a.txt", "text/plain", b"x")])
    assert answer.type is ReceiptType.OK
    return conversation_id


def record_of(side: Side, conversation_id: str) -> Message:
    letter = letter_of(side, conversation_id)
    assert letter is not None
    return letter


def obstacle(side: Side, conversation_id: str) -> str:
    """What comes in the way of a letter that is not sent yet."""
    row = record_of(side, conversation_id).row_id
    work = Operations(side.gateway.context).show(row).work
    return next((one.problem for one in work if one.task is Task.SEND and one.problem), "")


def test_a_revoked_receiver_is_noted_and_logged(
    world: World, receiver: Side, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = sent_to(receiver, HONEST), sent_to(receiver, REVOKED)
    until(lambda: {one.conversation_id for one in receiver.archive.receipts} >= {good, bad})
    assert record_of(receiver, good).warnings == ()
    (warning,) = record_of(receiver, bad).warnings
    assert warning.startswith("receiver: the certificate is revoked")
    assert any("receiver: the certificate is revoked" in one for one in caplog.messages)


@pytest.mark.parametrize("receiver", [{"chain": "reject"}], indirect=True)
def test_nothing_is_encrypted_for_a_revoked_receiver_where_the_operator_says_so(
    world: World, receiver: Side
) -> None:
    good, bad = sent_to(receiver, HONEST), sent_to(receiver, REVOKED)
    until(lambda: any(one.conversation_id == good for one in receiver.archive.receipts))
    until(lambda: "revoked" in obstacle(receiver, bad))
    assert obstacle(receiver, bad).startswith("CertificateUnusable: receiver: ")
    assert record_of(receiver, bad).state is Status.OPPRETTET


@pytest.mark.parametrize("receiver", [{"authorities": None}], indirect=True)
def test_a_receiver_whose_chain_is_not_trusted_is_noted(world: World, receiver: Side) -> None:
    conversation_id = sent_to(receiver, HONEST)
    until(lambda: any(it.conversation_id == conversation_id for it in receiver.archive.receipts))
    (warning,) = record_of(receiver, conversation_id).warnings
    assert warning == "receiver: no trusted root certificate is configured"


@pytest.mark.parametrize("receiver", [{"certificates": None}], indirect=True)
@pytest.mark.parametrize(
    ("begins", "ends", "problem"),
    [(-9, -1, "the receiver's certificate expired 20"), (1, 9, "is not valid yet")],
)
def test_a_letter_waits_for_a_receiver_whose_certificate_is_not_valid(
    world: World, receiver: Side, begins: int, ends: int, problem: str
) -> None:
    """Also where no chain is looked at; it goes when a valid one is published."""
    listed = world.network.registry.entries[HONEST]
    valid, now = listed.certificate, datetime.now(UTC)
    key = world.honest.gateway.context.identities[0].private_key
    listed.certificate = world.network._authority.issue(
        "Fjordvik",
        HONEST,
        key,
        not_before=now + timedelta(days=begins),
        not_after=now + timedelta(days=ends),
    )
    conversation_id = sent_to(receiver, HONEST)
    until(lambda: problem in obstacle(receiver, conversation_id))
    assert record_of(receiver, conversation_id).state is Status.OPPRETTET
    listed.certificate = valid
    addresses = receiver.gateway.context.addresses
    assert isinstance(addresses, Registry)
    addresses._cache.clear()  # as it is after five minutes
    until(lambda: any(it.conversation_id == conversation_id for it in receiver.archive.receipts))
