"""Throw-away keys, a spool in memory, and documents to pack."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from gateway.model import Document
from gateway.package import Identity
from gateway.spool import BytesContent

FIXTURES = Path(__file__).parent / "fixtures"
PASSWORD = "changeit"
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@dataclass
class Piece:
    spool: MemorySpool
    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> None:
        self.data += data

    def commit(self) -> BytesContent:
        content = BytesContent(bytes(self.data))
        self.spool.committed.append(content)
        return content

    def discard(self) -> None:
        self.spool.discarded += 1


@dataclass
class MemorySpool:
    committed: list[BytesContent] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    discarded: int = 0

    def create(self) -> Piece:
        piece = Piece(self)
        self.pieces.append(piece)
        return piece


def document(name: str, data: bytes, mime: str = "application/pdf") -> Document:
    return Document(name, mime, BytesContent(data))


def contents(documents: tuple[Document, ...]) -> list[tuple[str, str, bytes]]:
    found = []
    for it in documents:
        with it.content.open() as stream:
            found.append((it.filename, it.mime_type, stream.read()))
    return found


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    subject: str = "NTRNO-991825827",
    serial: int | None = None,
    issuer: tuple[x509.Certificate, rsa.RSAPrivateKey] | None = None,
    not_before: datetime = NOW - timedelta(days=365),
    not_after: datetime = NOW + timedelta(days=365),
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> x509.Certificate:
    """A certificate made to order, signed by itself unless `issuer` is given."""
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("2.5.4.97"), subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[0].subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


def key_usage(*, encipher: bool = True, authority: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=encipher,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def fixture_identity(name: str) -> Identity:
    key, certificate, chain = pkcs12.load_key_and_certificates(
        (FIXTURES / f"{name}.p12").read_bytes(), PASSWORD.encode()
    )
    return Identity(key, certificate, tuple(chain))
