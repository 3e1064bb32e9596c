"""Stopped as a service manager does: what is under way ends, and nothing is in doubt after."""

from __future__ import annotations

import hashlib
import random
import signal
import time
from pathlib import Path

from kill_world import Accepted, World

from gateway.model import OK, ReceiptType
from gateway.simulators.archive import Behaviour


def test_a_delivery_under_way_ends_before_the_process_does(tmp_path: Path) -> None:
    world = World(tmp_path, seed=1, trouble=0)
    try:
        sender, receiver = world.sides
        (node,) = receiver.nodes
        receiver.archive.default = Behaviour(delay=2.0, receipt=None)
        content = random.randbytes(20_000)
        conversation_id, answer = sender.archive.send_letter(
            receiver.orgnr, [("Brev.bin", "application/octet-stream", content)]
        )
        assert answer.type is ReceiptType.OK
        checksum = hashlib.sha256(content).hexdigest()
        world.accepted.append(Accepted(sender, receiver, conversation_id, checksum))
        deadline = time.monotonic() + 60
        while not receiver.archive.letters:
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)
        assert node.process is not None
        node.process.terminate()  # while the archive thinks
        assert node.process.wait(60) == 0

        states = world._query(
            receiver,
            "SELECT state, unclear, held FROM message JOIN job ON job.message = message.id"
            " WHERE kind = 'letter' AND task = 'deliver'",
        )
        assert [tuple(one) for one in states] == [("INNKOMMENDE_LEVERT", None, 0)]
        (letter,) = receiver.archive.letters
        node.start()
        node.wait()
        receiver.archive.send_receipt(letter.envelope, OK)
        world.settle(60)
        verdict = world.verdict()
        assert verdict.wrong == []
        assert (verdict.delivered, verdict.marked) == (1, 0)
        (other,) = sender.nodes
        assert other.process is not None
        other.process.send_signal(signal.SIGINT)  # Ctrl-C
        assert other.process.wait(60) == 0
        assert world.stop()[-1] == 0
    finally:
        world.abandon()
