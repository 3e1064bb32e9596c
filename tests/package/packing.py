"""Throw-away keys, a spool in memory, and documents to pack."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.serialization import pkcs12

from gateway.model import Document
from gateway.package import Identity

FIXTURES = Path(__file__).parent / "fixtures"
PASSWORD = "changeit"
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Bytes:
    """Content that lies in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


@dataclass
class Piece:
    spool: MemorySpool
    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> None:
        self.data += data

    def commit(self) -> Bytes:
        content = Bytes(bytes(self.data))
        self.spool.committed.append(content)
        return content

    def discard(self) -> None:
        self.spool.discarded += 1


@dataclass
class MemorySpool:
    committed: list[Bytes] = field(default_factory=list)
    discarded: int = 0

    def create(self) -> Piece:
        return Piece(self)


def document(name: str, data: bytes, mime: str = "application/pdf") -> Document:
    return Document(name, mime, Bytes(data))


def contents(documents: tuple[Document, ...]) -> list[tuple[str, str, bytes]]:
    found = []
    for it in documents:
        with it.content.open() as stream:
            found.append((it.filename, it.mime_type, stream.read()))
    return found


def fixture_identity(name: str) -> Identity:
    key, certificate, chain = pkcs12.load_key_and_certificates(
        (FIXTURES / f"{name}.p12").read_bytes(), PASSWORD.encode()
    )
    return Identity(key, certificate, tuple(chain))
