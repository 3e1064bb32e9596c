"""A throw-away certificate authority, and keystore files made by it.

Certificates look like the enterprise certificates of Norwegian organisations where it
matters: RSA-2048 and ``organizationIdentifier`` = ``NTRNO-<orgnr>`` in the subject.
Nobody outside the simulated network trusts them.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

KEYSTORE_PASSWORD = "simulated"  # a password that protects nothing: the keys are throw-away


def new_key() -> rsa.RSAPrivateKey:
    """An RSA key as the enterprise certificates have."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(common_name: str, orgnr: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NO"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, common_name[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, f"NTRNO-{orgnr}"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )


class Authority:
    """Issues certificates. Its own key lives in `folder`, so a restart keeps the trust.

    Certificates say that the list of revoked ones is at `crl_url`.
    """

    def __init__(self, folder: Path, crl_url: str) -> None:
        self._crl_url = crl_url
        self._revoked: dict[int, datetime] = {}
        self._keystore = folder / "authority.p12"
        if self._keystore.exists():
            self._key, self.certificate, _ = load_keystore(self._keystore)
        else:
            self._key = new_key()
            self.certificate = self._issue(
                _name("Simulert rot", "000000000"), self._key, issuer=None, is_authority=True
            )
            write_keystore(self._keystore, self._key, self.certificate, ())
        self.ca_file = folder / "authority.crt"
        self.ca_file.write_text(pem(self.certificate), "ascii")

    def issue(
        self,
        name: str,
        orgnr: str,
        key: rsa.RSAPrivateKey,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        host: str | None = None,
    ) -> x509.Certificate:
        """A certificate for `orgnr`, valid from yesterday for two years unless told.

        With `host` (an address) it may stand for a TLS server there.
        """
        return self._issue(
            _name(name, orgnr),
            key,
            issuer=self.certificate,
            not_before=not_before,
            not_after=not_after,
            host=host,
        )

    def revoke(self, certificate: x509.Certificate) -> None:
        """From now on it is on the list."""
        self._revoked[certificate.serial_number] = datetime.now(UTC)

    def crl(self, life: timedelta) -> bytes:
        """The list as DER; the next one is promised after `life`."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + life)
        )
        for serial, at in self._revoked.items():
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
            )
        crl = builder.sign(self._key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.DER)

    def _issue(
        self,
        subject: x509.Name,
        key: rsa.RSAPrivateKey,
        *,
        issuer: x509.Certificate | None,
        is_authority: bool = False,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        host: str | None = None,
    ) -> x509.Certificate:
        start = not_before or datetime.now(UTC) - timedelta(days=1)
        end = not_after or start + timedelta(days=730)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_authority,
                    content_commitment=not is_authority,
                    key_encipherment=not is_authority,
                    data_encipherment=not is_authority,
                    key_agreement=False,
                    key_cert_sign=is_authority,
                    crl_sign=is_authority,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if issuer is not None:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            place = x509.UniformResourceIdentifier(self._crl_url)
            point = x509.DistributionPoint([place], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        if host is not None:
            address = x509.IPAddress(ipaddress.ip_address(host))
            builder = builder.add_extension(
                x509.SubjectAlternativeName([address, x509.DNSName("localhost")]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def write_keystore(
    path: Path,
    key: rsa.RSAPrivateKey,
    certificate: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
    alias: str = "simulated",
) -> None:
    """A PKCS12 file with `KEYSTORE_PASSWORD`, and the same as PEM beside it."""
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            alias.encode(),
            key,
            certificate,
            list(chain) or None,
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(1000)  # quick to open; the password is no secret
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(KEYSTORE_PASSWORD.encode()),
        )
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificates = "".join(map(pem, (certificate, *chain)))
    path.with_suffix(".pem").write_bytes(private + certificates.encode())


def load_keystore(
    path: Path,
) -> tuple[rsa.RSAPrivateKey, x509.Certificate, tuple[x509.Certificate, ...]]:
    """What `write_keystore` wrote."""
    data = path.with_suffix(".pem").read_bytes()
    # We made the key ourselves; checking its primes would take most of a start's time.
    key = serialization.load_pem_private_key(data, None, unsafe_skip_rsa_key_validation=True)
    certificate, *chain = x509.load_pem_x509_certificates(data)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} is not a keystore of this simulator")
    return key, certificate, tuple(chain)


def pem(certificate: x509.Certificate) -> str:
    """The certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def der_base64(certificate: x509.Certificate) -> str:
    """The form that ``x5c`` wants: base64 of DER, not base64url."""
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode("ascii")


def organisation_number(certificate: x509.Certificate) -> str | None:
    """The nine digits in the subject's organizationIdentifier."""
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER):
        return str(attribute.value).removeprefix("NTRNO-")
    return None


def _number(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def json_web_key(
    key: rsa.RSAPublicKey, certificate: x509.Certificate | None = None
) -> dict[str, Any]:
    """The public key as a JWK whose ``kid`` is its RFC 7638 thumbprint."""
    numbers = key.public_numbers()
    members = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    kid = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    jwk: dict[str, Any] = {**members, "use": "sig", "alg": "RS256", "kid": kid}
    if certificate is not None:
        jwk["x5c"] = [der_base64(certificate)]
    return jwk
