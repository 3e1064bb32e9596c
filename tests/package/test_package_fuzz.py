"""Arbitrary bytes in every reader: our own errors, or a sound answer; never a crash."""

from __future__ import annotations

import io
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from packing import FIXTURES, NOW, PASSWORD, MemorySpool, fixture_identity

from gateway.certificates import convert_jks
from gateway.errors import ConfigurationError, PackageError, SignatureInvalid
from gateway.jks import read_jks
from gateway.package import open_package
from gateway.package.asice import read_container
from gateway.package.ber import BerError, BerReader
from gateway.package.cms import Envelope
from gateway.package.signature import sign, verify

SENDER = fixture_identity("sender")
MANIFEST = b"<ASiCManifest/>"
SIGNATURE = sign(MANIFEST, SENDER, NOW)


def _length(content: bytes, form: int) -> bytes:
    if form == 0:
        return b"\x80" + content + b"\0\0"
    if form == 1 and len(content) < 128:
        return bytes([len(content)]) + content
    return b"\x84" + len(content).to_bytes(4, "big") + content


values = st.recursive(
    st.tuples(st.sampled_from([0x02, 0x04, 0x06, 0x80]), st.binary(max_size=9)).map(
        lambda it: bytes([it[0]]) + _length(it[1], 1)
    ),
    lambda inner: st.tuples(
        st.sampled_from([0x24, 0x30, 0x31, 0xA0]),
        st.lists(inner, max_size=4).map(b"".join),
        st.integers(0, 2),
    ).map(lambda it: bytes([it[0]]) + _length(it[1], it[2])),
    max_leaves=12,
)


@given(st.binary(max_size=300) | values)
def test_any_bytes_as_an_envelope(data: bytes) -> None:
    with suppress(PackageError):
        Envelope(io.BytesIO(data))


@given(values)
def test_ber_elements_are_read_whole(data: bytes) -> None:
    assert BerReader(io.BytesIO(data), 1 << 20).element() == data


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 2), st.booleans())
def test_octet_strings_are_joined(parts: list[bytes], form: int, nested: bool) -> None:
    inner = b"".join(b"\x04" + _length(it, 1) for it in parts)
    if nested:
        inner = b"\x24" + _length(inner, form)
    data = b"\x30" + _length(b"\xa0" + _length(inner, form), 2)
    ber = BerReader(io.BytesIO(data), 1 << 20)
    ber.enter(0x30)
    assert b"".join(ber.octets()) == b"".join(parts)
    ber.leave()


@given(st.binary(max_size=300))
def test_any_octets_end(data: bytes) -> None:
    with suppress(BerError):
        for _ in BerReader(io.BytesIO(b"\x30\x80\xa0\x80" + data), 100).octets():
            pass


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_as_a_container(data: bytes, piece: int) -> None:
    raw = b"PK\x03\x04" + data
    with suppress(PackageError):
        read_container((raw[at : at + piece] for at in range(0, len(raw), piece)), MemorySpool())


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_any_bytes_as_a_package(data: bytes, end: bytes) -> None:
    with suppress(PackageError):
        open_package(
            io.BytesIO(b"PK\x03\x04" + data + b"PK\x05\x06" + end),
            identities=[SENDER],
            spool=MemorySpool(),
        )


@settings(max_examples=150)
@given(st.integers(0, len(SIGNATURE) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_a_damaged_signature_names_nobody_else(at: int, new: bytes, removed: int) -> None:
    damaged = SIGNATURE[:at] + new + SIGNATURE[at + removed :]
    with suppress(SignatureInvalid):
        found = verify(damaged, MANIFEST)
        assert found.orgnr == "910077473"
        assert found.certificate_pem == verify(SIGNATURE, MANIFEST).certificate_pem


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_a_damaged_jks_is_refused(at: int, new: bytes) -> None:
    data = (FIXTURES / "sender.jks").read_bytes()
    damaged = data[:at] + new + data[at + len(new) :]
    with suppress(ConfigurationError):
        read_jks(damaged, PASSWORD)
        assert damaged == data
    with suppress(ConfigurationError):
        convert_jks(damaged, PASSWORD, None, "nytt")
