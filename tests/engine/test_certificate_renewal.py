"""A new certificate, while letters for the old one are still on their way."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from installations import installation
from letters_and_traces import until

from gateway.demo import Side
from gateway.engine.health import Subject
from gateway.model import ReceiptType
from gateway.settings import OldKeystore
from gateway.simulators.network import Network, Organisation
from gateway.simulators.network.authority import Authority, new_key, write_keystore
from gateway.store import messages
from gateway.store.messages import Kind
from gateway.store.tables import message as messages_table

RECEIVER, SENDER = "910077473", "910075918"


def soon_expired(network: Network) -> Organisation:
    """A participant whose certificate has a week left."""
    authority = Authority(network.folder, f"{network.url}/crl")
    key = new_key()
    end = datetime.now(UTC) + timedelta(days=7, hours=1)
    own = authority.issue("Fjordvik", RECEIVER, key, not_after=end)
    keystore = network.folder / "keystores" / f"{RECEIVER}.p12"
    write_keystore(keystore, key, own, (authority.certificate,), alias=RECEIVER)
    return network.add_organisation(RECEIVER, "Fjordvik")


def send(sender: Side, receiver: str) -> str:
    conversation_id, answer = sender.archive.send_letter(
        receiver, [("a.txt", "text/plain", b"Hei")]
    )
    assert answer.type is ReceiptType.OK
    return conversation_id


def home(sender: Side, conversation_id: str) -> list[ReceiptType]:
    """What the sending archive was told in the end."""

    def told() -> list[ReceiptType]:
        found = sender.archive.receipts
        return [one.type for one in found if one.conversation_id == conversation_id]

    until(told)
    return told()


def certificate_days(side: Side) -> int:
    found = side.gateway.health.examine()
    finding = next(one for one in found if one.subject is Subject.CERTIFICATE)
    return int(finding.figures["days"])


@pytest.mark.parametrize("kept", [True, False])
def test_a_letter_for_the_old_certificate_arrives_when_its_keystore_is_kept(
    kept: bool, tmp_path: Path
) -> None:
    with Network(tmp_path / "network") as network, ExitStack() as stack:
        before = soon_expired(network)
        sender = installation(
            network, network.add_organisation(SENDER, "Skogland"), tmp_path / "sender", stack
        )
        with ExitStack() as first_run:
            receiver = installation(network, before, tmp_path / "before", first_run)
            assert certificate_days(receiver) == 7
        conversation_id = send(sender, RECEIVER)
        until(lambda: network.transfers)
        after = network.renew_certificate(RECEIVER)
        assert after.certificate != before.certificate
        old = OldKeystore(after.keystore.with_suffix(".previous.p12"), before.keystore_password)
        receiver = installation(
            network,
            after,
            tmp_path / "after",
            stack,
            organisation={"old_keystores": (old,) if kept else ()},
        )
        assert certificate_days(receiver) > 700
        if not kept:
            assert home(sender, conversation_id) == [ReceiptType.ERROR]
            assert receiver.archive.letters == []
            return
        assert home(sender, conversation_id) == [ReceiptType.OK]
        assert len(receiver.archive.letters) == 1
        answer = send(receiver, SENDER)
        assert home(receiver, answer) == [ReceiptType.OK]
        with sender.gateway.database.read() as tx:
            found = messages.find(
                tx,
                messages_table.c.conversation_id == answer,
                messages_table.c.kind == Kind.LETTER,
            )
        assert found is not None
        assert found.signature is not None
        assert int(found.signature["serial"]) == after.certificate.serial_number
