"""Hostile input: each attack of soap-stack 3 is refused early, cheaply, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edu_messages import FORMS, letter, request

from gateway.edu.reader import RequestReader
from gateway.errors import RequestRefused, StorageFull
from gateway.spool import FolderSpool

EXPECTED = {
    "outer attribute": "TokenTooLong",
    "outer comment": "TokenTooLong",
    "outer instruction": "TokenTooLong",
    "outer element name": "TokenTooLong",
    "outer nesting": "TooDeep",
    "outer siblings": "TooManyElements",
    "outer text": "TooMuchText",
    "nested text": "TooMuchText",
    "nested siblings": "TooManyElements",
    "nested attribute": "TokenTooLong",
    "CDATA text": "TooMuchText",
    "inner text": "TooMuchText",
    "inner wide text": "TooMuchText",
    "inner attribute": "TokenTooLong",
    "inner comment": "TokenTooLong",
    "inner instruction": "TokenTooLong",
    "inner element name": "TokenTooLong",
    "inner nesting": "TooDeep",
    "inner siblings": "TooManyElements",
    "inner ampersands": "TooMuchText",
    "billion laughs": "Doctype",
    "inner laughs": "accepted as BROKEN",
    "external entity": "Doctype",
    "inner external entity": "accepted as BROKEN",
    "100 000 attributes": "TokenTooLong",
    "60 000 declarations": "TokenTooLong",
    "documents": "TooManyDocuments",
    "empty documents": "TooManyDocuments",
    "header text": "TooDeep",
    "blanks in a letter": "TooMuchText",
    # Constant memory, no harm: only the total size ends these.
    "repeated comments": "TooLarge",
    "blanks": "TooLarge",
    "blanks in a document": "TooLarge",
    "rubbish in a document": "TooLarge",
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    if not hasattr(os, "fork"):
        pytest.skip("peak memory is measured in forks")
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("attack_run.py")),
            str(tmp_path_factory.mktemp("spool") / "content"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {str(line["attack"]): line for line in lines}


def test_every_attack_was_run(reports: dict[str, dict[str, object]]) -> None:
    assert set(reports) == set(EXPECTED)


@pytest.mark.parametrize("attack", EXPECTED)
def test_attack_is_refused(reports: dict[str, dict[str, object]], attack: str) -> None:
    report = reports[attack]
    assert report["outcome"] == EXPECTED[attack]
    assert report["left"] == 0
    growth, consumed = report["growth_kib"], report["consumed_mb"]
    assert isinstance(growth, int)
    assert isinstance(consumed, float)
    assert growth <= 32 * 1024, f"memory grew by {growth} KiB"
    if EXPECTED[attack] not in ("TooLarge", "accepted as BROKEN"):
        assert consumed <= 75


@pytest.mark.parametrize("form", FORMS)
def test_abort_at_any_point_leaves_nothing(
    spool: FolderSpool, leftovers: Callable[[], list[Path]], form: str
) -> None:
    """A dropped connection."""
    data = request(FORMS[form](letter(*(bytes([n]) * 400 for n in range(50))))).encode()
    for end in range(0, len(data), 977):
        reader = RequestReader(spool)
        reader.feed(data[:end])
        reader.abort()
        reader.abort()
        assert leftovers() == []


class _SmallDisk(FolderSpool):
    """A spool whose disk is full after some bytes, or when syncing."""

    room = 0
    at_commit = False

    def create(self):  # type: ignore[no-untyped-def]
        spool, writer = self, super().create()
        write, commit = writer.write, writer.commit

        class Writer:
            def write(self, data: bytes) -> int:
                spool.room -= len(data)
                if spool.room < 0:
                    raise StorageFull("simulated")
                return write(data)

            def commit(self):  # type: ignore[no-untyped-def]
                if spool.at_commit:
                    raise StorageFull("simulated")
                return commit()

            discard = staticmethod(writer.discard)

        return Writer()


@pytest.mark.parametrize(("room", "at_commit"), [(0, False), (1500, False), (10**6, True)])
def test_full_disk_leaves_nothing(tmp_path: Path, room: int, at_commit: bool) -> None:
    spool = _SmallDisk(tmp_path / "spool")
    spool.room, spool.at_commit = room, at_commit
    data = request(FORMS["E4 CDATA"](letter(b"x" * 900, b"y" * 900, b"z" * 900))).encode()
    reader = RequestReader(spool)
    with pytest.raises(StorageFull):
        reader.feed(data)
        reader.close()
    reader.abort()
    assert list(spool.folder.iterdir()) == []


def test_refused_midway_leaves_nothing(
    spool: FolderSpool, leftovers: Callable[[], list[Path]]
) -> None:
    reader = RequestReader(spool)
    data = request(FORMS["E5 nested"](letter(b"x" * 9000, b"y" * 9000))).encode()
    with pytest.raises(RequestRefused):
        reader.feed(data[:-40] + b"<&")
    reader.abort()
    assert leftovers() == []
