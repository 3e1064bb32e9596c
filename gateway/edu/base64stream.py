"""Base64 text that arrives in pieces, decoded into a spool."""

from __future__ import annotations

import binascii

import pybase64

from gateway.ports import Spool, SpoolWriter

_BLANKS = b" \t\r\n"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="


class Base64Stream:
    """Decodes into a spool writer, which is made with the first byte.

    Strict: no characters outside the alphabet but white space, nothing after padding,
    no truncated tail. After a fault the rest is ignored and nothing is kept.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._writer: SpoolWriter | None = None
        self._carry = b""
        self._padded = False
        self._wrapped = False
        self.faulty = False

    def feed(self, text: str) -> None:
        """Character data as a parser reports it."""
        if self.faulty:
            return
        try:
            data = text.encode("ascii").translate(None, _BLANKS)
        except UnicodeEncodeError:
            self.fail()
            return
        if data and (self._padded or not self._decode(data)):
            self.fail()

    def try_raw(self, data: bytes) -> bool:
        """Take bytes of the request itself, when they can be nothing but base64.

        By definition of XML, a piece of character data without markup and references
        is its own value; True when `data` was such a piece and has been taken. False
        leaves everything as it was.
        """
        if self.faulty or self._padded or b"=" in data:
            return False
        if self._wrapped:
            data = data.translate(None, _BLANKS)
        if self._decode(data):
            return True
        stripped = data.translate(None, _BLANKS)
        if len(stripped) == len(data) or not self._decode(stripped):
            return False
        self._wrapped = True
        return True

    def finish(self) -> SpoolWriter | None:
        """The complete, uncommitted content; None when empty or `faulty`."""
        if self._carry:
            self.fail()
        writer, self._writer = self._writer, None
        return writer

    def fail(self) -> None:
        """Give up this content and forget what came of it."""
        self.faulty = True
        self._carry = b""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def _decode(self, data: bytes) -> bool:
        if self._carry:
            data = self._carry + data
        rest = len(data) % 4
        whole = data[:-rest] if rest else data
        try:
            decoded = pybase64.b64decode(whole, validate=True)
        except binascii.Error:
            return False
        tail = data[len(whole) :]
        padded = whole.endswith(b"=")
        if tail and (padded or tail.translate(None, _LETTERS)):
            return False
        if decoded:
            if self._writer is None:
                self._writer = self._spool.create()
            self._writer.write(decoded)
        self._carry, self._padded = tail, padded
        return True
