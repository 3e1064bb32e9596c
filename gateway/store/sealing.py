"""Content encrypted at rest: AES-256-GCM in pieces, so that any part can be read alone.

::

    salt(16)  piece  piece ... last piece          piece = up to 64 KiB encrypted + tag(16)

Every file has a key of its own, derived from the configured one and the salt, so the
number of a piece can be its nonce. Each piece is bound to whether it is the last, so
that a file cut short does not open.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import ConfigurationError

KEY_BYTES = 32
_SALT = 16
_PIECE = 64 * 1024
_TAG = 16


class Sealer:
    """Seals and opens with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"the key of the documents must have {KEY_BYTES} bytes")
        self._key = key

    @classmethod
    def from_hex(cls, text: str) -> Sealer:
        """The key as 64 hexadecimal digits, as in the settings."""
        try:
            return cls(bytes.fromhex(text))
        except ValueError as error:
            raise ConfigurationError("the key of the documents is not hexadecimal") from error

    def write(self, file: BinaryIO) -> SealedWriter:
        """Seal what is written, into `file`, until it is finished."""
        salt = os.urandom(_SALT)
        file.write(salt)
        return SealedWriter(file, self._cipher(salt))

    def open(self, path: Path) -> BinaryIO:
        """What was sealed in `path`, readable and seekable.

        Reading raises OSError when the file was changed, cut, or sealed with another key.
        """
        file = path.open("rb")
        salt = file.read(_SALT)
        return io.BufferedReader(_SealedReader(file, self._cipher(salt)), _PIECE)

    def _cipher(self, salt: bytes) -> AESGCM:
        derived = HKDF(SHA256(), KEY_BYTES, salt, b"edu-gateway document").derive(self._key)
        return AESGCM(derived)


class SealedWriter:
    """Collects pieces; `finish` writes the last one."""

    def __init__(self, file: BinaryIO, cipher: AESGCM) -> None:
        self._file = file
        self._cipher = cipher
        self._waiting = bytearray()
        self._number = 0

    def write(self, data: bytes) -> None:
        self._waiting += data
        # One piece always stays behind: only then is it known which is the last.
        start = 0
        while len(self._waiting) - start > _PIECE:
            self._piece(bytes(self._waiting[start : start + _PIECE]), last=False)
            start += _PIECE
        del self._waiting[:start]

    def finish(self) -> None:
        self._piece(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _piece(self, data: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number), data, _mark(last)))
        self._number += 1


class _SealedReader(io.RawIOBase):
    def __init__(self, file: BinaryIO, cipher: AESGCM) -> None:
        self._file = file
        self._cipher = cipher
        sealed = os.fstat(file.fileno()).st_size - _SALT
        self._pieces = max(1, -(-sealed // (_PIECE + _TAG)))
        self._size = sealed - self._pieces * _TAG
        self._position = 0
        self._number = -1
        self._piece = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, target: memoryview, /) -> int:  # type: ignore[override]
        number, start = divmod(self._position, _PIECE)
        if self._position >= self._size and number < self._pieces:
            number = self._pieces - 1  # the end is the end only if the last piece opens
            self._load(number)
            return 0
        if number >= self._pieces:
            return 0
        self._load(number)
        part = self._piece[start : start + len(target)]
        target[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _load(self, number: int) -> None:
        if number == self._number:
            return
        self._file.seek(_SALT + number * (_PIECE + _TAG))
        sealed = self._file.read(_PIECE + _TAG)
        try:
            self._piece = self._cipher.decrypt(
                _nonce(number), sealed, _mark(number == self._pieces - 1)
            )
        except (InvalidTag, ValueError) as error:
            raise OSError(
                "a sealed document was changed, cut, or sealed with another key"
            ) from error
        self._number = number

    def close(self) -> None:
        self._file.close()
        super().close()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _mark(last: bool) -> bytes:
    return b"last" if last else b"more"
