"""Keystores of every kind people have, and who is trusted."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from packing import FIXTURES, NOW, PASSWORD, certificate, key_usage

from gateway.certificates import (
    Trust,
    chain_problem,
    convert_jks,
    load_keystore,
    load_trust,
    published_problem,
    read_certificates,
)
from gateway.cli import main
from gateway.errors import ConfigurationError
from gateway.package import Identity, certificate_orgnr

SECRET = "hemmelig-æøå-1"


@pytest.fixture
def pem(sender: Identity) -> bytes:
    key = sender.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode())
    )
    chain = [it.public_bytes(Encoding.PEM) for it in reversed(sender.chain)]
    return key + b"".join(chain) + sender.certificate.public_bytes(Encoding.PEM)


def test_pkcs12_gives_key_certificate_and_chain_in_order() -> None:
    identity = load_keystore(FIXTURES / "sender.p12", PASSWORD, "Sender")
    assert identity.orgnr == "910077473"
    assert identity.chain[0].subject == identity.certificate.issuer
    assert identity.chain[-1].subject == identity.chain[-1].issuer


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("scheme", ["PBE-SHA1-3DES", "PBE-SHA1-RC2-40"])
def test_old_pkcs12_encryption_is_read(scheme: str, pem: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.pem").write_bytes(pem)
    done = subprocess.run(
        ["openssl", "pkcs12", "-export", "-legacy", "-keypbe", scheme, "-certpbe", scheme,
         "-macalg", "sha1", "-name", "virksomhet", "-in", tmp_path / "in.pem",
         "-passin", f"pass:{SECRET}", "-passout", "pass:gammel", "-out", tmp_path / "old.p12"],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"this openssl cannot make it: {done.stderr[:200]}")
    assert load_keystore(tmp_path / "old.p12", "gammel", "virksomhet").orgnr == "910077473"


def test_pem_in_any_order_is_read(pem: bytes, tmp_path: Path, sender: Identity) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    identity = load_keystore(path, SECRET)
    assert identity.certificate == sender.certificate
    assert identity.chain == sender.chain


def test_trouble_names_the_file_and_never_the_password(pem: bytes, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "nothing.p12").write_bytes(b"\x00\x01")
    other = certificate(rsa.generate_private_key(65537, 2048)).public_bytes(Encoding.PEM)
    (tmp_path / "stranger.pem").write_bytes(pem[: pem.index(b"-----BEGIN CERT")] + other)
    for path, alias, reason in (
        (tmp_path / "missing.p12", None, "No such file"),
        (tmp_path / "nothing.p12", None, "wrong password"),
        (FIXTURES / "sender.p12", None, "wrong password"),
        (FIXTURES / "sender.jks", None, "keystore convert"),
    ):
        with pytest.raises(ConfigurationError, match=reason) as caught:
            load_keystore(path, SECRET + "x", alias)
        assert str(path) in caught.value.detail
        assert SECRET not in caught.value.detail
    with pytest.raises(ConfigurationError, match="wrong password"):
        load_keystore(tmp_path / "key.pem", "feil")
    with pytest.raises(ConfigurationError, match="no certificate that fits"):
        load_keystore(tmp_path / "stranger.pem", SECRET)
    with pytest.raises(ConfigurationError, match="named 'sender', not 'receiver'"):
        load_keystore(FIXTURES / "sender.p12", PASSWORD, "receiver")


@pytest.mark.parametrize("name", ["two-keys.p12", "two-keys-3des.p12"])
def test_of_several_keys_the_alias_says_which(name: str) -> None:
    """As keytool makes them; its old encryption too."""
    found = {
        alias: load_keystore(FIXTURES / name, PASSWORD, alias)
        for alias in ("virksomhet-gammel", "Virksomhet")
    }
    for alias, identity in found.items():
        assert f"CN={alias.lower()}" in identity.certificate.subject.rfc4514_string()
        assert identity.certificate.public_key() == identity.private_key.public_key()
        assert identity.chain == ()
    with pytest.raises(ConfigurationError, match="wrong password"):
        load_keystore(FIXTURES / name, "feil", "virksomhet")


def test_several_keys_without_the_alias_of_one_are_named() -> None:
    store = FIXTURES / "two-keys.p12"
    for alias, reason in ((None, "holds several keys; set the alias"), ("ny", "no key is named")):
        with pytest.raises(ConfigurationError, match=reason) as caught:
            load_keystore(store, PASSWORD, alias)
        assert "'virksomhet-gammel', 'virksomhet'" in caught.value.detail
        assert str(store) in caught.value.detail


def test_keys_that_are_not_rsa_are_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec.p12").write_bytes(
        pkcs12.serialize_key_and_certificates(b"ec", key, certificate(key), None, NoEncryption())
    )
    with pytest.raises(ConfigurationError, match="not RSA"):
        load_keystore(tmp_path / "ec.p12", None)


def test_secrets_stay_out_of_repr(sender: Identity) -> None:
    assert "private_key" not in repr(sender)


def test_jks_is_converted(tmp_path: Path, sender: Identity) -> None:
    data = (FIXTURES / "sender.jks").read_bytes()
    (tmp_path / "new.p12").write_bytes(convert_jks(data, PASSWORD, None, SECRET))
    identity = load_keystore(tmp_path / "new.p12", SECRET, "sender")
    assert identity.certificate == sender.certificate
    assert identity.private_key.private_numbers() == sender.private_key.private_numbers()
    with pytest.raises(ConfigurationError, match="wrong password"):
        convert_jks(data, "feil", None, SECRET)
    with pytest.raises(ConfigurationError, match="holds: sender"):
        convert_jks(data, PASSWORD, "annen", SECRET)
    for cut in (10, 100, len(data) - 1):
        with pytest.raises(ConfigurationError):
            convert_jks(data[:cut], PASSWORD, None, SECRET)


def test_the_convert_command_never_shows_a_password(tmp_path: Path) -> None:
    target = tmp_path / "ny.p12"
    arguments = ["keystore", "convert", str(FIXTURES / "sender.jks"), str(target)]
    done = CliRunner().invoke(main, arguments, input=f"{PASSWORD}\n{SECRET}\n{SECRET}\n")
    assert done.exit_code == 0, done.output
    assert SECRET not in done.output
    assert PASSWORD not in done.output
    assert load_keystore(target, SECRET).orgnr == "910077473"
    again = CliRunner().invoke(main, arguments, input=f"{PASSWORD}\n{SECRET}\n{SECRET}\n")
    assert again.exit_code == 2
    assert "left alone" in again.output


# --- trust ----------------------------------------------------------------------------

POLICY = "2.16.578.1.26.1.3.2"


@pytest.fixture(scope="module")
def trust() -> Trust:
    given = read_certificates(FIXTURES / "ca-chain.pem")
    roots = tuple(it for it in given if it.issuer == it.subject)
    return Trust(roots, tuple(it for it in given if it not in roots), (POLICY,))


def test_a_good_chain_is_trusted(sender: Identity, trust: Trust) -> None:
    assert chain_problem(sender.certificate, trust, NOW) is None
    prefix = Trust(trust.roots, trust.intermediates, ("2.16.578.*",))
    assert chain_problem(sender.certificate, prefix, NOW) is None


def test_each_defect_of_a_chain_is_named(sender: Identity, trust: Trust) -> None:
    leaf = sender.certificate
    expired = leaf.not_valid_after_utc + timedelta(days=1)
    early = leaf.not_valid_before_utc - timedelta(days=1)
    alone = certificate(rsa.generate_private_key(65537, 2048))
    for one, rules, moment, reason in (
        (leaf, trust, expired, "expired"),
        (leaf, trust, early, "not valid before"),
        (alone, trust, NOW, "signed by itself"),
        (leaf, Trust((), trust.intermediates), NOW, "no trusted root"),
        (leaf, Trust(trust.roots), NOW, "no valid chain"),
        (leaf, Trust(trust.roots, trust.intermediates, ("1.2.3",)), NOW, "none of its policies"),
    ):
        assert reason in str(chain_problem(one, rules, moment))


@pytest.fixture(scope="module")
def authority() -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, 2048)
    own = certificate(
        key,
        subject="CA",
        extensions=(
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (key_usage(authority=True), True),
        ),
    )
    return own, key


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        (((key_usage(), False),), "key usage"),
        ((), "key usage"),
        (
            (
                (key_usage(), True),
                (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), True),
            ),
            "critical extension",
        ),
    ],
)
def test_extensions_follow_seid(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
    reason: str,
    authority: tuple[x509.Certificate, rsa.RSAPrivateKey],
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    leaf = certificate(key, issuer=authority, extensions=extensions)
    assert reason in str(chain_problem(leaf, Trust((authority[0],)), NOW))


def test_only_listed_authorities_count(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "ca-chain.pem", tmp_path / "ca.pem")
    trust = load_trust("prod", [tmp_path])
    assert trust.roots == trust.intermediates == ()
    assert len(trust.ignored) == 2
    with pytest.raises(ConfigurationError, match="section 'månen'"):
        load_trust("månen", [])


def test_digdirs_test_certificates_are_trusted_in_test_only(shared_samples: Path) -> None:
    folder = shared_samples / "dpo/certs"
    (leaf,) = read_certificates(folder / "digdirTestCertificate.cer")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert chain_problem(leaf, load_trust("test", [folder]), moment) is None
    assert chain_problem(leaf, load_trust("prod", [folder]), moment) is not None
    assert certificate_orgnr(leaf) == "984661185"


def test_the_published_certificate_must_be_ours(sender: Identity, receiver: Identity) -> None:
    own = sender.certificate
    assert published_problem(own, own, NOW) is None
    assert "we hold the key of" in str(published_problem(own, receiver.certificate, NOW))
    later = own.not_valid_after_utc + timedelta(days=1)
    assert "our own certificate has expired" in str(published_problem(own, own, later))


def test_days_left_is_counted(sender: Identity) -> None:
    end = sender.certificate.not_valid_after_utc
    assert sender.days_left(end - timedelta(days=30, hours=1)) == 30
    assert sender.days_left(end + timedelta(hours=1)) == -1


@pytest.mark.parametrize(
    ("name", "value", "orgnr"),
    [
        ("2.5.4.97", "NTRNO-991825827", "991825827"),
        ("2.5.4.5", "991825827", "991825827"),
        ("2.5.4.10", "Digdir test - 991825827", "991825827"),
        ("2.5.4.10", "Kommune 991825827", None),
    ],
)
def test_the_organisation_number_is_found(name: str, value: str, orgnr: str | None) -> None:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(name), value)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    assert certificate_orgnr(made) == orgnr
