"""The ASiC-E container: documents, their digests, and one CAdES signature.

Reading verifies while it unpacks and releases nothing before everything is proven
(dpo-packaging 5.6 and 5.7): we are the first on the network who check.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

from lxml import etree

from gateway.errors import (
    BadContainer,
    DigestMismatch,
    FileMissing,
    LimitExceeded,
    SignatureInvalid,
    UnsafeName,
)
from gateway.model import Document
from gateway.package.identity import Identity
from gateway.package.limits import DEFAULT_LIMITS, Limits
from gateway.package.media import compression_level, media_type
from gateway.package.signature import Signature, sign, verify
from gateway.package.zip_stream import ZipReader, ZipWriter, check_entry_name
from gateway.ports import Spool, SpoolWriter

MIMETYPE = b"application/vnd.etsi.asic-e+zip"
MANIFEST = "manifest.xml"
_ASIC_MANIFEST = "META-INF/ASiCManifest.xml"
_ZIP_COMMENT = b"mimetype=" + MIMETYPE
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_SHA256_SPELLINGS = (_SHA256, "http://www.w3.org/2000/09/xmldsig#sha256")
_NAMESPACES = (
    "http://uri.etsi.org/02918/v1.2.1#",
    "http://uri.etsi.org/02918/v1.1.1#",
    "http://uri.etsi.org/2918/v1.2.1#",
)
_XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
_RESERVED = {"mimetype", MANIFEST}
_LONGEST_NAME = 200
_READ = 512 * 1024


# --- writing --------------------------------------------------------------------------


def write_container(
    write: Callable[[bytes | memoryview], object],
    manifest: bytes,
    documents: Sequence[Document],
    *,
    signer: Identity,
    signed_at: datetime,
    signature_id: str,
) -> None:
    """Write a signed container in one pass. `manifest` becomes ``manifest.xml``.

    Raises `UnsafeName` for a document name that cannot travel, `DigestMismatch` when a
    document's bytes are no longer those that were accepted.
    """
    _check_names(documents)
    zip_writer = ZipWriter(write, signed_at)
    zip_writer.stored("mimetype", MIMETYPE, comment=_ZIP_COMMENT)
    zip_writer.deflated(MANIFEST, manifest)
    files = [(MANIFEST, "application/xml", hashlib.sha256(manifest).digest())]
    for document in documents:
        media = media_type(document.filename, document.mime_type)
        level = compression_level(document.filename, media, document.content.size)
        digest = hashlib.sha256()
        entry = zip_writer.entry(document.filename, level=level)
        with document.content.open() as stream:
            while piece := stream.read(_READ):
                digest.update(piece)
                entry.write(piece)
        entry.close()
        if digest.hexdigest() != document.content.sha256:
            raise DigestMismatch(f"{document.filename!r} has changed since it was accepted")
        files.append((document.filename, media, digest.digest()))
    signature_name = f"META-INF/signature-{signature_id}.p7s"
    asic_manifest = _asic_manifest(signature_name, files)
    zip_writer.deflated(_ASIC_MANIFEST, asic_manifest)
    zip_writer.deflated(signature_name, sign(asic_manifest, signer, signed_at))
    zip_writer.deflated("META-INF/manifest.xml", _open_document_manifest(files))
    zip_writer.finish(_ZIP_COMMENT)


def _check_names(documents: Sequence[Document]) -> None:
    seen: set[str] = set()
    for name in (it.filename for it in documents):
        check_entry_name(name)
        try:
            length = len(name.encode())
        except UnicodeEncodeError as error:
            raise UnsafeName("a document name with half a character") from error
        if "/" in name or name in _RESERVED or length > _LONGEST_NAME:
            raise UnsafeName(f"{name!r} cannot be the name of a document")
        if name in seen:
            raise UnsafeName(f"two documents are named {name!r}")
        seen.add(name)


def _asic_manifest(signature_name: str, files: Iterable[tuple[str, str, bytes]]) -> bytes:
    """Pure ASCII: the Java reader pushes it through its default charset (5.3)."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>',
        f'<ASiCManifest xmlns="{_NAMESPACES[0]}" xmlns:ds="{_XMLDSIG}">',
        f'  <SigReference URI="{signature_name}" MimeType="application/x-pkcs7-signature"/>',
    ]
    for name, media, digest in files:
        lines += [
            f"  <DataObjectReference URI={quoteattr(name)} MimeType={quoteattr(media)}>",
            f'    <ds:DigestMethod Algorithm="{_SHA256}"/>',
            f"    <ds:DigestValue>{base64.b64encode(digest).decode()}</ds:DigestValue>",
            "  </DataObjectReference>",
        ]
    lines.append("</ASiCManifest>\n")
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace")


def _open_document_manifest(files: Iterable[tuple[str, str, bytes]]) -> bytes:
    rows = [("/", MIMETYPE.decode()), *((name, media) for name, media, _ in files)]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">',
        *(
            f"  <m:file-entry m:full-path={quoteattr(name)} m:media-type={quoteattr(media)}/>"
            for name, media in rows
        ),
        "</m:manifest>\n",
    ]
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace")


# --- reading --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Container:
    """A verified container. `manifest` is the signed ``manifest.xml``, if there was one."""

    documents: tuple[Document, ...]
    signature: Signature
    manifest: bytes | None


@dataclass(slots=True)
class _Unpacked:
    """What came out of the zip before anything is proven."""

    writers: dict[str, SpoolWriter] = field(default_factory=dict)
    digests: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes | None = None
    asic_manifests: dict[str, bytes] = field(default_factory=dict)
    signatures: dict[str, bytes] = field(default_factory=dict)
    metadata: int = 0
    """Bytes of the above together."""

    def small(self, name: str, pieces: Iterable[bytes], limits: Limits) -> bytes:
        """A whole metadata file, within the caps."""
        content = bytearray()
        for piece in pieces:
            content += piece
            self.metadata += len(piece)
            if len(content) > limits.metadata:
                raise LimitExceeded(f"{name!r} is larger than {limits.metadata} bytes")
            if self.metadata > limits.metadata_together:
                raise LimitExceeded(f"more than {limits.metadata_together} bytes of metadata")
        return bytes(content)


@dataclass(frozen=True, slots=True)
class _Reference:
    digest: bytes
    media: str | None


def read_container(
    chunks: Iterator[bytes], spool: Spool, limits: Limits = DEFAULT_LIMITS
) -> Container:
    """Unpack and verify; documents are committed to `spool` only when all is proven, in
    the container's order, and discarded whatever else happens.

    Raises `BadContainer`, `UnsafeName`, `LimitExceeded`, `DigestMismatch`,
    `FileMissing`, `SignatureInvalid`, and what `chunks` or `spool` raise.
    """
    found = _Unpacked()
    try:
        for name, pieces in ZipReader(chunks, limits):
            _unpack(found, name, pieces, spool, limits)
        references, signature = _verified(found)
        media = {name: media_type(name, references[name].media or "") for name in found.writers}
        documents = tuple(
            Document(name, media[name], writer.commit()) for name, writer in found.writers.items()
        )
    except BaseException:
        for writer in found.writers.values():
            writer.discard()
        raise
    return Container(documents, signature, found.manifest)


def _unpack(
    found: _Unpacked, name: str, pieces: Iterator[bytes], spool: Spool, limits: Limits
) -> None:
    kind = name.lower()
    if name == "mimetype":
        if found.small(name, pieces, limits) != MIMETYPE:
            raise BadContainer("mimetype: not an ASiC-E container")
    elif not name.startswith("META-INF/"):
        if name == MANIFEST:
            found.manifest = found.small(name, pieces, limits)
            found.digests[name] = hashlib.sha256(found.manifest).digest()
            return
        digest = hashlib.sha256()
        writer = found.writers[name] = spool.create()
        for piece in pieces:
            digest.update(piece)
            writer.write(piece)
        found.digests[name] = digest.digest()
    elif re.fullmatch(r"meta-inf/asicmanifest[^/]*\.xml", kind):
        found.asic_manifests[name] = found.small(name, pieces, limits)
    elif re.fullmatch(r"meta-inf/signature[^/]*\.p7s", kind):
        found.signatures[name] = found.small(name, pieces, limits)
    elif kind != "meta-inf/manifest.xml" and not re.fullmatch(
        r"meta-inf/signatures[^/]*\.xml", kind
    ):
        raise BadContainer(f"{name!r} does not belong under META-INF")


def _verified(found: _Unpacked) -> tuple[dict[str, _Reference], Signature]:
    """Every entry is listed with its digest and every list is signed, or an error."""
    if not found.asic_manifests:
        raise SignatureInvalid("the container has no CAdES signature")
    references: dict[str, _Reference] = {}
    signatures = []
    for name, raw in found.asic_manifests.items():
        signature_name, listed = _read_asic_manifest(name, raw)
        if signature_name not in found.signatures:
            raise SignatureInvalid(f"{name!r} names a signature that is not there")
        signatures.append(verify(found.signatures[signature_name], raw))
        for uri, reference in listed.items():
            entry = uri if uri in found.digests else unquote(uri)
            if entry not in found.digests:
                raise FileMissing(f"{uri!r} is signed but not in the container")
            if found.digests[entry] != reference.digest:
                raise DigestMismatch(f"{entry!r} is not what was signed")
            references[entry] = reference
    for entry in found.digests:
        if entry not in references:
            raise DigestMismatch(f"{entry!r} is in the container but not signed")
    return references, signatures[0]


def _read_asic_manifest(name: str, raw: bytes) -> tuple[str, dict[str, _Reference]]:
    root = parse_xml(name, raw)
    if root.tag not in {f"{{{namespace}}}ASiCManifest" for namespace in _NAMESPACES}:
        raise BadContainer(f"{name!r}: not an ASiCManifest")
    namespace = etree.QName(root).namespace
    signature = root.find(f"{{{namespace}}}SigReference")
    signature_name = None if signature is None else signature.get("URI")
    listed: dict[str, _Reference] = {}
    for element in root.iterfind(f"{{{namespace}}}DataObjectReference"):
        uri = element.get("URI")
        method = element.find(f"{{{_XMLDSIG}}}DigestMethod")
        value = element.findtext(f"{{{_XMLDSIG}}}DigestValue")
        if not uri or method is None or value is None:
            raise BadContainer(f"{name!r}: an incomplete reference")
        if method.get("Algorithm") not in _SHA256_SPELLINGS:
            raise BadContainer(f"{name!r}: {uri!r} has a digest other than SHA-256")
        if uri in listed:
            raise BadContainer(f"{name!r}: {uri!r} is listed twice")
        try:
            digest = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadContainer(f"{name!r}: {uri!r} has no readable digest") from error
        listed[uri] = _Reference(digest, element.get("MimeType"))
    return signature_name or "META-INF/signature.p7s", listed


def parse_xml(name: str, raw: bytes) -> etree._Element:
    """Parse a small XML file without DTD; raises `BadContainer`."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadContainer(f"{name!r}: not well-formed XML") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadContainer(f"{name!r}: has a DTD")
    return root
