"""The real endpoint on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from soap_messages import RecordingIntake

from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.spool import FolderSpool


@pytest.fixture
def spool(tmp_path: Path) -> FolderSpool:
    return FolderSpool(tmp_path / "spool")


@pytest.fixture
def intake() -> RecordingIntake:
    return RecordingIntake()


@pytest.fixture
def serve(intake: RecordingIntake, spool: FolderSpool) -> Iterator[Callable[..., int]]:
    """Starts the endpoint with given options; returns its port."""
    running: list[Listener] = []

    def start(**options: object) -> int:
        listener = Listener(create_app(intake, spool, **options), threads=4)  # type: ignore[arg-type]
        listener.start()
        running.append(listener)
        return listener.port

    yield start
    for listener in running:
        listener.stop(timeout=5)


@pytest.fixture
def port(serve: Callable[..., int]) -> int:
    return serve()
