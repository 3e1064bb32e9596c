"""BER: an incremental reader for any framing in constant memory, and a small writer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

_READ = 256 * 1024
_DEEPEST = 12
_CONSTRUCTED = 0x20
_OCTET_STRING = 0x04


def der(tag: int, *parts: bytes) -> bytes:
    """A value of `parts` joined, with a definite length."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


class Readable(Protocol):
    """Anything that gives up to `size` bytes, and none at its end."""

    def read(self, size: int, /) -> bytes: ...


class BerError(Exception):
    """The bytes are not what the caller or BER expects."""


class BerReader:
    """Walks through one BER value from `source`. A tag is its identifier octet.

    `element_limit` caps, in bytes, what `element` returns.
    """

    def __init__(self, source: Readable, element_limit: int) -> None:
        self._source = source
        self._limit = element_limit
        self._buffer = b""
        self._at = 0
        self._before = 0  # bytes of the source that lie before the buffer
        self._ends: list[int | None] = []  # of the values entered; None is indefinite

    def next_tag(self) -> int:
        """The tag of the next value, which stays unread; 0 at end-of-contents."""
        return self._peek(1)[0]

    def enter(self, tag: int) -> None:
        """Step into a constructed value."""
        found, length = self._tag_and_length()
        if found != tag:
            raise BerError(f"expected tag {tag:#04x}, found {found:#04x}")
        self._push(length)

    def at_end(self) -> bool:
        """Whether the value entered last has nothing more inside."""
        end = self._ends[-1]
        if end is None:
            return self._peek(2) == b"\x00\x00"
        if self._position > end:
            raise BerError("a value reaches past the one that holds it")
        return self._position == end

    def leave(self) -> None:
        """Step out of the value entered last, which must be at its end."""
        if not self.at_end():
            raise BerError("unexpected further content")
        if self._ends.pop() is None:
            self._take(2)

    def element(self, tag: int | None = None) -> bytes:
        """The next value with its tag and length, whole, as it stands."""
        if tag is not None and self.next_tag() != tag:
            raise BerError(f"expected tag {tag:#04x}, found {self.next_tag():#04x}")
        return self._element(self._limit, 0)

    def octets(self) -> Iterator[bytes]:
        """The content of the next value, an octet string of any framing and tag, in
        pieces of at most 256 KiB; joined they are the string."""
        tag, length = self._tag_and_length()
        if not tag & _CONSTRUCTED:
            yield from self._span(length)
            return
        depth = len(self._ends)
        self._push(length)
        while True:
            if batch := self._segments_at_hand():
                yield batch
            elif self.at_end():
                self.leave()
                if len(self._ends) == depth:
                    return
            else:
                tag, length = self._tag_and_length()
                if tag == _OCTET_STRING | _CONSTRUCTED:
                    self._push(length)
                elif tag == _OCTET_STRING:
                    yield from self._span(length)
                else:
                    raise BerError(f"tag {tag:#04x} inside an octet string")

    def _segments_at_hand(self) -> bytes:
        """All whole primitive segments in the buffer at once: Java's are 1000 bytes, and
        a gigabyte of them must not cost a million generator steps."""
        buffer, at = self._buffer, self._at
        stop = len(buffer)
        if (end := self._ends[-1]) is not None:
            stop = min(stop, end - self._before)
        view = memoryview(buffer)
        parts = []
        while at + 5 <= stop and buffer[at] == _OCTET_STRING:
            length, start = buffer[at + 1], at + 2
            if length >= 0x80:
                if not 0x81 <= length <= 0x83:
                    break
                start += length - 0x80
                length = int.from_bytes(buffer[at + 2 : start], "big")
            if start + length > stop:
                break
            parts.append(view[start : start + length])
            at = start + length
        self._at = at
        return b"".join(parts)

    @property
    def _position(self) -> int:
        return self._before + self._at

    def _push(self, length: int | None) -> None:
        if len(self._ends) >= _DEEPEST:
            raise BerError("nested too deep")
        end = None if length is None else self._position + length
        outer = next((it for it in reversed(self._ends) if it is not None), None)
        if end is not None and outer is not None and end > outer:
            raise BerError("a value reaches past the one that holds it")
        self._ends.append(end)

    def _tag_and_length(self) -> tuple[int, int | None]:
        tag, first = self._take(2)
        if tag & 0x1F == 0x1F or tag == 0:
            raise BerError("unexpected tag")
        if first < 0x80:
            return tag, first
        if first == 0x80:
            if not tag & _CONSTRUCTED:
                raise BerError("a primitive value without length")
            return tag, None
        if first > 0x88:
            raise BerError("a length of more than eight bytes")
        return tag, int.from_bytes(self._take(first - 0x80), "big")

    def _element(self, limit: int, depth: int) -> bytes:
        if depth >= _DEEPEST:
            raise BerError("nested too deep")
        start = self._position
        first = self._peek(2)
        size_of_length = first[1] & 0x7F if first[1] > 0x80 else 0
        head = self._peek(2 + min(size_of_length, 8))
        _, length = self._tag_and_length()
        if length is not None:
            if length > limit:
                raise BerError(f"a header of more than {self._limit} bytes")
            return head + self._take(length)
        parts = [head]
        while self._peek(2) != b"\x00\x00":
            parts.append(self._element(limit - (self._position - start), depth + 1))
            if self._position - start > limit:
                raise BerError(f"a header of more than {self._limit} bytes")
        parts.append(self._take(2))
        return b"".join(parts)

    def _span(self, length: int | None) -> Iterator[bytes]:
        assert length is not None  # _tag_and_length refuses a primitive without one
        end = self._ends[-1] if self._ends else None
        if end is not None and self._position + length > end:
            raise BerError("a value reaches past the one that holds it")
        while length:
            if self._at == len(self._buffer):
                self._fill(1)
            piece = self._buffer[self._at : self._at + length]
            self._at += len(piece)
            length -= len(piece)
            yield piece

    def _peek(self, count: int) -> bytes:
        self._fill(count)
        return self._buffer[self._at : self._at + count]

    def _take(self, count: int) -> bytes:
        piece = self._peek(count)
        self._at += count
        return piece

    def _fill(self, count: int) -> None:
        """Have at least `count` bytes at hand."""
        while len(self._buffer) - self._at < count:
            more = self._source.read(max(_READ, count))
            if not more:
                raise BerError("ends too early")
            self._before += self._at
            self._buffer = self._buffer[self._at :] + more
            self._at = 0
