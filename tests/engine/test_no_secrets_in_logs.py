"""Every log line of two gateways, at DEBUG: no secret, no title, no content, no person.

The gateways are processes that run as they do in service, with ``--log-level DEBUG``.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from letters_and_traces import until
from sqlalchemy.exc import SQLAlchemyError

sys.path.append(str(Path(__file__).parents[1] / "kill"))
from kill_world import Node, Side, World

from gateway.cli.logs import _Masking
from gateway.model import ReceiptType
from gateway.simulators.archive_calls import GatewayAnswered
from gateway.store.database import Database

PERSON = "01017012345"
TITLE = f"Klage fra Kari Hemmelig {PERSON}"
FILENAME = f"Vedtak {PERSON} hemmelig.txt"
CONTENT = b"Dette er innholdet i et hemmelig vedtak. " * 200


class TalkativeNode(Node):
    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "gateway", "run", "--config", str(self.config)]
            self.process = subprocess.Popen(
                [*command, "--log-level", "DEBUG"],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.config.parent,
            )


def pieces(data: bytes, length: int = 24) -> set[str]:
    """Parts of it as they would look in a log: base64, hex, and `repr`."""
    text = base64.b64encode(data).decode()
    found = {text[at : at + length] for at in range(0, len(text) - length, length)}
    return found | {data[at : at + 16].hex() for at in range(0, len(data) - 16, 16)}


def accepted(sender: Side, receiver: Side) -> str:
    """Sends a letter, again after each refusal, until it is taken."""
    while True:
        with contextlib.suppress(GatewayAnswered):  # while there is no token
            conversation_id, answer = sender.archive.send_letter(
                receiver.orgnr, [(FILENAME, "text/plain", CONTENT)], title=TITLE
            )
            if answer.type is ReceiptType.OK:
                return conversation_id


def test_no_log_line_holds_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kill_world.Node", TalkativeNode)
    world = World(tmp_path, seed=2)
    try:
        maskinporten = world.network.maskinporten
        for sender, receiver in (world.sides, world.sides[::-1]):
            world.network.fault("token", status=400, body='{"error":"invalid_grant"}')
            world.network.fault("exchange", status=500, body="no")
            maskinporten.expire_tokens()
            conversation_id = accepted(sender, receiver)
            until(
                lambda s=sender, c=conversation_id: any(
                    one.conversation_id == c for one in s.archive.receipts
                ),
                40,
            )
        assert world.stop() == [0, 0]
        logs = "".join(node.log.read_text() for node in world.nodes)
    finally:
        world.abandon()
    secrets = {"Kari", "Hemmelig", "hemmelig vedtak", "eyJ", "PRIVATE KEY"}
    for organisation in world.network.organisations.values():
        key = organisation.private_key
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            secrets |= pieces(key.private_bytes(Encoding.DER, form, NoEncryption()))
        secrets.add(str(key.private_numbers().d)[:30])
        # its word is also part of the simulated network's name
        assert not re.search(rf"(?<![\w-]){organisation.keystore_password}(?![\w-])", logs)
    secrets |= pieces(CONTENT)
    assert len(logs) > 5_000, "the gateways were to talk"
    assert "DEBUG" in logs
    leaked = [line for line in logs.splitlines() if any(one in line for one in secrets)]
    assert leaked == []
    assert not re.search(r"(?<![0-9A-Za-z])\d{11}(?![0-9A-Za-z])", logs)


def test_what_runs_masks_eleven_digits_whoever_writes_them() -> None:
    record = logging.LogRecord("other", logging.INFO, "", 1, "about %s", (PERSON,), None)
    assert _Masking("%(message)s").format(record) == "about " + "*" * 11


def test_an_error_of_the_database_does_not_repeat_what_was_to_be_written(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    try:
        with pytest.raises(SQLAlchemyError) as caught, database.read() as tx:
            tx.execute(sa.text("INSERT INTO nowhere VALUES (:title)"), {"title": TITLE})
        assert TITLE not in str(caught.value)
    finally:
        database.close()
