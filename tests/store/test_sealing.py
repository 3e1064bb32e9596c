"""Documents encrypted at rest come back as they were, and only with the key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.store.blobs import BlobStore
from gateway.store.sealing import Sealer

KEY = "00112233445566778899aabbccddeeff" * 2
PIECE = 64 * 1024


def store(folder: Path, key: str | None = KEY) -> BlobStore:
    return BlobStore(folder, None if key is None else Sealer.from_hex(key))


def keep(blobs: BlobStore, *parts: bytes):
    writer = blobs.create()
    for part in parts:
        writer.write(part)
    blob = writer.commit()
    blobs.keep([blob])
    return blob


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 17])
def test_content_comes_back(tmp_path: Path, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    blob = keep(store(tmp_path), data[: size // 3], data[size // 3 :])
    assert (blob.size, blob.sha256) == (size, hashlib.sha256(data).hexdigest())
    again = store(tmp_path).content(blob.key, blob.size, blob.sha256)
    with again.open() as stream:
        assert stream.read() == data


@settings(deadline=None)
@given(st.integers(0, 200_000), st.integers(0, 100_000))
def test_any_part_can_be_read_alone(tmp_path_factory, start: int, length: int) -> None:
    data = bytes(index % 241 for index in range(150_000))
    blob = keep(store(tmp_path_factory.mktemp("blobs")), data)
    with blob.open() as stream:
        stream.seek(start)
        assert stream.read(length) == data[start : start + length]


def test_nothing_of_it_can_be_read_on_the_disk(tmp_path: Path) -> None:
    secret = b"unntatt offentlighet " * 5000
    keep(store(tmp_path), secret)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret[:21] not in path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: 16 + PIECE + 16],  # whole pieces are missing
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: (
            data[:16]
            + data[16 + PIECE + 16 : 16 + 2 * (PIECE + 16)]
            + data[16 : 16 + PIECE + 16]
            + data[16 + 2 * (PIECE + 16) :]
        ),  # two pieces exchanged
    ],
)
def test_a_damaged_file_does_not_open(tmp_path: Path, damage) -> None:
    blob = keep(store(tmp_path), b"x" * (3 * PIECE))
    blob.path.write_bytes(damage(blob.path.read_bytes()))
    with pytest.raises(OSError, match="sealed"), blob.open() as stream:
        stream.read()


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    blob = keep(store(tmp_path), b"hemmelig")
    other = store(tmp_path, "ff" * 32).content(blob.key, blob.size, blob.sha256)
    with pytest.raises(OSError, match="another key"), other.open() as stream:
        stream.read()


def test_without_the_key_it_says_what_is_missing(tmp_path: Path) -> None:
    blob = keep(store(tmp_path), b"hemmelig")
    with pytest.raises(ConfigurationError, match="key"):
        store(tmp_path, None).content(blob.key, blob.size, blob.sha256).open()


def test_what_was_stored_before_there_was_a_key_still_opens(tmp_path: Path) -> None:
    blob = keep(store(tmp_path, None), b"fra f\xc3\xb8r")
    with store(tmp_path).content(blob.key, blob.size, blob.sha256).open() as stream:
        assert stream.read() == b"fra f\xc3\xb8r"


@pytest.mark.parametrize("key", ["", "00", "zz" * 32])
def test_a_bad_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError):
        Sealer.from_hex(key)
