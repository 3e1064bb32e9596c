"""One gateway for several organisations: what is sent and received stays with each of them.

Gateway A speaks for its own organisation, for a customer with an archive of its own and
for one that shares A's archive; B is somebody else. Everything goes over real HTTP.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from installations import archive_of, installation
from letters_and_traces import letter_of, until

from gateway.demo import Side
from gateway.engine.health import Subject
from gateway.model import AppReceipt, ReceiptType, Status, StatusMessage
from gateway.package import build_package, kvittering_sbd, read_sbd_only
from gateway.ports import Parcel
from gateway.settings import (
    ArchiveSystem,
    OnBehalfOf,
)
from gateway.simulators.archive import Behaviour
from gateway.simulators.network import Network as SimulatedNetwork
from gateway.store import arrivals, messages
from gateway.store.messages import Kind, Role
from gateway.store.tables import message as messages_table

OWN, CUSTOMER, GUEST, OTHER = "910077473", "974760673", "889640782", "910075918"
CONTENT = b"Et brev som er lagd her. " * 50
OK, ERROR = ReceiptType.OK, ReceiptType.ERROR


@dataclass
class World:
    """`own`, `customer` and `other` as sides; the guest's letters go to `own`'s archive."""

    network: SimulatedNetwork
    sides: dict[str, Side] = field(default_factory=dict)

    def send(self, sender: str, receiver: str, conversation_id: str | None = None) -> str:
        """A letter that is taken; what the sending archive calls it."""
        conversation_id, answer = self.sides[sender].archive.send_letter(
            receiver,
            [("brev.txt", "text/plain", CONTENT)],
            conversation_id=conversation_id,
        )
        assert answer.type is OK
        return conversation_id

    def receipts(self, orgnr: str, conversation_id: str, other: str) -> list[ReceiptType]:
        """What the archive of `orgnr` was told by `other` about its letter."""
        return [
            one.type
            for one in self.sides[orgnr].archive.receipts
            if one.conversation_id == conversation_id
            and one.envelope.sender is not None
            and one.envelope.sender.orgnr == other
        ]

    def filed(self, orgnr: str, conversation_id: str) -> list[tuple[str | None, str | None]]:
        """The parties of the letter as often as the archive of `orgnr` has it."""
        return [
            (one.envelope.sender.orgnr, one.envelope.receiver.orgnr)  # type: ignore[union-attr]
            for one in self.sides[orgnr].archive.letters
            if one.conversation_id == conversation_id
        ]

    def comes_home(self, sender: str, receiver: str, conversation_id: str) -> None:
        """Wait for the receipt in the sender's archive; it is the only one, and OK."""
        until(lambda: self.receipts(sender, conversation_id, receiver))
        assert self.receipts(sender, conversation_id, receiver) == [OK]
        letter = letter_of(self.sides[sender], conversation_id)
        assert letter is not None
        assert (letter.receiver, letter.state) == (receiver, Status.LEST)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("on-behalf-of")
    with ExitStack() as stack:
        network = stack.enter_context(SimulatedNetwork(folder / "network"))
        world = World(network)
        own = network.add_organisation(OWN, "Fjordvik kommune")
        network.add_customer(own, CUSTOMER, "Fjordvik havn", external_ref="havna")
        network.add_customer(own, GUEST, "Fjordvik kirkelige fellesråd")
        other = network.add_organisation(OTHER, "Skogland fylkeskommune")
        harbour = archive_of(CUSTOMER, folder / "harbour", stack, "p360")
        a = installation(
            network,
            own,
            folder / "a",
            stack,
            on_behalf_of=(
                OnBehalfOf(CUSTOMER, "havna", ArchiveSystem("p360", harbour.url)),
                OnBehalfOf(GUEST),
            ),
        )
        # This archive does not name itself as sender; its address does.
        harbour.gateway_url = f"{a.gateway.url}/{CUSTOMER}"
        b = installation(network, other, folder / "b", stack)
        c = Side("C", CUSTOMER, "Fjordvik havn", "p360", harbour, a.gateway)
        world.sides.update({OWN: a, CUSTOMER: c, OTHER: b})
        yield world


def test_each_sends_in_its_own_name_and_gets_its_own_receipt(world: World) -> None:
    sent = {orgnr: world.send(orgnr, OTHER) for orgnr in (OWN, CUSTOMER)}
    for orgnr, conversation_id in sent.items():
        world.comes_home(orgnr, OTHER, conversation_id)
        assert world.filed(OTHER, conversation_id) == [(orgnr, OTHER)]
    assert world.receipts(OWN, sent[CUSTOMER], OTHER) == []
    assert world.receipts(CUSTOMER, sent[OWN], OTHER) == []
    parties = {(one.sender, *one.recipients) for one in world.network.transfers}
    assert {(f"0192:{OWN}", f"0192:{OTHER}"), (f"0192:{CUSTOMER}", f"0192:{OTHER}")} <= parties


def test_each_gets_its_letters_and_answers_in_its_own_name(world: World) -> None:
    homes = {OWN: OWN, CUSTOMER: CUSTOMER, GUEST: OWN}
    sent = {orgnr: world.send(OTHER, orgnr) for orgnr in homes}
    for orgnr, conversation_id in sent.items():
        world.comes_home(OTHER, orgnr, conversation_id)
        for home in (OWN, CUSTOMER):
            expected = [(OTHER, orgnr)] if homes[orgnr] == home else []
            assert world.filed(home, conversation_id) == expected
    with world.sides[OTHER].gateway.database.read() as tx:
        for orgnr, conversation_id in sent.items():
            statuses = messages.select(
                tx, messages_table.c.conversation_id == conversation_id.lower()
            )
            assert {(one.sender, one.receiver) for one in statuses} <= {
                (OTHER, orgnr),
                (orgnr, OTHER),
            }


def test_one_conversation_with_two_of_us_is_two_letters(world: World) -> None:
    """One of them is refused; the other's receipt is not mistaken for it."""
    reason = (StatusMessage("17", "Feil mottaker"),)
    world.sides[CUSTOMER].archive.behave(Behaviour("result", ERROR, reason))
    conversation_id = world.send(OTHER, OWN)
    world.send(OTHER, CUSTOMER, conversation_id)
    until(lambda: world.receipts(OTHER, conversation_id, OWN))
    until(lambda: world.receipts(OTHER, conversation_id, CUSTOMER))
    assert world.receipts(OTHER, conversation_id, OWN) == [OK]
    assert world.receipts(OTHER, conversation_id, CUSTOMER) == [ERROR]


def test_two_archives_may_use_the_same_id(world: World) -> None:
    for conversation_id in ("2026/42", str(uuid.uuid4())):
        for orgnr in (OWN, CUSTOMER):
            world.send(orgnr, OTHER, conversation_id)
        for orgnr in (OWN, CUSTOMER):
            world.comes_home(orgnr, OTHER, conversation_id)
    with world.sides[OWN].gateway.database.read() as tx:
        found = messages.select(
            tx,
            messages_table.c.archive_conversation_id == "2026/42",
            messages_table.c.kind == Kind.LETTER,
        )
    assert len({one.conversation_id for one in found}) == 2


def test_letters_between_two_of_us_go_over_the_network(world: World) -> None:
    for sender, receiver in ((OWN, CUSTOMER), (CUSTOMER, OWN), (CUSTOMER, GUEST)):
        home = OWN if receiver == GUEST else receiver
        conversation_id = world.send(sender, receiver)
        world.comes_home(sender, receiver, conversation_id)
        assert world.filed(home, conversation_id) == [(sender, receiver)]
        assert world.receipts(home, conversation_id, sender) == []


def test_one_message_id_to_two_of_us_is_two_letters(world: World, tmp_path: Path) -> None:
    conversation_id = world.send(OTHER, OWN)
    world.comes_home(OTHER, OWN, conversation_id)
    letter = letter_of(world.sides[OTHER], conversation_id)
    assert letter is not None
    context = world.sides[OTHER].gateway.context
    with context.database.read() as tx:
        built = messages.package(tx, letter.row_id, context.blobs)
        documents = messages.documents(tx, letter.row_id, context.blobs, Role.METADATA, Role.FILE)
    assert built is not None
    with built[0].open() as package:
        sbd = replace(read_sbd_only(package), receiver_id=f"0192:{CUSTOMER}")
    scratch = context.blobs.scratch()
    with scratch.open("xb+") as target:
        again = build_package(
            target,
            sbd,
            documents,
            signer=context.identities[0],
            receiver_certificate=world.sides[OWN].gateway.context.identities[0].certificate,
        )
    content = context.blobs.adopt(scratch, again.size, again.sha256)
    parcel = Parcel(OTHER, CUSTOMER, str(uuid.uuid4()), content, again.md5)
    context.transport.upload(context.transport.announce(parcel), parcel)
    until(lambda: world.filed(CUSTOMER, conversation_id))
    assert world.filed(CUSTOMER, conversation_id) == [(OTHER, CUSTOMER)]


def test_a_package_for_another_than_it_was_sent_to_is_kept_apart(world: World) -> None:
    conversation_id = world.send(OTHER, CUSTOMER)
    world.comes_home(OTHER, CUSTOMER, conversation_id)
    letter = letter_of(world.sides[OTHER], conversation_id)
    assert letter is not None
    context = world.sides[OTHER].gateway.context
    with context.database.read() as tx:
        built = messages.package(tx, letter.row_id, context.blobs)
    assert built is not None
    stray = Parcel(OTHER, OWN, str(uuid.uuid4()), *built)
    transfer = context.transport.announce(stray)
    context.transport.upload(transfer, stray)

    def kept() -> bool:
        with world.sides[OWN].gateway.database.read() as tx:
            return arrivals.state(tx, transfer) is arrivals.ArrivalState.QUARANTINED

    until(kept)
    assert world.filed(CUSTOMER, conversation_id) == [(OTHER, CUSTOMER)]
    assert world.filed(OWN, conversation_id) == []


def test_a_receipt_to_the_wrong_one_of_us_settles_nothing(world: World) -> None:
    world.sides[OTHER].archive.behave(Behaviour("status", status=503))
    conversation_id = world.send(CUSTOMER, OTHER)
    letter = letter_of(world.sides[CUSTOMER], conversation_id)
    assert letter is not None
    context = world.sides[OTHER].gateway.context
    sbd = kvittering_sbd(
        sender=OTHER,
        receiver=OWN,
        message_id=str(uuid.uuid4()),
        conversation_id=letter.conversation_id,
        related_to_message_id=letter.message_id,
        receipt=AppReceipt(ERROR),
        created=context.now(),
        expires=None,
    )
    scratch = context.blobs.scratch()
    with scratch.open("xb+") as target:
        package = build_package(
            target, sbd, [], signer=context.identities[0], receiver_certificate=None
        )
    content = context.blobs.adopt(scratch, package.size, package.sha256)
    parcel = Parcel(OTHER, OWN, str(uuid.uuid4()), content, package.md5)
    transfer = context.transport.announce(parcel)
    context.transport.upload(transfer, parcel)
    world.comes_home(CUSTOMER, OTHER, conversation_id)


def test_trouble_with_one_leaves_the_others_alone(world: World) -> None:
    """The customer has withdrawn its approval; and gives it again."""
    users = [one for one in world.network.maskinporten.system_users if one.orgnr == CUSTOMER]
    world.network.maskinporten.withdraw(CUSTOMER)
    world.network.maskinporten.expire_tokens()
    health = world.sides[OWN].gateway.health

    def network_finding() -> str:
        found = next(one for one in health.examine() if one.subject is Subject.NETWORK)
        return "" if found.well else found.summary

    until(lambda: CUSTOMER in network_finding())
    assert OWN not in network_finding()
    world.comes_home(OTHER, OWN, world.send(OTHER, OWN))
    for user in users:
        user.approved = True
    until(lambda: not network_finding())
    world.comes_home(OTHER, CUSTOMER, world.send(OTHER, CUSTOMER))
