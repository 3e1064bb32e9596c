"""Big documents cost no memory, either way."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import pytest
from packing import document
from test_package_round_trip import letter

from gateway.model import Document
from gateway.package import Identity, build_package, open_package

MIB = 1024 * 1024
SIZE = 96 * MIB
BLOCK = hashlib.shake_128(b"blokk").digest(MIB)


class Long(io.RawIOBase):
    """`SIZE` bytes that exist nowhere."""

    def __init__(self) -> None:
        self._left = SIZE // MIB

    def read(self, size: int = -1) -> bytes:
        if not self._left:
            return b""
        self._left -= 1
        return BLOCK


class LongContent:
    size = SIZE

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for _ in range(SIZE // MIB):
            digest.update(BLOCK)
        return digest.hexdigest()

    def open(self) -> BinaryIO:
        return Long()  # type: ignore[return-value]


class Forgetful:
    """A spool that counts and keeps nothing."""

    written = 0

    def create(self) -> Forgetful:
        return self

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def commit(self) -> LongContent:
        return LongContent()

    def discard(self) -> None:
        pytest.fail("nothing was wrong")


def test_memory_does_not_grow_with_the_document(
    sender: Identity, receiver: Identity, tmp_path: Path
) -> None:
    documents = [
        document("arkivmelding.xml", b"<arkivmelding/>"),
        Document("film.mp4", "video/mp4", LongContent()),
    ]
    tracemalloc.start()
    try:
        with (tmp_path / "sbd.zip").open("wb") as target:
            build_package(
                target,
                letter(),
                documents,
                signer=sender,
                receiver_certificate=receiver.certificate,
            )
        writing = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        spool = Forgetful()
        with (tmp_path / "sbd.zip").open("rb") as source:
            open_package(source, identities=[receiver], spool=spool)
        reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spool.written == SIZE + len(b"<arkivmelding/>")
    assert writing < 12 * MIB
    assert reading < 12 * MIB
