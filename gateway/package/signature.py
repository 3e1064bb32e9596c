"""The detached CAdES-BES signature over ASiCManifest.xml (dpo-packaging 5.4)."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import SignatureInvalid
from gateway.package.ber import der
from gateway.package.cms import MALFORMED
from gateway.package.identity import Identity, certificate_orgnr, issuer_der

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # every Integrasjonspunkt signs with it
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_SEQUENCE, _SET, _OCTET_STRING = 0x30, 0x31, 0x04
_VERSION_1 = der(0x02, b"\x01")


def _oid(dotted: str) -> bytes:
    return bytes(core.ObjectIdentifier(dotted).dump())


_DATA = _oid("1.2.840.113549.1.7.1")
_SIGNED_DATA = _oid("1.2.840.113549.1.7.2")
_CONTENT_TYPE = _oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = _oid("1.2.840.113549.1.9.4")
_SIGNING_TIME = _oid("1.2.840.113549.1.9.5")
_SIGNING_CERTIFICATE_V2 = _oid("1.2.840.113549.1.9.16.2.47")
_SHA256 = der(_SEQUENCE, _oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00")
_RSA = der(_SEQUENCE, _oid("1.2.840.113549.1.1.1"), b"\x05\x00")
_MOST_SIGNERS = 8
_MOST_CERTIFICATES = 64


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a container, as texts that can be stored.

    The mathematics are verified; whether the certificates deserve trust is for
    `gateway.certificates` to say.
    """

    subject: str
    orgnr: str | None
    serial: str
    """Decimal."""
    issuer: str
    digest: str
    """``sha1``, ``sha256`` …"""
    signed_at: str | None
    """ISO 8601, as the signer claims."""
    certificate_pem: str
    chain_pem: str
    """The other certificates that came along, in no given order."""


def sign(manifest: bytes, signer: Identity, signed_at: datetime) -> bytes:
    """A detached signature: SHA-256, PKCS#1 v1.5, with signing-certificate-v2.

    Put together by hand, because asn1crypto takes twenty times as long as the RSA key
    to serialise it anew at every level.
    """
    own = signer.certificate.public_bytes(Encoding.DER)
    issuer = issuer_der(signer.certificate)
    serial = core.Integer(signer.certificate.serial_number).dump()
    general_name = der(0xA4, issuer)
    essential = der(
        _SEQUENCE,
        der(_OCTET_STRING, hashlib.sha256(own).digest()),
        der(_SEQUENCE, der(_SEQUENCE, general_name), serial),
    )
    moment = cms.Time({"utc_time": signed_at.astimezone(UTC)}).dump()
    attributes = b"".join(
        sorted(
            der(_SEQUENCE, oid, der(_SET, value))
            for oid, value in (
                (_CONTENT_TYPE, _DATA),
                (_SIGNING_TIME, moment),
                (_MESSAGE_DIGEST, der(_OCTET_STRING, hashlib.sha256(manifest).digest())),
                (_SIGNING_CERTIFICATE_V2, der(_SEQUENCE, der(_SEQUENCE, essential))),
            )
        )
    )
    sealed = signer.private_key.sign(der(_SET, attributes), padding.PKCS1v15(), hashes.SHA256())
    info = der(
        _SEQUENCE,
        _VERSION_1,
        der(_SEQUENCE, issuer, serial),
        _SHA256,
        der(0xA0, attributes),
        _RSA,
        der(_OCTET_STRING, sealed),
    )
    chain = (it.public_bytes(Encoding.DER) for it in signer.chain)
    signed = der(
        _SEQUENCE,
        _VERSION_1,
        der(_SET, _SHA256),
        der(_SEQUENCE, _DATA),
        der(0xA0, own, *chain),
        der(_SET, info),
    )
    return der(_SEQUENCE, _SIGNED_DATA, der(0xA0, signed))


def verify(signature: bytes, manifest: bytes) -> Signature:
    """Check `signature` over the exact bytes of `manifest`; who made it.

    BER or DER, SHA-1 to SHA-512, RSA (both paddings) and ECDSA, with or without signed
    attributes. Every signer in it must verify. Raises `SignatureInvalid`.
    """
    try:
        info = cms.ContentInfo.load(signature)
        if info["content_type"].native != "signed_data":
            raise SignatureInvalid("the signature file is not a CMS signature")
        signed = info["content"]
        encapsulated = signed["encap_content_info"]
        if encapsulated["content_type"].native != "data":
            raise SignatureInvalid("the signature is not over plain data")
        if encapsulated["content"].native is not None:
            raise SignatureInvalid("the signature carries content of its own")
        certificates = [
            x509.load_der_x509_certificate(it.chosen.dump())
            for it in signed["certificates"]
            if it.name == "certificate"
        ]
        signers = list(signed["signer_infos"])
        if not signers:
            raise SignatureInvalid("nobody has signed")
        if len(signers) > _MOST_SIGNERS or len(certificates) > _MOST_CERTIFICATES:
            raise SignatureInvalid("more signers or certificates than any honest signature")
        verified = [_verify_signer(it, manifest, certificates) for it in signers]
        return verified[0]
    except InvalidSignature as error:
        raise SignatureInvalid("the signature does not match") from error
    except MALFORMED as error:
        raise SignatureInvalid(f"malformed signature: {type(error).__name__}") from error


def _verify_signer(
    info: cms.SignerInfo, manifest: bytes, certificates: list[x509.Certificate]
) -> Signature:
    certificate = _signer_certificate(info["sid"], certificates)
    digest = info["digest_algorithm"]["algorithm"].native
    if digest not in _HASHES:
        raise SignatureInvalid(f"digest {digest} is not accepted")
    attributes = info["signed_attrs"]
    signed_at = None
    if isinstance(attributes, core.Void):
        covered = manifest
    else:
        signed_at = _check_attributes(attributes, digest, manifest, certificate)
        # Signed is the DER form, with the tag of a SET; that is what stands there, except
        # from writers who store it otherwise than they signed it.
        covered = b"\x31" + attributes.dump()[1:]
        with suppress(InvalidSignature):
            _check_mathematics(certificate, info, digest, covered)
            return _facts(certificate, certificates, digest, signed_at)
        covered = b"\x31" + attributes.untag().dump(force=True)[1:]
    _check_mathematics(certificate, info, digest, covered)
    return _facts(certificate, certificates, digest, signed_at)


def _facts(
    certificate: x509.Certificate,
    certificates: list[x509.Certificate],
    digest: str,
    signed_at: str | None,
) -> Signature:
    return Signature(
        subject=certificate.subject.rfc4514_string(),
        orgnr=certificate_orgnr(certificate),
        serial=str(certificate.serial_number),
        issuer=certificate.issuer.rfc4514_string(),
        digest=digest,
        signed_at=signed_at,
        certificate_pem=certificate.public_bytes(Encoding.PEM).decode(),
        chain_pem="".join(
            it.public_bytes(Encoding.PEM).decode() for it in certificates if it != certificate
        ),
    )


def _signer_certificate(sid: Any, certificates: list[x509.Certificate]) -> x509.Certificate:
    for certificate in certificates:
        if sid.name == "issuer_and_serial_number":
            if sid.chosen["serial_number"].native == certificate.serial_number and sid.chosen[
                "issuer"
            ].dump() == issuer_der(certificate):
                return certificate
        elif sid.chosen.native == _asn1(certificate).key_identifier:
            return certificate
    raise SignatureInvalid("the signer's certificate is not in the signature")


def _check_attributes(
    attributes: Any, digest: str, manifest: bytes, certificate: x509.Certificate
) -> str | None:
    """The signing time claimed; raises when an attribute contradicts what is signed."""
    values = {it["type"].native: it["values"] for it in attributes}
    if len(values) != len(attributes):
        raise SignatureInvalid("a signed attribute occurs twice")
    if "content_type" not in values or "message_digest" not in values:
        raise SignatureInvalid("a required signed attribute is missing")
    if values["content_type"][0].native != "data":
        raise SignatureInvalid("the signed content type is not data")
    actual = hashlib.new(digest, manifest).digest()
    if not hmac.compare_digest(values["message_digest"][0].native, actual):
        raise SignatureInvalid("the signature is over another manifest")
    if "signing_certificate_v2" in values:
        stated = tsp.SigningCertificateV2.load(values["signing_certificate_v2"][0].dump())
        essential = stated["certs"][0]
        name = essential["hash_algorithm"]["algorithm"].native
        der = certificate.public_bytes(Encoding.DER)
        if essential["cert_hash"].native != hashlib.new(name, der).digest():
            raise SignatureInvalid("signing-certificate-v2 names another certificate")
    if "signing_time" in values:
        moment = values["signing_time"][0].native
        return str(moment.isoformat())
    return None


def _check_mathematics(
    certificate: x509.Certificate, info: cms.SignerInfo, digest: str, covered: bytes
) -> None:
    key = certificate.public_key()
    algorithm = info["signature_algorithm"]
    kind = algorithm.signature_algo
    sealed = info["signature"].native
    hash_algorithm = _HASHES[digest]
    if kind == "rsassa_pkcs1v15" and isinstance(key, RSAPublicKey):
        key.verify(sealed, covered, padding.PKCS1v15(), hash_algorithm)
    elif kind == "rsassa_pss" and isinstance(key, RSAPublicKey):
        parameters = algorithm["parameters"]
        hash_algorithm = _HASHES[parameters["hash_algorithm"]["algorithm"].native]
        mgf = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
        pss = padding.PSS(padding.MGF1(_HASHES[mgf]), parameters["salt_length"].native)
        key.verify(sealed, covered, pss, hash_algorithm)
    elif kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(sealed, covered, ec.ECDSA(hash_algorithm))
    else:
        raise SignatureInvalid(f"signature algorithm {kind} does not fit the certificate")


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
