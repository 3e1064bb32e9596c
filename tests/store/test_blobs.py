"""Content survives exactly when it was committed and is known."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from gateway.errors import StorageFull
from gateway.store.blobs import BlobStore


def write(blobs: BlobStore, data: bytes):
    writer = blobs.create()
    writer.write(data)
    return writer.commit()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_written_is_read_back_with_its_size_and_checksum(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blob = write(blobs, b"brev")
    blobs.keep([blob])
    assert (blob.size, blob.sha256) == (4, hashlib.sha256(b"brev").hexdigest())
    with blobs.content(blob.key, blob.size, blob.sha256).open() as stream:
        assert stream.read() == b"brev"


def test_a_discarded_writer_leaves_no_file(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    writer = blobs.create()
    writer.write(b"half")
    writer.discard()
    writer.discard()
    assert not files(tmp_path)


def test_discard_after_commit_leaves_the_blob(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    writer = blobs.create()
    writer.write(b"hel")
    blob = writer.commit()
    writer.discard()
    blobs.keep([blob])
    assert blob.path.read_bytes() == b"hel"


def test_the_pieces_of_a_message_share_a_file_and_are_read_apart(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    bundle = blobs.bundle()
    pieces = []
    for data in (b"hoveddokument", b"", b"vedlegg" * 20_000):
        writer = bundle.create()
        writer.write(data[:5])
        writer.write(data[5:])
        pieces.append(writer.commit())
    spoilt = bundle.create()
    spoilt.write(b"half")
    spoilt.discard()
    last = blobs.create(beside=pieces)
    last.write(b"arkivmelding")
    pieces.append(last.commit())
    blobs.keep(pieces)
    assert len(files(tmp_path)) == 1
    for piece, data in zip(
        pieces, (b"hoveddokument", b"", b"vedlegg" * 20_000, b"arkivmelding"), strict=True
    ):
        assert piece.sha256 == hashlib.sha256(data).hexdigest()
        found = blobs.content(piece.key, piece.size, piece.sha256, piece.start)
        with found.open() as stream:
            assert stream.read() == data
            stream.seek(2)
            assert stream.read(3) == data[2:5]
            assert stream.seek(-1, os.SEEK_END) == len(data) - 1 or not data


def test_a_message_without_any_piece_left_has_no_file(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    bundle = blobs.bundle()
    for _ in range(2):
        writer = bundle.create()
        writer.write(b"x")
        writer.discard()
    assert not files(tmp_path)


def test_release_deletes_what_nobody_kept(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    kept, unkept = write(blobs, b"a"), write(blobs, b"b")
    blobs.keep([kept])
    blobs.release([kept, unkept])
    assert kept.path.exists()
    assert not unkept.path.exists()


def test_the_sweep_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    known, orphan = write(blobs, b"a"), write(blobs, b"b")
    blobs.keep([known, orphan])
    half = blobs.bundle()
    half.create().write(b"c")
    half._file.close()  # as when the process died

    again = BlobStore(tmp_path)
    now = time.time()
    assert again.sweep(lambda keys: {known.key} & set(keys), now - 60) == 0, "too young"
    assert again.sweep(lambda keys: {known.key} & set(keys), now + 1) == 2
    assert known.path.exists()
    assert not orphan.path.exists()
    assert not list((tmp_path / "incoming").iterdir())


def test_a_sweep_in_parts_looks_at_every_file_once(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    for _ in range(50):
        writer = blobs.create()
        writer.write(b"x")
        blobs.keep([writer.commit()])
    asked: list[str] = []

    def none_is_known(keys: list[str]) -> set[str]:
        asked.extend(keys)
        return set()

    later = time.time() + 60
    removed = [blobs.sweep(none_is_known, later, part=part, parts=24) for part in range(24)]
    assert sum(removed) == len(asked) == len(set(asked)) == 50
    assert max(removed) < 50


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_the_sweep_leaves_what_this_process_is_taking_in_however_old_the_clock_makes_it(
    tmp_path: Path,
) -> None:
    blobs = BlobStore(tmp_path)
    coming = blobs.create()
    coming.write(b"en halv")
    arrived = blobs.create()
    arrived.write(b"et helt dokument")
    content = arrived.commit()
    assert blobs.sweep(lambda keys: set(), before=time.time() + 30 * 24 * 3600) == 0
    coming.write(b" og en halv til")
    come = coming.commit()
    blobs.keep([come, content])
    assert come.open().read() == b"en halv og en halv til"
    assert content.open().read() == b"et helt dokument"


def test_a_full_disk_is_storage_full(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    bundle = blobs.bundle()
    writer = bundle.create()
    bundle._file.close()
    bundle._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(StorageFull):
        writer.write(b"x")
    writer.discard()
    assert not list((tmp_path / "incoming").iterdir())
