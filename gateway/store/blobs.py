"""Content in files: written, synced, then named; nothing half-written has a name.

::

    blobs/incoming/<key>      being written; old leftovers are swept
    blobs/<k>/<key>           complete and synced

A key is 32 random hex digits, never anything that a sender chose; it ends in ``.gcm``
when the file is sealed (`gateway.store.sealing`). Packages are not: their documents are
encrypted for the receiver already.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from gateway.errors import ConfigurationError, StorageFull
from gateway.store.sealing import SealedWriter, Sealer

_SEALED = ".gcm"
_SLICE = 1000
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Blob:
    """A `gateway.model.Content` in a file of the blob store."""

    key: str
    size: int
    sha256: str
    path: Path
    sealer: Sealer | None = field(default=None, repr=False, compare=False)

    def open(self) -> BinaryIO:
        """Raises `ConfigurationError` when it is sealed and no key is configured."""
        if not self.key.endswith(_SEALED):
            return self.path.open("rb")
        if self.sealer is None:
            raise ConfigurationError("a document is sealed, and database.document_key is missing")
        return self.sealer.open(self.path)


class BlobStore:
    """The blobs of one gateway; also its `gateway.ports.Spool`.

    What nobody keeps is released: the SOAP side writes documents before anybody knows
    whether the letter is accepted. `keep` says that rows refer to them. With a `sealer`
    new documents are encrypted; those from before stay as they are.
    """

    def __init__(self, folder: Path, sealer: Sealer | None = None) -> None:
        self.folder = folder
        self._sealer = sealer
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._undecided: set[str] = set()
        self._lock = threading.Lock()

    def create(self) -> BlobWriter:
        """A new piece of content."""
        key = secrets.token_hex(16) + (_SEALED if self._sealer else "")
        with self._lock:
            self._undecided.add(key)
        return BlobWriter(self.content(key, 0, ""), self._incoming / key)

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

    def content(self, key: str, size: int, sha256: str) -> Blob:
        """The blob that a row names; whether it exists shows when it is opened."""
        return Blob(key, size, sha256, self.folder / key[:2] / key, self._sealer)

    def keep(self, contents: Iterable[object]) -> None:
        """Say, before committing, that rows will refer to these."""
        with self._lock:
            self._undecided.difference_update(one.key for one in contents if isinstance(one, Blob))

    def release(self, contents: Iterable[object]) -> None:
        """Delete those that nobody kept. Repeating is harmless."""
        for one in contents:
            if not isinstance(one, Blob):
                continue
            with self._lock:
                undecided = one.key in self._undecided
                self._undecided.discard(one.key)
            if undecided:
                one.path.unlink(missing_ok=True)

    def discard(self, content: object) -> None:
        """Delete a blob that was kept before it turned out that nothing refers to it."""
        if isinstance(content, Blob):
            content.path.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Remove a blob whose rows are gone."""
        (self.folder / key[:2] / key).unlink(missing_ok=True)

    def sweep(self, is_known: Callable[[list[str]], set[str]], before: float) -> int:
        """Remove what killed processes left, and nothing younger than `before`.

        `is_known` is given some keys and returns those that rows refer to; `before` is in
        seconds since 1970. What is younger may be in writing, or about to be committed by
        this or another node; what this one is writing stays however old the clock makes it.
        Returns how many files were removed.
        """
        removed = sum(self._sweep(path, before) for path in self._incoming.iterdir())
        for folder in self.folder.iterdir():
            if folder == self._incoming or not folder.is_dir():
                continue
            old = [path for path in folder.iterdir() if _is_older(path, before)]
            for start in range(0, len(old), _SLICE):
                part = {path.name: path for path in old[start : start + _SLICE]}
                for key in part.keys() - is_known(list(part)):
                    removed += self._sweep(part[key], before)
        return removed

    def _sweep(self, path: Path, before: float) -> bool:
        with self._lock:
            if path.name in self._undecided:
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


class BlobWriter:
    """One blob being written."""

    def __init__(self, blob: Blob, part: Path) -> None:
        self._blob = blob
        self._part = part
        self._digest = hashlib.sha256()
        self._size = 0
        self._file: BinaryIO | None = part.open("xb")
        sealed = blob.key.endswith(_SEALED)
        self._sealed: SealedWriter | None = (
            blob.sealer.write(self._file) if sealed and blob.sealer else None
        )

    def write(self, data: bytes, /) -> int:
        assert self._file is not None, "written after commit or discard"
        try:
            (self._sealed or self._file).write(data)
        except OSError as error:
            raise _explain(error) from error
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def commit(self) -> Blob:
        assert self._file is not None, "committed after commit or discard"
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
        return replace(self._blob, size=self._size, sha256=self._digest.hexdigest())

    def discard(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # closing flushes, and the disk may be full
                self._file.close()
            self._file = None
            self._part.unlink(missing_ok=True)


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
