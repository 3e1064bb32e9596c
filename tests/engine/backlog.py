"""Scenario 9: many letters wait before the first of them is fetched."""

from __future__ import annotations

import time

from letters_and_traces import Pair, filed, receipts, send, timeline, until

from gateway.model import Status
from gateway.simulators.network import Status as TransferStatus


def arrive_in_order(pair: Pair, count: int, patience: float) -> float:
    """Let `count` letters pile up on the network, then let them be fetched.

    Each is filed once, in the order they came, with one receipt home. Returns the seconds
    from the first poll until the last receipt; nothing may take longer than `patience`.
    """
    network = pair.demo.network
    network.fault("list", times=None, status=503, body="{}")
    sent = [send(pair, b"x" * 100 + number.to_bytes(2, "big")) for number in range(count)]
    until(lambda: all(Status.SENDT in timeline(pair.a, one) for one in sent), patience)
    letters = {one.id for one in network.transfers if one.status is TransferStatus.Published}
    network.faults.remove()
    started = time.monotonic()
    until(lambda: all(receipts(pair.a, one) for one in sent), patience)
    seconds = time.monotonic() - started
    assert [len(filed(pair.b, one)) for one in sent] == [1] * len(sent)
    assert {len(receipts(pair.a, one)) for one in sent} == {1}
    downloads = [
        line.path.split("/")[-2]
        for line in network.requests
        if line.call == "download" and line.path.split("/")[-2] in letters
    ]
    created = [one.id for one in network.transfers if one.id in letters]
    assert downloads == created
    return seconds
