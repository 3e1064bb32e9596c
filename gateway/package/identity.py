"""An organisation's key and certificate, and what a certificate says of its owner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_ORGANIZATION_IDENTIFIER = x509.ObjectIdentifier("2.5.4.97")


@dataclass(frozen=True, slots=True)
class Identity:
    """A virksomhetssertifikat with its key: signs, decrypts, and asks for tokens.

    `chain` holds the certificates above `certificate`, nearest first. RSA only: the
    network's own software can do nothing with other keys (dpo-packaging 6).
    """

    private_key: RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def orgnr(self) -> str | None:
        """The nine digits that the certificate names."""
        return certificate_orgnr(self.certificate)

    def days_left(self, now: datetime) -> int:
        """Whole days until the certificate expires; negative when it has."""
        return days_left(self.certificate, now)


def certificate_orgnr(certificate: x509.Certificate) -> str | None:
    """The organisation number, in the places where SEID puts it (dpo-packaging 7.3)."""
    places = (
        (_ORGANIZATION_IDENTIFIER, r"NTRNO-(\d{9})"),
        (NameOID.SERIAL_NUMBER, r"(\d{9})"),
        (NameOID.ORGANIZATION_NAME, r".*-\s?(\d{9})"),
    )
    for oid, pattern in places:
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            if found := re.fullmatch(pattern, str(attribute.value)):
                return found[1]
    return None


@lru_cache(maxsize=256)  # the same few certificates are in every package
def issuer_der(certificate: x509.Certificate) -> bytes:
    """The issuer's name byte for byte as in `certificate`, since names are compared so."""
    loaded = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    return bytes(loaded.issuer.dump())


def days_left(certificate: x509.Certificate, now: datetime) -> int:
    """Whole days from `now` (aware) until `certificate` expires."""
    return (certificate.not_valid_after_utc - now).days
