"""Every defect of a package has its own error, and nothing of it is released."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from packing import NOW, MemorySpool, certificate, key_usage
from test_package_round_trip import DOCUMENTS, letter, packed

from gateway.errors import (
    BadContainer,
    BadSbd,
    BadZip,
    CertificateUnusable,
    DecryptionFailed,
    DigestMismatch,
    FileMissing,
    LimitExceeded,
    PackageError,
    SignatureInvalid,
    StorageFull,
    UnsafeName,
    WrongKey,
)
from gateway.package import Identity, Limits, build_package, open_package
from gateway.package.asice import Container, read_container
from gateway.package.ber import BerError, BerReader
from gateway.package.cms import Envelope
from gateway.package.limits import DEFAULT_LIMITS
from gateway.package.signature import sign, verify

MANIFEST = b"<ASiCManifest/>"
SIGNATURE = "META-INF/signature-1.p7s"
ETSI = "http://uri.etsi.org/02918/v1.2.1#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


def asic_manifest(
    files: dict[str, bytes], *, algorithm: str = SHA256, namespace: str = ETSI, head: str = ""
) -> bytes:
    rows = "".join(
        f'<DataObjectReference URI="{name}" MimeType="text/plain">'
        f'<d:DigestMethod Algorithm="{algorithm}"/><d:DigestValue>'
        f"{base64.b64encode(hashlib.sha256(data).digest()).decode()}"
        "</d:DigestValue></DataObjectReference>"
        for name, data in files.items()
    )
    return (
        f'{head}<ASiCManifest xmlns="{namespace}" xmlns:d="http://www.w3.org/2000/09/xmldsig#">'
        f'<SigReference URI="{SIGNATURE}"/>{rows}</ASiCManifest>'
    ).encode()


def zipped(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return target.getvalue()


def signed(
    files: dict[str, bytes],
    signer: Identity,
    *,
    listed: dict[str, bytes] | None = None,
    manifest: bytes | None = None,
    extra: tuple[tuple[str, bytes], ...] = (),
    method: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """A container with a sound signature, whatever else is wrong with it."""
    manifest = manifest or asic_manifest(files if listed is None else listed)
    return zipped(
        [
            *files.items(),
            *extra,
            ("META-INF/ASiCManifest.xml", manifest),
            (SIGNATURE, sign(manifest, signer, NOW)),
        ],
        method,
    )


def read(
    container: bytes, spool: MemorySpool | None = None, limits: Limits = DEFAULT_LIMITS
) -> Container:
    return read_container(iter([container]), spool or MemorySpool(), limits)


def refused(container: bytes, error: type[PackageError], limits: Limits = DEFAULT_LIMITS) -> str:
    spool = MemorySpool()
    with pytest.raises(error) as caught:
        read(container, spool, limits)
    assert spool.committed == []
    return caught.value.detail


FILES = {"arkivmelding.xml": b"<a/>", "brev.txt": b"hei"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_tool_makes_sound_containers(sender: Identity, method: int) -> None:
    assert [it.filename for it in read(signed(FILES, sender, method=method)).documents] == list(
        FILES
    )


def test_a_changed_document_is_refused(sender: Identity) -> None:
    container = signed(FILES | {"brev.txt": b"hopp"}, sender, listed=FILES)
    assert "brev.txt" in refused(container, DigestMismatch)


def test_an_added_document_is_refused(sender: Identity) -> None:
    assert "gave.txt" in refused(
        signed(FILES | {"gave.txt": b"x"}, sender, listed=FILES), DigestMismatch
    )


def test_a_removed_document_is_refused(sender: Identity) -> None:
    container = signed(FILES, sender, listed=FILES | {"savnet.txt": b"x"})
    assert "savnet.txt" in refused(container, FileMissing)


def test_a_forged_signature_is_refused(sender: Identity, receiver: Identity) -> None:
    manifest = asic_manifest(FILES)
    forged = bytearray(sign(manifest, sender, NOW))
    forged[-10] ^= 1
    entries = [*FILES.items(), ("META-INF/ASiCManifest.xml", manifest), (SIGNATURE, bytes(forged))]
    assert "does not match" in refused(zipped(entries), SignatureInvalid)
    entries[-1] = (SIGNATURE, sign(manifest + b" ", sender, NOW))
    assert "another manifest" in refused(zipped(entries), SignatureInvalid)
    for nested in (b"\x30\x80" * 200_000, b"\xa0\x80" * 400, b"\x30\x84" * 1000):
        entries[-1] = (SIGNATURE, nested)
        refused(zipped(entries), SignatureInvalid)
    entries[-1] = (SIGNATURE, b"nothing like it")
    assert "malformed" in refused(zipped(entries), SignatureInvalid)
    refused(zipped(entries[:-1]), SignatureInvalid)


def test_a_container_without_signature_is_refused() -> None:
    assert "no CAdES" in refused(zipped([*FILES.items()]), SignatureInvalid)
    xades = ("META-INF/signatures0.xml", b"<x/>")
    assert "no CAdES" in refused(zipped([*FILES.items(), xades]), SignatureInvalid)


@pytest.mark.parametrize(
    "name",
    [
        "../ut.txt",
        "a/../../ut.txt",
        "/rot.txt",
        "C:/rot.txt",
        "mappe/",
        "a\\b.txt",
        "a//b.txt",
        "./a.txt",
        "linje\nskift",
        "meta-inf/signature.p7s",
        "n" * 256,
    ],
)
def test_path_tricks_are_refused(name: str, sender: Identity) -> None:
    refused(signed(FILES | {name: b"x"}, sender, listed=FILES), UnsafeName)


def test_a_name_twice_is_refused(sender: Identity) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        container = signed(FILES, sender, extra=(("brev.txt", b"hei"),))
    refused(container, UnsafeName)


def test_a_name_that_is_not_utf_8_is_refused(sender: Identity) -> None:
    container = signed(FILES | {"sær.txt": b"x"}, sender).replace("sær".encode(), b"s\xff\xffr")
    refused(container, UnsafeName)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (("META-INF/virus.exe", b"x"), "does not belong"),
        (("mimetype", b"application/zip"), "mimetype"),
    ],
)
def test_what_does_not_belong_is_refused(
    extra: tuple[str, bytes], reason: str, sender: Identity
) -> None:
    assert reason in refused(signed(FILES, sender, extra=(extra,)), BadContainer)


@pytest.mark.parametrize(
    "manifest",
    [
        asic_manifest(FILES, algorithm="http://www.w3.org/2001/04/xmlenc#sha512"),
        asic_manifest(FILES, algorithm="http://www.w3.org/2000/09/xmldsig#sha1"),
        asic_manifest(FILES, namespace="urn:noe:annet"),
        asic_manifest(FILES, head='<!DOCTYPE a [<!ENTITY e "x">]>'),
        asic_manifest(FILES)[:-5],
        asic_manifest(FILES).replace(b"<d:DigestValue>", b"<d:DigestValue>*"),
        asic_manifest(FILES).replace(b"d:DigestMethod", b"d:Metode"),
    ],
    ids=["sha512", "sha1", "namespace", "dtd", "cut", "base64", "incomplete"],
)
def test_a_manifest_out_of_form_is_refused(manifest: bytes, sender: Identity) -> None:
    refused(signed(FILES, sender, manifest=manifest), BadContainer)


@pytest.mark.parametrize(
    "manifest",
    [
        asic_manifest(FILES, namespace="http://uri.etsi.org/2918/v1.2.1#"),
        asic_manifest(FILES, namespace="http://uri.etsi.org/02918/v1.1.1#"),
        asic_manifest(FILES, algorithm="http://www.w3.org/2000/09/xmldsig#sha256"),
        asic_manifest(FILES).replace(b"brev.txt", b"br%65v.txt"),
    ],
    ids=["2918", "v1.1.1", "xmldsig", "percent"],
)
def test_old_spellings_are_accepted(manifest: bytes, sender: Identity) -> None:
    assert len(read(signed(FILES, sender, manifest=manifest)).documents) == 2


def test_a_bomb_is_refused(sender: Identity) -> None:
    bomb = signed(FILES | {"bombe.txt": bytes(90_000_000)}, sender)
    assert len(bomb) < 200_000
    assert "200:1" in refused(bomb, LimitExceeded)
    white_page = signed(FILES | {"blank.bmp": bytes(60_000_000)}, sender)
    assert len(read(white_page).documents) == 3
    assert "unpacked" in refused(bomb, LimitExceeded, Limits(inflated=1000, ratio=10**9))
    many = signed(FILES | {f"{i}.txt": b"" for i in range(30)}, sender)
    assert "entries" in refused(many, LimitExceeded, Limits(entries=10))
    heap = tuple((f"META-INF/signature-{i}.p7s", b"x" * 900) for i in range(10, 30))
    together = Limits(metadata_together=10_000)
    assert "of metadata" in refused(signed(FILES, sender, extra=heap), LimitExceeded, together)
    big = signed(FILES, sender, extra=(("META-INF/signature-2.p7s", b"x" * 5000),))
    assert "signature-2" in refused(big, LimitExceeded, Limits(metadata=4000))


def test_zip_features_that_java_cannot_stream_are_refused(sender: Identity) -> None:
    plain = bytearray(signed(FILES, sender))
    for offset, value in ((6, 1), (8, 12)):  # encrypted; bzip2
        container = bytearray(plain)
        container[offset] = value
        assert "nobody else" in refused(bytes(container), BadContainer)
    stored = bytearray(signed(FILES, sender, method=zipfile.ZIP_STORED))
    stored[6] = 8
    assert "size" in refused(bytes(stored), BadContainer)


@pytest.mark.parametrize("cut", [0, 1, 4, 30, 60, 200, 500])
def test_a_cut_container_is_refused(cut: int, sender: Identity) -> None:
    refused(signed(FILES, sender)[:cut], BadContainer)


# --- the envelope and the outer zip ---------------------------------------------------


def outer(entries: list[tuple[str, bytes]]) -> io.BytesIO:
    return io.BytesIO(zipped(entries))


def parts(sender: Identity, receiver: Identity) -> tuple[bytes, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed(sender, receiver))) as package:
        return package.read("sbd.json"), package.read("asic.zip")


Change = Callable[[bytes], bytes]
AES_CBC, AES_GCM = bytes.fromhex("60864801650304012a"), bytes.fromhex("60864801650304012e")
OAEP, PKCS1 = bytes.fromhex("2a864886f70d010107"), bytes.fromhex("2a864886f70d010101")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda it: it[:-1], DecryptionFailed),
        (lambda it: it[: len(it) // 2], DecryptionFailed),
        (lambda it: b"", DecryptionFailed),
        (lambda it: b"PK" + it, DecryptionFailed),
        (lambda it: it.replace(AES_CBC, AES_GCM), DecryptionFailed),
        (lambda it: it.replace(OAEP, PKCS1), DecryptionFailed),
    ],
    ids=["tail", "half", "empty", "zip", "gcm", "pkcs1"],
)  # fmt: skip
def test_a_broken_envelope_is_refused(
    change: Change,
    error: type[PackageError],
    sender: Identity,
    receiver: Identity,
    spool: MemorySpool,
) -> None:
    sbd, asic = parts(sender, receiver)
    with pytest.raises(error):
        open_package(
            outer([("sbd.json", sbd), ("asic.zip", change(asic))]),
            identities=[receiver],
            spool=spool,
        )
    assert spool.committed == []


def test_the_peer_learns_nothing_about_why_it_failed(sender: Identity) -> None:
    assert (
        DecryptionFailed("padding").receipt
        == WrongKey("serial").receipt
        == SignatureInvalid("x").receipt
    )


def test_defects_of_the_outer_zip(sender: Identity, receiver: Identity, spool: MemorySpool) -> None:
    sbd, asic = parts(sender, receiver)

    def refuse(source: io.BytesIO, error: type[PackageError], reason: str) -> None:
        with pytest.raises(error, match=reason):
            open_package(source, identities=[receiver], spool=spool)

    refuse(io.BytesIO(b"not a zip"), BadZip, "not a zip")
    refuse(io.BytesIO(outer([("sbd.json", sbd)]).getvalue()[:-30]), BadZip, "cut off")
    refuse(outer([("asic.zip", asic)]), BadSbd, "sbd.json")
    refuse(outer([("content.xml", b"<x/>"), ("asic.zip", asic)]), BadSbd, "no longer")
    refuse(outer([("sbd.json", sbd)]), FileMissing, "asic.zip")
    refuse(outer([("sbd.json", b" " * (2 << 20)), ("asic.zip", asic)]), LimitExceeded, "sbd.json")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = outer([("sbd.json", sbd), ("asic.zip", asic), ("asic.zip", asic)])
    refuse(twice, BadZip, "twice")
    refuse(outer([(f"{i}", b"") for i in range(501)]), LimitExceeded, "entries")
    assert spool.committed == []


def test_what_v2_adds_and_any_order_are_ignored(
    sender: Identity, receiver: Identity, spool: MemorySpool
) -> None:
    sbd, asic = parts(sender, receiver)
    source = outer(
        [("manifest.xml", b"<x/>"), ("recipients.xml", b"<"), ("asic.zip", asic), ("sbd.json", sbd)]
    )
    assert len(open_package(source, identities=[receiver], spool=spool).documents) == 4


def test_an_envelope_that_never_ends_is_refused(
    sender: Identity, receiver: Identity, spool: MemorySpool
) -> None:
    sbd, asic = parts(sender, receiver)
    source = outer([("sbd.json", sbd), ("asic.zip", asic)])
    with pytest.raises(LimitExceeded, match=r"asic\.zip"):
        open_package(
            source, identities=[receiver], spool=spool, limits=Limits(inflated=len(asic) // 2)
        )


def test_a_colon_in_a_name_is_no_path(sender: Identity) -> None:
    found = read(signed(FILES | {"1: vedlegg.txt": b"x", "A:b.txt": b"y"}, sender))
    assert [it.filename for it in found.documents][-2:] == ["1: vedlegg.txt", "A:b.txt"]


def test_other_parties_in_the_signed_manifest_are_noted(
    sender: Identity, receiver: Identity, spool: MemorySpool
) -> None:
    sbd, asic = parts(sender, receiver)
    other = sbd.replace(b"0192:910077473", b"0192:991825827")
    source = outer([("sbd.json", other), ("asic.zip", asic)])
    (note,) = open_package(source, identities=[receiver], spool=spool).notes
    assert "avsender" in note
    assert "0192:991825827" in note


def test_a_full_disk_leaves_nothing(sender: Identity, receiver: Identity) -> None:
    class Full(MemorySpool):
        def create(self) -> object:  # type: ignore[override]
            piece = super().create()
            if len(self.pieces) == 3:
                piece.write = self._full  # type: ignore[method-assign]
            return piece

        def _full(self, data: bytes) -> None:
            raise StorageFull("no room")

    spool = Full()
    with pytest.raises(StorageFull):
        open_package(io.BytesIO(packed(sender, receiver)), identities=[receiver], spool=spool)
    assert spool.committed == []
    assert spool.discarded == 3


_KEY = rsa.generate_private_key(65537, 2048)


def _rsa(bits: int) -> x509.Certificate:
    return certificate(rsa.generate_private_key(65537, bits))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: _rsa(1024), "1024 bits"),
        (lambda: certificate(ec.generate_private_key(ec.SECP256R1())), "only RSA"),
        (
            lambda: certificate(
                rsa.generate_private_key(65537, 2048),
                extensions=((key_usage(encipher=False), True),),
            ),
            "key usage",
        ),
        (lambda: certificate(_KEY, not_after=NOW - timedelta(days=1)), "expired"),
        (lambda: certificate(_KEY, not_before=NOW + timedelta(hours=1)), "not valid yet"),
    ],
    ids=["short", "ec", "signing", "expired", "early"],
)
def test_useless_certificates_are_not_encrypted_for(
    make: Callable[[], x509.Certificate], reason: str, sender: Identity
) -> None:
    with pytest.raises(CertificateUnusable, match=reason):
        build_package(io.BytesIO(), letter(), DOCUMENTS, signer=sender, receiver_certificate=make())


# --- framings of the envelope ---------------------------------------------------------


def der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def indefinite(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x80]) + content + b"\0\0"


def segments(data: bytes, size: int) -> bytes:
    return b"".join(der(4, data[at : at + size]) for at in range(0, len(data), size))


FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "primitive": lambda it: der(0x80, it),
    "java": lambda it: indefinite(0xA0, segments(it, 1000)),
    "definite segments": lambda it: der(0xA0, segments(it, 700)),
    "tiny segments": lambda it: indefinite(0xA0, segments(it, 7)),
    "two levels": lambda it: indefinite(
        0xA0, indefinite(0x24, segments(it[:999], 100)) + der(0x24, segments(it[999:], 300_000))
    ),
}


def reframed(
    asic: bytes, framing: Callable[[bytes], bytes], outer: Callable[[int, bytes], bytes]
) -> bytes:
    ber = BerReader(io.BytesIO(asic), 1 << 20)
    ber.enter(0x30)
    head = ber.element()
    ber.enter(0xA0)
    ber.enter(0x30)
    version, recipients = ber.element(), ber.element()
    ber.enter(0x30)
    kind, algorithm = ber.element(), ber.element()
    content = framing(b"".join(ber.octets()))
    info = outer(0x30, kind + algorithm + content)
    return outer(0x30, head + outer(0xA0, outer(0x30, version + recipients + info)))


@pytest.mark.parametrize("outer_framing", [der, indefinite])
@pytest.mark.parametrize("name", FRAMINGS)
def test_every_framing_is_read(
    name: str,
    outer_framing: Callable[[int, bytes], bytes],
    sender: Identity,
    receiver: Identity,
    spool: MemorySpool,
) -> None:
    sbd, asic = parts(sender, receiver)
    asic = reframed(asic, FRAMINGS[name], outer_framing)
    source = outer([("sbd.json", sbd), ("asic.zip", asic)])
    assert len(open_package(source, identities=[receiver], spool=spool).documents) == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80" * 50,
        b"\x24\x80" * 50,
        b"\x30\x89" + b"\xff" * 9,
        b"\x04\x80ab\0\0",
        b"\x1f\x81\x01\x00",
        der(0x30, b"\x04\x7fabc"),
        der(0x30, b"\x02\x01\x01\x02"),
    ],
)
def test_malformed_ber_is_an_error_of_its_own(data: bytes) -> None:
    ber = BerReader(io.BytesIO(data), 1000)
    with pytest.raises(BerError):
        ber.enter(0x30)
        while not ber.at_end():
            ber.element()
        ber.leave()
    with pytest.raises(DecryptionFailed):
        Envelope(io.BytesIO(data))


def test_a_certificate_swapped_for_its_twin_is_refused() -> None:
    """The same key, issuer and serial: only signing-certificate-v2 tells them apart."""
    number = x509.random_serial_number()
    own, twin = (
        certificate(_KEY, serial=number, not_after=NOW + timedelta(days=days)) for days in (30, 60)
    )
    signature = sign(MANIFEST, Identity(_KEY, own), NOW)
    assert verify(signature, MANIFEST).orgnr == "991825827"
    swapped = signature.replace(own.public_bytes(Encoding.DER), twin.public_bytes(Encoding.DER))
    assert swapped != signature
    with pytest.raises(SignatureInvalid, match="another certificate"):
        verify(swapped, MANIFEST)
