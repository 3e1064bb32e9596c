"""Reads Java's old keystore format (JKS), for ``edu-gateway keystore convert`` only.

Own code because it is short and fixed since 1996: production servers have no keytool,
and the library that reads it drags in four others. Nothing but the conversion uses it,
since the format protects keys with SHA-1 alone.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

from asn1crypto import keys
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from gateway.errors import ConfigurationError
from gateway.package import Identity

MAGIC = b"\xfe\xed\xfe\xed"
_PROTECTOR = "1.3.6.1.4.1.42.2.17.1.1"
_PRIVATE_KEY, _TRUSTED = 1, 2
_SHA1 = 20


@dataclass
class _Cursor:
    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise ConfigurationError("keystore: the JKS file ends too early")
        self.at += count
        return piece

    def number(self) -> int:
        return int(struct.unpack(">I", self.take(4))[0])

    def text(self) -> str:
        return self.take(struct.unpack(">H", self.take(2))[0]).decode()

    def certificate(self) -> x509.Certificate:
        self.text()  # always "X.509"
        return x509.load_der_x509_certificate(self.take(self.number()))


def read_jks(data: bytes, password: str) -> dict[str, Identity]:
    """Every key in the keystore with its chain, by alias. `password` is both the
    store's and the keys', as the network's software demands (dpo-packaging 7.2).

    Raises `ConfigurationError`.
    """
    try:
        return _read(data, password)
    except (ValueError, TypeError) as error:
        raise ConfigurationError("keystore: the JKS file is malformed") from error


def _read(data: bytes, password: str) -> dict[str, Identity]:
    secret = password.encode("utf-16-be")
    body, seal = data[:-_SHA1], data[-_SHA1:]
    expected = hashlib.sha1(secret + b"Mighty Aphrodite" + body).digest()
    if not hmac.compare_digest(seal, expected):
        raise ConfigurationError("keystore: wrong password, or the JKS file is damaged")
    cursor = _Cursor(body)
    if cursor.take(4) != MAGIC or cursor.number() != 2:
        raise ConfigurationError("keystore: not a JKS file of version 2")
    found: dict[str, Identity] = {}
    for _ in range(cursor.number()):
        kind, alias = cursor.number(), cursor.text()
        cursor.take(8)  # when it was made
        if kind == _TRUSTED:
            cursor.certificate()
        elif kind == _PRIVATE_KEY:
            key = _unlocked(cursor.take(cursor.number()), secret)
            chain = [cursor.certificate() for _ in range(cursor.number())]
            if isinstance(key, RSAPrivateKey) and chain:
                found[alias] = Identity(key, chain[0], tuple(chain[1:]))
        else:
            raise ConfigurationError(f"keystore: unknown kind of entry {alias!r}")
    return found


def _unlocked(protected: bytes, secret: bytes) -> object:
    """Undo Java's key protector: a SHA-1 key stream, with a SHA-1 check at the end."""
    info = keys.EncryptedPrivateKeyInfo.load(protected)
    if info["encryption_algorithm"]["algorithm"].dotted != _PROTECTOR:
        raise ConfigurationError("keystore: a key is protected in an unknown way")
    sealed = info["encrypted_data"].native
    block, sealed, check = sealed[:_SHA1], sealed[_SHA1:-_SHA1], sealed[-_SHA1:]
    clear = bytearray()
    for start in range(0, len(sealed), _SHA1):
        block = hashlib.sha1(secret + block).digest()
        clear += bytes(a ^ b for a, b in zip(sealed[start : start + _SHA1], block, strict=False))
    if not hmac.compare_digest(check, hashlib.sha1(secret + clear).digest()):
        raise ConfigurationError("keystore: the key has another password than the keystore")
    return load_der_private_key(bytes(clear), None)
