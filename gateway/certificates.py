"""Keystores, and which certificates deserve trust (dpo-packaging 7)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from asn1crypto import pkcs12 as asn1_pkcs12
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import verification

from gateway.errors import ConfigurationError
from gateway.jks import MAGIC, read_jks
from gateway.package import Identity, certificate_orgnr
from gateway.resources import data_folder

# --- keystores ------------------------------------------------------------------------


def load_keystore(path: Path | str, password: str | None, alias: str | None = None) -> Identity:
    """The key, certificate and chain of a PKCS12 or PEM file.

    `alias` says which key of a PKCS12, without regard to case, as Java does; without it
    there must be one alone. Raises `ConfigurationError` that names the file and the keys
    that it holds, never the password.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"keystore {path}: {error.strerror}") from error
    try:
        if data.startswith(MAGIC):
            raise ConfigurationError(
                f"keystore {path}: is a Java keystore (JKS); "
                "convert it once with `edu-gateway keystore convert`"
            )
        if b"-----BEGIN " in data:
            return _from_pem(data, password)
        return _from_pkcs12(data, password, alias)
    except ConfigurationError as error:
        if str(path) in error.detail:
            raise
        raise ConfigurationError(f"keystore {path}: {error.detail}") from error


def keystore_aliases(path: Path) -> list[str]:
    """The names of the keys in a PKCS12 file, in its order, without opening any.

    Empty when they are hidden, and for PEM files, which have no names.
    """
    try:
        return [one.name for one in _key_bags(path.read_bytes()) if one.name]
    except OSError:
        return []


def convert_jks(data: bytes, password: str, alias: str | None, new_password: str) -> bytes:
    """A JKS file's one key (or the one named `alias`) as PKCS12 under `new_password`.

    Raises `ConfigurationError`.
    """
    if not data.startswith(MAGIC):
        raise ConfigurationError("not a Java keystore (JKS)")
    found = read_jks(data, password)
    wanted = [name for name in found if alias is None or name.lower() == alias.lower()]
    if len(wanted) != 1:
        names = ", ".join(found) or "none"
        raise ConfigurationError(f"which key? The keystore holds: {names}")
    identity = found[wanted[0]]
    return pkcs12.serialize_key_and_certificates(
        wanted[0].encode(),
        identity.private_key,
        identity.certificate,
        identity.chain,
        BestAvailableEncryption(new_password.encode()),
    )


def _from_pkcs12(data: bytes, password: str | None, alias: str | None) -> Identity:
    try:
        store = pkcs12.load_pkcs12(data, None if password is None else password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError("wrong password, or not a PKCS12 or PEM file") from error
    certificates = [it.certificate for it in store.additional_certs]
    if store.cert is not None:
        certificates.append(store.cert.certificate)
    bags = _key_bags(data)
    if len(bags) > 1:
        # The library gives only the first key, but every certificate (dpo-packaging 10.2).
        key = _chosen(bags, alias).open(password)
    else:
        named = store.cert.friendly_name if store.cert is not None else None
        name = (named or b"").decode("utf-8", "replace")
        if alias is not None and name.lower() != alias.lower():
            raise ConfigurationError(f"its only key is named {name!r}, not {alias!r}")
        key = store.key
    return _with_certificate(key, certificates, "holds no key with its certificate")


@dataclass(frozen=True, slots=True)
class _KeyBag:
    """A key in a PKCS12 file as it lies there."""

    name: str
    pkcs8: bytes = field(repr=False)
    shrouded: bool

    def open(self, password: str | None) -> object:
        secret = password.encode() if self.shrouded and password is not None else None
        try:
            return load_der_private_key(self.pkcs8, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(
                f"the key {self.name!r} has another password than the keystore, or is of a kind"
                " that nobody here can read"
            ) from error


def _key_bags(data: bytes) -> list[_KeyBag]:
    """The keys that can be seen without opening any; none when the file hides them."""
    try:
        return [
            _KeyBag(
                next(
                    (
                        str(attribute["values"].native[0])
                        for attribute in bag["bag_attributes"] or ()
                        if attribute["type"].native == "friendly_name"
                    ),
                    "",
                ),
                bag["bag_value"].untag().dump(),
                bag["bag_id"].native == "pkcs8_shrouded_key_bag",
            )
            for part in asn1_pkcs12.Pfx.load(data).authenticated_safe
            if part["content_type"].native == "data"
            for bag in asn1_pkcs12.SafeContents.load(part["content"].native)
            if bag["bag_id"].native in ("pkcs8_shrouded_key_bag", "key_bag")
        ]
    except (ValueError, TypeError, KeyError, IndexError):
        return []


def _chosen(bags: Sequence[_KeyBag], alias: str | None) -> _KeyBag:
    wanted = [one for one in bags if alias is not None and one.name.lower() == alias.lower()]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(repr(one.name) for one in bags)
    if alias is None:
        raise ConfigurationError(f"holds several keys; set the alias to one of {names}")
    said = "several keys are" if wanted else "no key is"
    raise ConfigurationError(f"{said} named {alias!r}; it holds {names}")


def _from_pem(data: bytes, password: str | None) -> Identity:
    secret = password.encode() if password and b"ENCRYPTED" in data else None
    try:
        key = load_pem_private_key(data, secret)
        certificates = x509.load_pem_x509_certificates(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            "wrong password, or the PEM file lacks its key or certificate"
        ) from error
    return _with_certificate(
        key, certificates, "the PEM file holds no certificate that fits its key"
    )


def _with_certificate(
    key: object, certificates: Sequence[x509.Certificate], without: str
) -> Identity:
    """The key, its certificate and that one's chain; `without`: what to say if it is not there."""
    if key is None:
        raise ConfigurationError(without)
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError("the key is not RSA, which the network requires")
    for certificate in certificates:
        if certificate.public_key() == key.public_key():
            others = [it for it in certificates if it != certificate]
            return Identity(key, certificate, tuple(_in_order(certificate, others)))
    raise ConfigurationError(without)


def _in_order(
    certificate: x509.Certificate, others: Sequence[x509.Certificate]
) -> Iterable[x509.Certificate]:
    """`others` from the issuer of `certificate` upwards; strangers are left out."""
    left = list(others)
    while certificate.issuer != certificate.subject:
        above = next((it for it in left if it.subject == certificate.issuer), None)
        if above is None:
            return
        left.remove(above)
        yield above
        certificate = above


# --- trust ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trust:
    """Roots and intermediates that count, and the policies a leaf must carry one of.

    An empty `policies` asks for none, for networks with a certificate authority of
    their own.
    """

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    policies: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    """Subjects of the certificates given that the list of fingerprints does not know."""


def load_trust(
    environment: str, certificate_files: Iterable[Path], authorities: Path | None = None
) -> Trust:
    """The certificates in `certificate_files` (PEM or DER, files or folders) whose
    fingerprints `authorities` lists for `environment`, ``prod`` or ``test``: a file like
    ``mappings/tillit.toml``, which is the default.

    Raises `ConfigurationError`.
    """
    path = authorities or data_folder("mappings") / "tillit.toml"
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))[environment]
        roots = set(listed["roots"].values())
        intermediates = set(listed["intermediates"].values())
        policies = tuple(listed["policies"])
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path}: no usable section {environment!r}") from error
    given = [one for path in certificate_files for one in read_certificates(path)]
    prints = [(fingerprint(one), one) for one in given]
    return Trust(
        roots=tuple(one for mark, one in prints if mark in roots),
        intermediates=tuple(one for mark, one in prints if mark in intermediates),
        policies=policies,
        ignored=tuple(
            one.subject.rfc4514_string()
            for mark, one in prints
            if mark not in roots | intermediates
        ),
    )


def read_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates of a PEM or DER file, or of every such file in a folder."""
    try:
        if path.is_dir():
            names = sorted(it for it in path.iterdir() if it.suffix in (".pem", ".cer", ".crt"))
            return [one for name in names for one in read_certificates(name)]
        data = path.read_bytes()
        if b"-----BEGIN " in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: not a certificate") from error


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER form, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def chain_problem(
    certificate: x509.Certificate,
    trust: Trust,
    now: datetime,
    came_along: Sequence[x509.Certificate] = (),
) -> str | None:
    """Why `certificate` is not one we trust at `now` (aware); None when it is.

    The rules are those of 7.3 without revocation, for which see `gateway.revocation`.
    `came_along` are used only when `trust` lists no intermediates of its own.
    """
    if now < certificate.not_valid_before_utc:
        return f"the certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    if now > certificate.not_valid_after_utc:
        return f"the certificate expired {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.issuer == certificate.subject:
        return "the certificate is signed by itself"
    if not trust.roots:
        return "no trusted root certificate is configured"
    try:
        if problem := _extension_problem(certificate, trust.policies):
            return problem
        _verifier(trust.roots, now).verify(certificate, list(trust.intermediates or came_along))
    except verification.VerificationError as error:
        return f"no valid chain to a trusted root: {error}"
    except ValueError as error:
        return f"the certificate is malformed: {error}"
    return None


def issuer_of(
    certificate: x509.Certificate,
    trust: Trust,
    came_along: Sequence[x509.Certificate] = (),
) -> x509.Certificate | None:
    """The certificate whose key signed `certificate`; None when we do not have it."""
    for one in (*trust.intermediates, *trust.roots, *came_along):
        try:
            certificate.verify_directly_issued_by(one)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return one
    return None


def _extension_problem(certificate: x509.Certificate, policies: Sequence[str]) -> str | None:
    found: list[str] = []
    key_usage_critical = False
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.KeyUsage):
            key_usage_critical = extension.critical
        elif extension.critical and not isinstance(extension.value, x509.BasicConstraints):
            return f"critical extension {extension.oid.dotted_string} is not allowed"
        if isinstance(extension.value, x509.CertificatePolicies):
            found = [it.policy_identifier.dotted_string for it in extension.value]
    if not key_usage_critical:
        return "key usage must be stated and critical"
    if policies and not any(_policy_fits(one, wanted) for one in found for wanted in policies):
        return f"none of its policies is accepted: {', '.join(found) or 'none stated'}"
    return None


def _policy_fits(policy: str, wanted: str) -> bool:
    return policy.startswith(wanted[:-1]) if wanted.endswith(".*") else policy == wanted


def _verifier(roots: Sequence[x509.Certificate], now: datetime) -> verification.ClientVerifier:
    # The default policy is that of web servers: it wants names that a virksomhet lacks.
    authority = verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
    )
    return (
        verification.PolicyBuilder()
        .store(verification.Store(list(roots)))
        .time(now)
        .extension_policies(
            ca_policy=authority, ee_policy=verification.ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )


def published_problem(
    own: x509.Certificate, published: x509.Certificate, now: datetime
) -> str | None:
    """Whether others encrypt for the certificate that we hold the key of (7.1)."""
    for whose, certificate in (("our own", own), ("the published", published)):
        if now < certificate.not_valid_before_utc:
            return f"{whose} certificate is not valid yet"
        if now > certificate.not_valid_after_utc:
            return f"{whose} certificate has expired"
    if own.serial_number != published.serial_number:
        return (
            f"the registry publishes certificate {published.serial_number}, "
            f"we hold the key of {own.serial_number}"
        )
    if certificate_orgnr(own) != certificate_orgnr(published):
        return "the published certificate names another organisation"
    return None
