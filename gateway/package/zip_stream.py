"""Zip files as streams, both ways, within what the network's Java readers can take.

The standard library's `zipfile` marks a stored ``mimetype`` with a data descriptor when
the target is a stream, which Java refuses, and reads by random access only
(dpo-packaging 5.2, 10.2). No zip64: packages stay far below 4 GiB.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import BadContainer, LimitExceeded, TooLarge, UnsafeName
from gateway.package.limits import DEFAULT_LIMITS, Limits

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_UTF8_NAMES = 0x0800
_DESCRIPTOR = 0x0008
_ENCRYPTED = 0x0001
_STORED = 0
_DEFLATED = 8
LARGEST = 0xFFFF_FFFF
"""Bytes of a zip file without zip64, and of an entry."""
_BLOCK = 0xFFFF
_LAST_BLOCK = b"\x01\x00\x00\xff\xff"
_PIECE = 256 * 1024
_INFLATED_PIECE = 1024 * 1024


@dataclass(slots=True)
class _Written:
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    comment: bytes


class ZipWriter:
    """Writes a zip front to back through `write`; `modified` dates every entry."""

    def __init__(self, write: Callable[[bytes | memoryview], object], modified: datetime) -> None:
        self._target = write
        self._offset = 0
        self._entries: list[_Written] = []
        year = min(max(modified.year, 1980), 2107)
        self._date = (year - 1980) << 9 | modified.month << 5 | modified.day
        self._time = modified.hour << 11 | modified.minute << 5 | modified.second // 2

    def stored(self, name: str, data: bytes, *, comment: bytes = b"") -> None:
        """A small entry, uncompressed, with its size and CRC in the local header."""
        entry = _Written(
            name.encode(), _UTF8_NAMES, _STORED, zlib.crc32(data), len(data), len(data),
            self._offset, comment,
        )  # fmt: skip
        self._begin(entry)
        self._write(data)

    def deflated(self, name: str, data: bytes) -> None:
        """A small entry at once, compressed."""
        entry = self.entry(name, level=6)
        entry.write(data)
        entry.close()

    def entry(self, name: str, *, level: int) -> EntryWriter:
        """An entry to be written in pieces and closed before the next one begins.

        `level` 0 only wraps the bytes; 1 to 9 are zlib's.
        """
        entry = _Written(
            name.encode(), _UTF8_NAMES | _DESCRIPTOR, _DEFLATED, 0, 0, 0, self._offset, b""
        )
        self._begin(entry)
        return EntryWriter(self._write, entry, level)

    def finish(self, comment: bytes = b"") -> int:
        """Write the directory; the size of the whole file in bytes."""
        start = self._offset
        for it in self._entries:
            self._write(
                _CENTRAL.pack(
                    b"PK\x01\x02", 20, 20, it.flags, it.method, self._time, self._date, it.crc,
                    it.packed, it.size, len(it.name), 0, len(it.comment), 0, 0, 0, it.offset,
                )
                + it.name
                + it.comment
            )  # fmt: skip
        count = len(self._entries)
        self._write(
            _END.pack(b"PK\x05\x06", 0, 0, count, count, self._offset - start, start, len(comment))
            + comment
        )
        return self._offset

    def _begin(self, entry: _Written) -> None:
        self._entries.append(entry)
        self._write(
            _LOCAL.pack(
                b"PK\x03\x04", 20, entry.flags, entry.method, self._time, self._date, entry.crc,
                entry.packed, entry.size, len(entry.name), 0,
            )
            + entry.name
        )  # fmt: skip

    def _write(self, data: bytes | memoryview) -> None:
        self._offset += len(data)
        if self._offset > LARGEST:
            raise TooLarge("the package grows beyond 4 GiB")
        self._target(data)


class EntryWriter:
    """One deflated entry of a `ZipWriter`."""

    def __init__(
        self, write: Callable[[bytes | memoryview], None], entry: _Written, level: int
    ) -> None:
        self._write = write
        self._entry = entry
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS) if level else None

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        entry = self._entry
        entry.crc = zlib.crc32(data, entry.crc)
        entry.size += len(data)
        if self._deflate is None:
            self._wrap(memoryview(data))
        elif packed := self._deflate.compress(data):
            entry.packed += len(packed)
            self._write(packed)

    def close(self) -> None:
        """Write what is left and the 32-bit data descriptor."""
        entry = self._entry
        rest = _LAST_BLOCK if self._deflate is None else self._deflate.flush()
        entry.packed += len(rest)
        if entry.size > LARGEST:
            raise TooLarge("a document is larger than 4 GiB")
        self._write(
            rest + struct.pack("<4sIII", b"PK\x07\x08", entry.crc, entry.packed, entry.size)
        )

    def _wrap(self, data: memoryview) -> None:
        """Deflate's stored blocks, which zlib's level 0 would copy twice."""
        for at in range(0, len(data), _BLOCK):
            block = data[at : at + _BLOCK]
            self._write(struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF))
            self._write(block)
            self._entry.packed += len(block) + 5


class ZipReader:
    """Reads a zip front to back, from local headers only, as the network's Java does.

    Iterating gives (name, pieces) per entry; what is left of `pieces` is skipped when
    the next entry is asked for. Raises `BadContainer`, `UnsafeName`, `LimitExceeded`,
    and whatever `chunks` raises.
    """

    def __init__(self, chunks: Iterator[bytes], limits: Limits = DEFAULT_LIMITS) -> None:
        self._chunks = chunks
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self._inflated = 0

    def __iter__(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        seen: set[str] = set()
        while (signature := self._take(4)) == b"PK\x03\x04":
            header = _LOCAL.unpack(signature + self._take(_LOCAL.size - 4))
            _, _, flags, method, _, _, _, packed, size, name_length, extra_length = header
            if name_length > self._limits.name:
                raise UnsafeName(f"an entry name of {name_length} bytes")
            name = _checked_name(self._take(name_length))
            extra = self._take(extra_length)
            if name in seen:
                raise UnsafeName(f"{name!r} occurs twice")
            seen.add(name)
            if len(seen) > self._limits.entries:
                raise LimitExceeded(f"more than {self._limits.entries} entries")
            if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
                raise BadContainer(f"{name!r} is packed in a way that nobody else can read")
            if LARGEST in (packed, size):
                size, packed = _zip64_sizes(extra) or (size, packed)
            described = bool(flags & _DESCRIPTOR)
            if method == _DEFLATED:
                pieces = self._deflated(name, None if described else (packed, size))
            elif described:
                raise BadContainer(f"{name!r} is stored without saying its size")
            else:
                pieces = self._stored(size)
            yield name, pieces
            for _ in pieces:
                pass
        if signature not in (b"PK\x01\x02", b"PK\x05\x06"):
            raise BadContainer("not a zip file, or damaged between two entries")
        for _ in self._chunks:  # so that damage after the last entry is noticed too
            pass

    # CRCs are not looked at: every entry is proven by a stronger digest or not used.

    def _stored(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._some(left)
            left -= len(piece)
            self._count(len(piece))
            yield piece

    def _deflated(self, name: str, header: tuple[int, int] | None) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        packed = size = 0
        limits = self._limits
        while not inflate.eof:
            data = inflate.unconsumed_tail
            if not data:
                data = self._some(_PIECE)
                packed += len(data)
            try:
                piece = inflate.decompress(data, _INFLATED_PIECE)
            except zlib.error as error:
                raise BadContainer(f"{name!r} is damaged") from error
            if piece:
                size += len(piece)
                self._count(len(piece))
                if size > limits.ratio_from and size > packed * limits.ratio:
                    raise LimitExceeded(f"{name!r} inflates more than {limits.ratio}:1")
                yield piece
        packed -= len(inflate.unused_data)
        self._buffer = inflate.unused_data + self._buffer[self._at :]
        self._at = 0
        if header is None:
            self._descriptor(name, packed, size)
        elif header != (packed, size):
            raise BadContainer(f"{name!r} is damaged")

    def _descriptor(self, name: str, packed: int, size: int) -> None:
        """Signature optional, sizes of 32 or (after other writers) 64 bits."""
        crc_at = 4 if self._peek(4) == b"PK\x07\x08" else 0
        for form in (struct.pack("<QQ", packed, size), struct.pack("<II", packed, size)):
            length = crc_at + 4 + len(form)
            if self._peek(length)[crc_at + 4 :] == form:
                self._take(length)
                return
        raise BadContainer(f"{name!r} is damaged")

    def _count(self, size: int) -> None:
        self._inflated += size
        if self._inflated > self._limits.inflated:
            raise LimitExceeded(f"more than {self._limits.inflated} bytes when unpacked")

    def _peek(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count:
            more = next(self._chunks, b"")
            if not more:
                break
            self._buffer = self._buffer[self._at :] + more
            self._at = 0
        return self._buffer[self._at : self._at + count]

    def _take(self, count: int) -> bytes:
        piece = self._peek(count)
        if len(piece) < count:
            raise BadContainer("the zip file ends too early")
        self._at += count
        return piece

    def _some(self, most: int) -> bytes:
        """At least one byte, at most `most`, without copying more than that."""
        if self._at == len(self._buffer):
            self._buffer = next(self._chunks, b"")
            self._at = 0
            if not self._buffer:
                raise BadContainer("the zip file ends too early")
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        return piece


def _zip64_sizes(extra: bytes) -> tuple[int, int] | None:
    """(size, packed) of the zip64 field, when it is there in full."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1 and length >= 16 and at + 20 <= len(extra):
            size, packed = struct.unpack_from("<QQ", extra, at + 4)
            return size, packed
        at += 4 + length
    return None


def _checked_name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise UnsafeName("an entry name that is not UTF-8") from error
    check_entry_name(name)
    return name


def check_entry_name(name: str) -> None:
    """Raises `UnsafeName` for a name that could mean anything but a plain file inside
    the container, or that XML cannot hold (dpo-packaging 5.7)."""
    if not name or name.endswith("/"):
        raise UnsafeName(f"an entry without a file name: {name!r}")
    if any(character < " " or character in "\x7f\\\ufffe\uffff" for character in name):
        raise UnsafeName(f"control character or backslash in {name!r}")
    absolute = name.startswith("/") or re.match("[A-Za-z]:/", name)
    if absolute or {"", ".", ".."} & set(name.split("/")):
        raise UnsafeName(f"a path that leads elsewhere: {name!r}")
    if name.upper().startswith("META-INF/") and not name.startswith("META-INF/"):
        raise UnsafeName(f"META-INF in other letters: {name!r}")
