"""The whole suite through a tap in front of the endpoint, whatever its recorder does.

    client → capture → tap → capture → endpoint

What the captures saw must be the same, byte for byte, in both directions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import pytest
import test_wire
from wire_cases import Target

from gateway.tap.observer import Observer
from gateway.tap.recorder import Counts, Exchange, Recorder
from gateway.tap.recording import Recording
from gateway.tap.relay import Relay
from gateway.tap.relay import Target as Endpoint
from gateway.tap.tap import Tap
from gateway.translate import load_mapping


@dataclass
class Capture:
    """Everything that one connection carried; a `Watcher`."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    busy: bool = False

    def client_sent(self, data: bytes) -> None:
        self.asked += data

    def server_sent(self, data: bytes) -> None:
        self.answered += data

    def server_ended(self) -> None: ...
    def closed(self) -> None: ...


@contextmanager
def capturing(port_behind: int) -> Iterator[tuple[int, list[Capture]]]:
    seen: list[Capture] = []

    def watch() -> Capture:
        seen.append(Capture())
        return seen[-1]

    relay = Relay("127.0.0.1", 0, Endpoint("127.0.0.1", port_behind), watch)
    relay.start()
    yield relay.port, seen
    relay.stop(5)


@contextmanager
def working(port: int, folder: Path) -> Iterator[tuple[int, Counts]]:
    recording = Recording(folder, load_mapping(), "websak")
    tap = Tap("127.0.0.1", 0, Endpoint("127.0.0.1", port), recording, Counts())
    tap.start()
    yield tap.port, tap.counts
    tap.stop(5)


def troubled(
    work: Callable[[Exchange], None], **options: object
) -> Callable[..., Iterator[tuple[int, Counts]]]:
    def tap(port: int, folder: Path) -> Iterator[tuple[int, Counts]]:
        recorder = Recorder(work, Counts(), **options)  # type: ignore[arg-type]
        relay = Relay("127.0.0.1", 0, Endpoint("127.0.0.1", port), lambda: Observer(recorder))
        relay.start()
        yield relay.port, recorder.counts
        release.set()
        relay.stop(5)
        recorder.stop()

    return contextmanager(tap)  # type: ignore[return-value]


def fail(exchange: Exchange) -> None:
    raise RuntimeError("simulated")


def full() -> IO[bytes]:
    return open("/dev/full", "wb", buffering=0)


release = threading.Event()
TAPS = {
    "working": working,
    "failing": troubled(fail),
    "slow": troubled(lambda exchange: (release.wait(60), exchange.close())[1], waiting=2),
    "no room for pieces": troubled(fail, backlog=0),
    "full": troubled(fail, new_body=full),
}


@pytest.mark.parametrize("recorder", TAPS)
def test_every_case_passes_unchanged(target: Target, tmp_path: Path, recorder: str) -> None:
    if target.blobs is None:
        pytest.skip("the tap is tried in front of our own endpoint")
    if recorder == "full" and not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    release.clear()
    endpoint = int(target.url.rpartition(":")[2].partition("/")[0])
    with capturing(endpoint) as (behind, at_endpoint):
        with TAPS[recorder](behind, tmp_path) as (tap, counts):  # type: ignore[operator]
            with capturing(tap) as (front, at_client):
                tapped = replace(target, url=f"http://127.0.0.1:{front}/noarkExchange")
                for case in test_wire.CASES:
                    test_wire.test_case(tapped, case)
    assert len(at_client) == len(at_endpoint) >= len(test_wire.CASES)
    for before, after in zip(at_client, at_endpoint, strict=True):
        assert bytes(before.asked) == bytes(after.asked)
        assert bytes(before.answered) == bytes(after.answered)
        assert after.answered.startswith(b"HTTP/1.1 ")
    if recorder == "working":
        assert counts["recorded"] >= 100, str(counts)
        assert "not recorded" not in str(counts)
        assert len(list((tmp_path / "answers").iterdir())) == counts["recorded"]
    else:
        assert counts["recorded"] == 0
        assert "not recorded" in str(counts)
