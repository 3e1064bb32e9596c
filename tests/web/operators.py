"""A pair of organisations, and letters that fail, for the tests of what operators see."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from gateway.demo import Demo, Side
from gateway.model import Direction, ReceiptType, Status, StatusMessage
from gateway.simulators.archive import Behaviour
from gateway.store import messages
from gateway.store.messages import Kind, Message
from gateway.store.tables import message as messages_table

REFUSAL = StatusMessage("17", "Saken er avsluttet for 01010112345")


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for `condition`; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def letter(side: Side, conversation_id: str) -> Message | None:
    """The letter, outgoing or incoming, that `side` has for this conversation."""
    with side.gateway.database.read() as tx:
        return messages.find(
            tx,
            messages_table.c.archive_conversation_id == conversation_id,
            messages_table.c.kind == Kind.LETTER,
        )


def stored(side: Side, conversation_id: str) -> Message:
    """The same, when it is certainly there."""
    found = letter(side, conversation_id)
    assert found is not None
    return found


def of_kind(side: Side, kind: Kind, direction: Direction) -> list[Message]:
    with side.gateway.database.read() as tx:
        return messages.select(
            tx, messages_table.c.kind == kind, messages_table.c.direction == direction
        )


def statuses(side: Side, conversation_id: str) -> set[Status]:
    """Everything in the timeline of a letter."""
    row = stored(side, conversation_id).row_id
    with side.gateway.database.read() as tx:
        return {one.status for one in messages.events(tx, row)}


def send(demo: Demo) -> str:
    """A letter from A to B that arrives and is answered; its conversation id."""
    a, b = demo.sides
    conversation_id, _ = a.archive.send_letter(b.orgnr, [("a.txt", "text/plain", b"hei")])
    # LEVERT may come after LEST; a timeline that still grows cannot be compared.
    until(lambda: {Status.LEVERT, Status.LEST, Status.MOTTATT} <= statuses(a, conversation_id))
    return conversation_id


def send_refused(demo: Demo) -> str:
    """A letter from A to B that B's archive refuses."""
    a, b = demo.sides
    b.archive.behave(
        Behaviour(type=ReceiptType.ERROR, messages=(REFUSAL,), files=False, receipt=None)
    )
    conversation_id, _ = a.archive.send_letter(b.orgnr, [("a.txt", "text/plain", b"nei")])
    # The refusal may come before MOTTATT, and before it is recorded that the letter was sent.
    told = {Status.OPPRETTET, Status.SENDT, Status.MOTTATT, Status.FEIL}
    until(lambda: told <= statuses(a, conversation_id))
    return conversation_id


def write_settings(side: Side, folder: Path) -> Path:
    """A settings file of a gateway that is running, as its operator has it."""
    path = folder / f"{side.orgnr}.toml"
    (folder / "own.p12").touch()
    path.write_text(
        f"""
folder = '{side.gateway.blobs.folder.parent}'
[organisation]
orgnr = "{side.orgnr}"
keystore = "own.p12"
keystore_password = "unused"
[archive]
dialect = "{side.dialect}"
url = "http://127.0.0.1:1/"
[network]
token_url = "http://127.0.0.1:1/token"
token_audience = "http://127.0.0.1:1/"
exchange_url = "http://127.0.0.1:1/exchange"
broker_url = "http://127.0.0.1:1/broker"
registry_url = "http://127.0.0.1:1/registry"
client_id = "x"
""",
        encoding="utf-8",
    )
    return path
