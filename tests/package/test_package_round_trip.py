"""What we pack, we and OpenSSL can open; what Java packed, we can open."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import struct
import subprocess
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packing import FIXTURES, NOW, MemorySpool, contents, document

from gateway.errors import DigestMismatch, UnsafeName, WrongKey
from gateway.model import Document
from gateway.package import (
    Identity,
    Sbd,
    arkivmelding_sbd,
    build_package,
    open_package,
    size_at_most,
)
from gateway.package.asice import MIMETYPE, read_container, write_container
from gateway.spool import BytesContent

MELDING_ID = "3f0a9f3c-0b1e-4a57-9d0c-0c4f0a1d2e3f"
openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def letter() -> Sbd:
    return arkivmelding_sbd(
        sender="910077473",
        receiver="910075918",
        message_id=MELDING_ID,
        conversation_id=MELDING_ID,
        created=NOW,
        expires=NOW + timedelta(hours=24),
        sender_ref="2026/17-3",
    )


DOCUMENTS = [
    document("arkivmelding.xml", b"<arkivmelding/>", "application/xml"),
    document("Søknad & vedlegg.pdf", b"%PDF-1.7" + bytes(range(256)) * 999),
    document("notat uten type.txt", b"abc " * 50_000, ""),
    document("tom.bin", b"", "application/octet-stream"),
]


def packed(sender: Identity, receiver: Identity, documents: list[Document] = DOCUMENTS) -> bytes:
    target = io.BytesIO()
    built = build_package(
        target,
        letter(),
        documents,
        signer=sender,
        receiver_certificate=receiver.certificate,
    )
    package = target.getvalue()
    assert built.size == len(package)
    assert built.md5 == hashlib.md5(package).hexdigest()
    assert built.sha256 == hashlib.sha256(package).hexdigest()
    return package


def test_the_digests_of_a_large_package_are_those_of_its_bytes(
    sender: Identity, receiver: Identity
) -> None:
    for size in (1024 * 1024, 5_000_000):
        packed(sender, receiver, [document("stor.pdf", b"%PDF-1.7" * (size // 8))])


def test_what_is_packed_can_be_opened(
    sender: Identity, receiver: Identity, spool: MemorySpool
) -> None:
    package = packed(sender, receiver)
    opened = open_package(io.BytesIO(package), identities=[receiver], spool=spool)
    assert opened.sbd == replace(letter(), standard="urn:no:difi:arkivmelding:xsd::arkivmelding")
    assert opened.notes == ()
    assert contents(opened.documents) == [
        ("arkivmelding.xml", "application/xml", b"<arkivmelding/>"),
        ("Søknad & vedlegg.pdf", "application/pdf", DOCUMENTS[1].content.open().read()),
        ("notat uten type.txt", "text/plain", b"abc " * 50_000),
        ("tom.bin", "application/octet-stream", b""),
    ]
    assert opened.signature is not None
    assert opened.signature.orgnr == "910077473"
    assert opened.signature.digest == "sha256"
    assert opened.signature.signed_at == NOW.isoformat()
    assert spool.discarded == 0


def test_the_layout_is_the_networks(sender: Identity, receiver: Identity) -> None:
    with zipfile.ZipFile(io.BytesIO(packed(sender, receiver))) as package:
        assert package.namelist() == ["sbd.json", "asic.zip"]
        assert package.testzip() is None
        assert json.loads(package.read("sbd.json"))["arkivmelding"] == {
            "hoveddokument": "arkivmelding.xml"
        }


def container(sender: Identity) -> bytes:
    target = io.BytesIO()
    write_container(
        target.write,
        b"<manifest/>",
        DOCUMENTS,
        signer=sender,
        signed_at=NOW,
        signature_id=MELDING_ID,
    )
    return target.getvalue()


def test_a_container_is_what_java_can_stream(sender: Identity) -> None:
    raw = container(sender)
    assert raw[30:38] == b"mimetype"
    assert raw[38 : 38 + len(MIMETYPE)] == MIMETYPE
    flags, method = struct.unpack_from("<HH", raw, 6)
    assert method == 0
    assert not flags & 0x08, "a stored entry with a data descriptor is unreadable for Java"
    with zipfile.ZipFile(io.BytesIO(raw)) as asic:
        assert asic.testzip() is None
        assert [it.filename for it in asic.infolist()] == [
            "mimetype",
            "manifest.xml",
            *(it.filename for it in DOCUMENTS),
            "META-INF/ASiCManifest.xml",
            f"META-INF/signature-{MELDING_ID}.p7s",
            "META-INF/manifest.xml",
        ]
        assert asic.comment == b"mimetype=" + MIMETYPE
        assert all(it.extract_version <= 20 for it in asic.infolist()), "zip64"
        assert asic.read("META-INF/ASiCManifest.xml").isascii()


def test_text_is_compressed_and_pdf_is_not(sender: Identity) -> None:
    with zipfile.ZipFile(io.BytesIO(container(sender))) as asic:
        text, pdf = asic.getinfo("notat uten type.txt"), asic.getinfo("Søknad & vedlegg.pdf")
    assert text.compress_size < text.file_size / 50
    assert pdf.compress_size > pdf.file_size


@openssl
def test_openssl_decrypts_what_we_encrypt(
    sender: Identity, receiver: Identity, tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(packed(sender, receiver))) as package:
        package.extract("asic.zip", tmp_path)
    subprocess.run(
        ["openssl", "pkcs12", "-in", FIXTURES / "receiver.p12", "-passin", "pass:changeit",
         "-nodes", "-out", tmp_path / "receiver.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["openssl", "cms", "-decrypt", "-inform", "DER", "-in", tmp_path / "asic.zip",
         "-inkey", tmp_path / "receiver.pem", "-out", tmp_path / "clear.zip"],
        check=True, capture_output=True,
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "clear.zip") as asic:
        assert asic.read("arkivmelding.xml") == b"<arkivmelding/>"


@openssl
@pytest.mark.parametrize("strict", [[], ["-cades"]], ids=["cms", "cades"])
def test_openssl_verifies_what_we_sign(sender: Identity, tmp_path: Path, strict: list[str]) -> None:
    with zipfile.ZipFile(io.BytesIO(container(sender))) as asic:
        (tmp_path / "manifest").write_bytes(asic.read("META-INF/ASiCManifest.xml"))
        (tmp_path / "p7s").write_bytes(asic.read(f"META-INF/signature-{MELDING_ID}.p7s"))
    command = [
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "p7s",
        "-content", tmp_path / "manifest", "-CAfile", FIXTURES / "ca-chain.pem",
        "-purpose", "any", "-out", tmp_path / "out", *strict,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "manifest").write_bytes(b"another")
    assert subprocess.run(command, capture_output=True).returncode != 0


@pytest.mark.parametrize(
    ("name", "digest"),
    [("sbd-arkivmelding-v4-javaasic.zip", "sha1"), ("sbd-arkivmelding-python.zip", "sha256")],
)
def test_a_foreign_package_opens(
    name: str, digest: str, receiver: Identity, spool: MemorySpool
) -> None:
    with (FIXTURES / name).open("rb") as source:
        opened = open_package(source, identities=[receiver], spool=spool)
    assert opened.sbd.sender == "910077473"
    assert opened.sbd.receiver == "910075918"
    assert opened.documents[0].filename == "arkivmelding.xml"
    assert len(opened.documents) == 3
    assert any("ø" in it.filename or "æ" in it.filename for it in opened.documents)
    assert opened.signature is not None
    assert opened.signature.digest == digest
    assert opened.signature.orgnr == "910077473"
    assert opened.notes == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sbd-status-levert.zip", "status"),
        ("sbd-arkivmelding-kvittering.zip", "arkivmelding_kvittering"),
    ],
)
def test_a_package_without_documents_opens(name: str, kind: str, spool: MemorySpool) -> None:
    with (FIXTURES / name).open("rb") as source:
        opened = open_package(source, identities=[], spool=spool)
    assert opened.sbd.type == kind
    assert opened.documents == ()
    assert opened.signature is None


def test_a_message_without_documents_has_no_container() -> None:
    target = io.BytesIO()
    build_package(target, letter())
    with zipfile.ZipFile(target) as package:
        assert package.namelist() == ["sbd.json"]


@pytest.mark.parametrize(
    "name", ["asic-commons-asic-0.12.0-sha1.asice", "asic-python-sha256.asice"]
)
def test_a_foreign_container_verifies(name: str, spool: MemorySpool) -> None:
    found = read_container(iter([(FIXTURES / name).read_bytes()]), spool)
    assert found.signature.orgnr == "910077473"
    assert found.manifest is not None


def test_the_previous_key_still_opens(
    sender: Identity, receiver: Identity, spool: MemorySpool
) -> None:
    package = io.BytesIO(packed(sender, receiver))
    assert open_package(package, identities=[sender, receiver], spool=spool).documents
    with pytest.raises(WrongKey, match="serial"):
        open_package(package, identities=[sender], spool=spool)


def test_a_document_that_changed_on_disk_is_not_sent(sender: Identity, receiver: Identity) -> None:
    class Rotten(BytesContent):
        @property
        def sha256(self) -> str:
            return hashlib.sha256(b"as it was accepted").hexdigest()

    rotten = Document("brev.pdf", "application/pdf", Rotten(b"as it is now"))
    with pytest.raises(DigestMismatch, match="brev"):
        packed(sender, receiver, [DOCUMENTS[0], rotten])


@pytest.mark.parametrize(
    "names",
    [
        ["manifest.xml"],
        ["mimetype"],
        ["META-INF/x.p7s"],
        ["a/b.pdf"],
        ["..\\b.pdf"],
        ["brev.pdf", "brev.pdf"],
        ["x" * 201],
        [""],
        ["linje\nskift.pdf"],
    ],
)
def test_names_that_cannot_travel_are_refused(
    names: list[str], sender: Identity, receiver: Identity
) -> None:
    with pytest.raises(UnsafeName):
        packed(sender, receiver, [DOCUMENTS[0], *(document(it, b"x") for it in names)])


@pytest.mark.parametrize(
    "documents",
    [
        [document("arkivmelding.xml", b"")],
        [document(f"{number}{'ø' * 90}.bin", b"x") for number in range(300)],
        [document("scan.pdf", random.randbytes(9_000_000))],
        [document("støy.txt", random.randbytes(9_000_000))],
        [document("mye støy.txt", random.randbytes(17_000_000))],
    ],
    ids=["empty", "many with long names", "wrapped", "deflated", "deflated in haste"],
)
def test_no_package_is_larger_than_was_reckoned(
    sender: Identity, receiver: Identity, documents: list[Document]
) -> None:
    """Also what does not shrink, and grows instead; and little room is left over."""
    sizes = [one.content.size for one in documents]
    package = packed(sender, receiver, documents)
    assert len(package) <= size_at_most(sizes)
    # All but what is set aside for the SBD and the signature.
    assert sum(sizes) <= len(package)
    assert size_at_most(sizes) - sum(sizes) < 300_000 + 4096 * len(sizes) + sum(sizes) // 1000
