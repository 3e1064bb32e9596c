"""The Altinn zip (``sbd.zip``): the whole package, built and opened."""

from __future__ import annotations

import secrets
import struct
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, BinaryIO
from xml.sax.saxutils import escape, quoteattr

from cryptography import x509

from gateway.errors import (
    BadContainer,
    BadSbd,
    BadZip,
    CertificateUnusable,
    FileMissing,
    LimitExceeded,
)
from gateway.model import Document
from gateway.package.asice import parse_xml, read_container, write_container
from gateway.package.cms import Envelope, EnvelopeWriter
from gateway.package.digests import Digests
from gateway.package.identity import Identity
from gateway.package.limits import DEFAULT_LIMITS, Limits
from gateway.package.media import media_type
from gateway.package.sbd import ARKIVMELDING, AUTHORITY, Sbd, read_sbd, write_sbd
from gateway.package.signature import Signature
from gateway.package.zip_stream import ZipWriter
from gateway.ports import Spool

SBD_ENTRY = "sbd.json"
ASIC_ENTRY = "asic.zip"
_CLOCK_DIFFERENCE = timedelta(minutes=5)
_FOR_EACH = 4 * 1024
_FOR_ALL = 256 * 1024
_OBSOLETE_SBD = "content.xml"
_ZIP_TROUBLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, KeyError, IndexError, OverflowError, MemoryError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Built:
    """A finished package: bytes, and lower-case hex digests over them."""

    size: int
    md5: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A package of which everything is verified.

    `signature` is None when there were no documents, and so nothing signed. `notes` say
    in English what is odd but harmless, for the message's timeline.
    """

    sbd: Sbd
    documents: tuple[Document, ...] = ()
    signature: Signature | None = None
    notes: tuple[str, ...] = ()


def build_package(
    target: BinaryIO,
    sbd: Sbd,
    documents: Sequence[Document] = (),
    *,
    signer: Identity | None = None,
    receiver_certificate: x509.Certificate | None = None,
    signed_at: datetime | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Built:
    """Write the package to `target` in one pass and constant memory.

    The first document is the main one (``arkivmelding.xml``). Without documents there
    is no ``asic.zip``, and neither signer nor receiver's certificate is needed.
    `signed_at` is `sbd.created` unless given; the receiver's certificate must be valid
    then, while its chain is the caller's to check.

    Raises `BadSbd`, `UnsafeName`, `CertificateUnusable`, `DigestMismatch`, `TooLarge`.
    """
    header = write_sbd(sbd)
    moment = signed_at or sbd.created
    assert moment is not None  # write_sbd refuses an SBD without creation time
    with Digests() as digests:

        def write(data: bytes | memoryview) -> None:
            digests.update(data)
            target.write(data)

        package = ZipWriter(write, moment)
        package.deflated(SBD_ENTRY, header)
        if documents:
            if signer is None or receiver_certificate is None:
                raise ValueError("documents need a signer and a receiver's certificate")
            _check_dates(receiver_certificate, moment)
            entry = package.entry(ASIC_ENTRY, level=0)  # ciphertext does not shrink
            envelope = EnvelopeWriter(entry.write, receiver_certificate, random_bytes)
            write_container(
                envelope.write,
                _manifest(sbd, documents[0]),
                documents,
                signer=signer,
                signed_at=moment,
                signature_id=str(uuid.UUID(bytes=random_bytes(16), version=4)),
            )
            envelope.close()
            entry.close()
        size = package.finish()
    return Built(size, digests.md5, digests.sha256)


def size_at_most(sizes: Sequence[int]) -> int:
    """What a package of documents with these `sizes` does not grow beyond, all in bytes.

    As if nothing shrank: deflate wraps what it cannot pack, CMS cuts all of that into
    segments, and the outer zip wraps those, which together is less than a thousandth. Each
    document has headers and lines in the manifests; there are an SBD and a signature.
    """
    return sum(sizes) + sum(sizes) // 1024 + len(sizes) * _FOR_EACH + _FOR_ALL


def _check_dates(certificate: x509.Certificate, moment: datetime) -> None:
    if moment + _CLOCK_DIFFERENCE < certificate.not_valid_before_utc:
        raise CertificateUnusable("the receiver's certificate is not valid yet")
    if moment > certificate.not_valid_after_utc:
        raise CertificateUnusable(
            f"the receiver's certificate expired {certificate.not_valid_after_utc:%Y-%m-%d}"
        )


def open_package(
    source: BinaryIO,
    *,
    identities: Sequence[Identity],
    spool: Spool,
    limits: Limits = DEFAULT_LIMITS,
    allow_icd_9908: bool = False,
) -> Opened:
    """Open and verify the package in the seekable `source`.

    Try keys in the order of `identities`, the current one first. Nothing reaches the
    spool's committed content before every digest and signature is verified. Raises the
    leaves of `PackageError`, and `StorageFull` from the spool.
    """
    with _entries(source, limits) as package:
        sbd = _read_sbd(package, limits, allow_icd_9908)
        if ASIC_ENTRY not in package.namelist():
            if sbd.type == ARKIVMELDING:
                raise FileMissing("asic.zip is not in the package")
            return Opened(sbd)
        with _entry(package, ASIC_ENTRY, limits) as sealed:
            clear = Envelope(sealed, limits).decrypted(identities)
            container = read_container(clear, spool, limits)
    return Opened(
        sbd, container.documents, container.signature, tuple(_notes(sbd, container.manifest))
    )


def read_sbd_only(
    source: BinaryIO, *, limits: Limits = DEFAULT_LIMITS, allow_icd_9908: bool = False
) -> Sbd:
    """The SBD of a package without opening the rest; for errors and for routing."""
    with _entries(source, limits) as package:
        return _read_sbd(package, limits, allow_icd_9908)


def read_envelope(source: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> Envelope | None:
    """The header of ``asic.zip``: for whom it is locked and how. None without one."""
    with _entries(source, limits) as package:
        if ASIC_ENTRY not in package.namelist():
            return None
        with _entry(package, ASIC_ENTRY, limits) as sealed:
            return Envelope(sealed, limits)


def entry_sizes(source: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> dict[str, int]:
    """What lies in the outer zip: entry names with their sizes in bytes."""
    with _entries(source, limits) as package:
        return {it.filename: it.file_size for it in package.infolist()}


@contextmanager
def _entries(source: BinaryIO, limits: Limits) -> Iterator[zipfile.ZipFile]:
    try:
        _check_directory(source, limits)
        package = zipfile.ZipFile(source, metadata_encoding="utf-8")
    except _ZIP_TROUBLE as error:
        raise BadZip(f"the package is not a sound zip file ({type(error).__name__})") from error
    with package:
        names = package.namelist()
        for name in (SBD_ENTRY, ASIC_ENTRY):
            if names.count(name) > 1:
                raise BadZip(f"{name} occurs twice in the package")
        yield package


def _check_directory(source: BinaryIO, limits: Limits) -> None:
    """Refuse a huge directory before `zipfile` reads it into memory."""
    size = source.seek(0, 2)
    source.seek(max(0, size - 65_557))
    tail = source.read(65_557)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise BadZip("the package is not a zip file, or is cut off")
    count, directory = struct.unpack_from("<HI", tail, at + 10)
    if count > limits.entries or directory > limits.entries * (46 + 3 * limits.name):
        raise LimitExceeded(f"the package has more than {limits.entries} entries")


def _read_sbd(package: zipfile.ZipFile, limits: Limits, allow_icd_9908: bool) -> Sbd:
    names = package.namelist()
    if SBD_ENTRY not in names:
        if _OBSOLETE_SBD in names:
            raise BadSbd(f"{_OBSOLETE_SBD}: the old XML form is no longer in use")
        raise BadSbd(f"{SBD_ENTRY}: not in the package")
    with _entry(package, SBD_ENTRY, limits) as entry:
        data = entry.read(limits.sbd + 1)
    return read_sbd(data, limits=limits, allow_icd_9908=allow_icd_9908)


class _Reading:
    """A zip entry whose damage shows as `BadZip`, whoever reads it."""

    def __init__(self, name: str, entry: IO[bytes], limits: Limits) -> None:
        self._name = name
        self._entry = entry
        self._left = limits.inflated + limits.inflated // 16  # framing included

    def read(self, size: int, /) -> bytes:
        try:
            data = self._entry.read(size)
            self._left -= len(data)
            if self._left < 0:
                raise LimitExceeded(f"{self._name} is larger than allowed")
            return data
        except _ZIP_TROUBLE as error:
            raise BadZip(f"{self._name} is damaged ({type(error).__name__})") from error


@contextmanager
def _entry(package: zipfile.ZipFile, name: str, limits: Limits) -> Iterator[_Reading]:
    try:
        entry = package.open(name)
    except _ZIP_TROUBLE as error:
        raise BadZip(f"{name} cannot be read ({type(error).__name__})") from error
    with entry:
        yield _Reading(name, entry, limits)


def _manifest(sbd: Sbd, main: Document) -> bytes:
    """``manifest.xml`` (dpo-packaging 4); nobody on the network reads it back but us."""
    media = media_type(main.filename, main.mime_type)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<manifest>\n"
        f"{_party('mottaker', sbd.receiver_id)}{_party('avsender', sbd.sender_id)}"
        f"   <hoveddokument href={quoteattr(main.filename)} mime={quoteattr(media)}>\n"
        '      <tittel lang="no">Hoveddokument</tittel>\n'
        "   </hoveddokument>\n"
        "</manifest>\n"
    ).encode()


def _party(element: str, identifier: str) -> str:
    return (
        f"   <{element}>\n"
        f'      <organisasjon authority="{AUTHORITY}">{escape(identifier)}</organisasjon>\n'
        f"   </{element}>\n"
    )


def _notes(sbd: Sbd, manifest: bytes | None) -> Iterator[str]:
    """Where the signed manifest and the unsigned SBD name different parties."""
    if manifest is None:
        return
    try:
        root = parse_xml("manifest.xml", manifest)
    except BadContainer as error:
        yield error.detail
        return
    for element, identifier in (("mottaker", sbd.receiver_id), ("avsender", sbd.sender_id)):
        signed = (root.findtext(f"{element}/organisasjon") or "").strip()
        if signed.rpartition(":")[2] != identifier.rpartition(":")[2]:
            yield f"manifest.xml names {element} {signed[:60]!r}, the SBD names {identifier!r}"
