"""Content in files: written, synced, then named; nothing half-written has a name.

::

    blobs/incoming/<key>      being written; old leftovers are swept
    blobs/<k>/<key>           complete and synced

A file holds the pieces of one message, one after another, so that a letter costs two
syncs however many documents it has. A key is 32 random hex digits, never anything that a
sender chose; it ends in ``.gcm`` when the file is sealed (`gateway.store.sealing`).
Packages are not: their documents are encrypted for the receiver already.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from gateway.errors import ConfigurationError, StorageFull
from gateway.store.sealing import SealedWriter, Sealer

_SEALED = ".gcm"
_FOLDER = re.compile(r"[0-9a-f]{2}")
_SLICE = 1000
_BUFFER = 64 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Blob:
    """A `gateway.model.Content`: one piece of a file of the blob store."""

    key: str
    size: int
    sha256: str
    path: Path
    start: int = 0
    sealer: Sealer | None = field(default=None, repr=False, compare=False)
    bundle: Bundle | None = field(default=None, repr=False, compare=False)
    """Where it was written; None when it was found through a row."""

    def open(self) -> BinaryIO:
        """Raises `ConfigurationError` when it is sealed and no key is configured."""
        whole: BinaryIO
        if not self.key.endswith(_SEALED):
            whole = self.path.open("rb", buffering=0)
        elif self.sealer is None:
            raise ConfigurationError("a document is sealed, and database.document_key is missing")
        else:
            whole = self.sealer.open(self.path)
        return io.BufferedReader(_Piece(whole, self.start, self.size), _BUFFER)


class _Piece(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, whole: BinaryIO, start: int, size: int) -> None:
        self._whole = whole
        self._start = start
        self._size = size
        self._position = 0
        whole.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        self._whole.seek(self._start + self._position)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, target: memoryview, /) -> int:  # type: ignore[override]
        left = max(0, self._size - self._position)
        count = self._whole.readinto(memoryview(target)[:left])  # type: ignore[attr-defined]
        self._position += count
        return int(count)

    def close(self) -> None:
        self._whole.close()
        super().close()


class BlobStore:
    """The blobs of one gateway: its `gateway.ports.ContentStore`.

    What nobody keeps is released: the SOAP side writes documents before anybody knows
    whether the letter is accepted. `keep` makes them durable and says that rows refer to
    them. With a `sealer` new documents are encrypted; those from before stay as they are.
    """

    def __init__(self, folder: Path, sealer: Sealer | None = None) -> None:
        self.folder = folder
        self._sealer = sealer
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._coming: WeakValueDictionary[str, Bundle] = WeakValueDictionary()

    def bundle(self) -> Bundle:
        """A new file for the pieces of one message."""
        key = secrets.token_hex(16) + (_SEALED if self._sealer else "")
        bundle = self._coming[key] = Bundle(self.content(key, 0, ""), self._incoming / key)
        return bundle

    def create(self, beside: Iterable[object] = ()) -> BlobWriter:
        """A new piece of content, in the file of `beside` when that is still being written."""
        for one in beside:
            if isinstance(one, Blob) and one.bundle is not None and one.bundle.is_open:
                return one.bundle.create()
        return self.bundle().create()

    def scratch(self) -> Path:
        """The path of a file yet to be made, on the same volume; for `adopt`."""
        return self._incoming / secrets.token_hex(16)

    def temporary(self) -> BinaryIO:
        """A private file without a name, gone when it is closed."""
        return tempfile.TemporaryFile(dir=self._incoming)

    def adopt(self, scratch: Path, size: int, sha256: str) -> Blob:
        """Make a finished file of `scratch` a blob, durably."""
        target = self.folder / scratch.name[:2] / scratch.name
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        _name(scratch, target)
        return Blob(scratch.name, size, sha256, target)

    def content(self, key: str, size: int, sha256: str, start: int = 0) -> Blob:
        """The blob that a row names; whether it exists shows when it is opened."""
        return Blob(key, size, sha256, self.folder / key[:2] / key, start, self._sealer)

    def keep(self, contents: Iterable[object]) -> None:
        """Make these durable, before rows that refer to them are committed.

        Raises `StorageFull` when the disk is. Before it they cannot be opened.
        """
        for bundle in _bundles(contents):
            bundle.keep()

    def release(self, contents: Iterable[object]) -> None:
        """Delete those that nobody kept. Repeating is harmless."""
        for bundle in _bundles(contents):
            bundle.discard()

    def discard(self, content: object) -> None:
        """Delete a blob that was kept before it turned out that nothing refers to it."""
        if isinstance(content, Blob):
            content.path.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Remove a blob whose rows are gone."""
        (self.folder / key[:2] / key).unlink(missing_ok=True)

    def sweep(
        self,
        is_known: Callable[[list[str]], set[str]],
        before: float,
        *,
        part: int = 0,
        parts: int = 1,
    ) -> int:
        """Remove what killed processes left, and nothing younger than `before`.

        `is_known` is given some keys and returns those that rows refer to; `before` is in
        seconds since 1970. With `parts` only the `part`-th of so many is looked at, counted
        from 0, and what is still incoming. What is younger may be in writing, or about to
        be committed by this or another node; what this one is writing stays however old the
        clock makes it. Returns how many files were removed.
        """
        removed = sum(self._sweep(path, before) for path in self._incoming.iterdir())
        for folder in self.folder.iterdir():
            if not _FOLDER.fullmatch(folder.name) or int(folder.name, 16) % parts != part:
                continue
            old = [path for path in folder.iterdir() if _is_older(path, before)]
            for start in range(0, len(old), _SLICE):
                some = {path.name: path for path in old[start : start + _SLICE]}
                for key in some.keys() - is_known(list(some)):
                    removed += self._sweep(some[key], before)
        return removed

    def _sweep(self, path: Path, before: float) -> bool:
        coming = self._coming.get(path.name)
        if coming is not None and coming.is_open:
            return False
        return _remove(path, before)


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:  # another node was faster
        return False


def _remove(path: Path, before: float) -> bool:
    if not _is_older(path, before):
        return False
    path.unlink(missing_ok=True)
    return True


class Bundle:
    """A `gateway.ports.Spool`: one file for pieces that come one after another.

    Its pieces stand or fall together: without any left there is no file. Not to be shared
    between threads.
    """

    def __init__(self, blob: Blob, part: Path) -> None:
        self._blob = blob
        self._part = part
        self._file: BinaryIO | None = None
        self._sealed: SealedWriter | None = None
        self._pieces = 0
        self._end = 0

    @property
    def is_open(self) -> bool:
        """Whether pieces can be added."""
        return self._file is not None

    def create(self) -> BlobWriter:
        """The next piece; the one before it can only be committed or discarded now."""
        if self._file is None:
            assert self._end == 0, "a piece after keep or discard"
            self._file = self._part.open("xb")
            if self._blob.sealer is not None:
                self._sealed = self._blob.sealer.write(self._file)
        self._pieces += 1
        return BlobWriter(self, replace(self._blob, start=self._end))

    def write(self, data: bytes, start: int) -> None:
        """Append to the piece that ends at `start`."""
        assert self._file is not None, "written after keep or discard"
        assert start == self._end, "pieces are written one after another"
        try:
            (self._sealed or self._file).write(data)
        except OSError as error:
            raise _explain(error) from error
        self._end += len(data)

    def keep(self) -> None:
        """Make it durable: synced, then named. Repeating is harmless."""
        if self._file is None:
            return
        try:
            if self._sealed is not None:
                self._sealed.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _name(self._part, self._blob.path)
        except OSError as error:
            raise _explain(error) from error
        self._file = None

    def drop(self) -> None:
        """One of its pieces is not wanted."""
        self._pieces -= 1
        if self._pieces == 0:
            self.discard()

    def discard(self) -> None:
        """Forget it all; harmless when it was kept, and when repeated."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # closing flushes, and the disk may be full
                self._file.close()
            self._file = None
            self._end = 0
            self._part.unlink(missing_ok=True)

    def release(self, contents: Iterable[object], /) -> None:
        """Forget it all, these being its pieces."""
        if any(one is self for one in _bundles(contents)):
            self.discard()


class BlobWriter:
    """One piece of a bundle being written."""

    def __init__(self, bundle: Bundle, blob: Blob) -> None:
        self._bundle: Bundle | None = bundle
        self._blob = blob
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes, /) -> int:
        assert self._bundle is not None, "written after commit or discard"
        self._bundle.write(data, self._blob.start + self._size)
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def commit(self) -> Blob:
        assert self._bundle is not None, "committed after commit or discard"
        bundle, self._bundle = self._bundle, None
        checksum = self._digest.hexdigest()
        return replace(self._blob, size=self._size, sha256=checksum, bundle=bundle)

    def discard(self) -> None:
        if self._bundle is not None:
            self._bundle.drop()
            self._bundle = None


def _bundles(contents: Iterable[object]) -> set[Bundle]:
    return {one.bundle for one in contents if isinstance(one, Blob) and one.bundle is not None}


def _explain(error: OSError) -> Exception:
    if error.errno in _FULL:
        return StorageFull(f"the blob store cannot take more: {error.strerror}")
    return error


def _name(part: Path, target: Path) -> None:
    """Give a synced file its name, durably."""
    if not target.parent.is_dir():
        target.parent.mkdir(exist_ok=True)
        _sync_folder(target.parent.parent)
    part.rename(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
