"""Spools for commands, simulators and tests: content in a folder, or not kept at all.

The gateway's own spool is in `gateway.store`; these know no database.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gateway.errors import StorageFull
from gateway.model import Content

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file whose size and checksum are known."""

    path: Path
    size: int
    sha256: str

    def open(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Content in memory: small, or made up."""

    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


class FolderSpool:
    """Keeps every piece of content as one file in `folder`, which it makes.

    What is committed is durable. Names are random; a file without the suffix ``.part`` is complete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def bundle(self) -> FolderSpool:
        """Itself: there is one file for each piece."""
        return self

    def create(self) -> _FileWriter:
        return _FileWriter(self.folder / uuid.uuid4().hex)

    def release(self, contents: Iterable[Content]) -> None:
        """Delete content of this folder; repeating it is harmless."""
        for content in contents:
            if isinstance(content, FileContent) and content.path.parent == self.folder:
                content.path.unlink(missing_ok=True)


class _FileWriter:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_suffix(".part")
        self._hash = hashlib.sha256()
        self._size = 0
        self._file = self._part.open("xb", buffering=0)

    def write(self, data: bytes, /) -> int:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as trouble:
            if trouble.errno in _FULL:
                raise StorageFull(f"no room for content in {self._part.parent}") from trouble
            raise
        self._hash.update(data)
        self._size += len(data)
        return len(data)

    def commit(self) -> FileContent:
        try:
            os.fsync(self._file.fileno())
        except OSError as trouble:
            if trouble.errno in _FULL:
                raise StorageFull(f"no room for content in {self._part.parent}") from trouble
            raise
        self._file.close()
        self._part.rename(self._path)
        return FileContent(self._path, self._size, self._hash.hexdigest())

    def discard(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


class Checksum:
    """Size and SHA-256 of bytes that are not kept; writer and content in one."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self.size += len(data)
        self._hash.update(data)
        return len(data)

    def commit(self) -> Checksum:
        return self

    def discard(self) -> None:
        pass

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def open(self) -> BinaryIO:
        raise io.UnsupportedOperation("only the checksum was kept")


class ChecksumSpool:
    """For reading without storing."""

    def create(self) -> Checksum:
        return Checksum()

    def release(self, contents: Iterable[Content], /) -> None:
        """Nothing was kept."""
