"""The CMS envelope (``asic.zip``): RSAES-OAEP and AES-CBC, both ways as streams.

Headers are parsed by asn1crypto; the framing is our own, because Java writes indefinite
lengths with 1000-byte segments, which general ASN.1 readers join in quadratic time or
refuse (dpo-packaging 6 and 10.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from asn1crypto import algos, cms, core
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from gateway.errors import CertificateUnusable, DecryptionFailed, WrongKey
from gateway.package.ber import BerError, BerReader, Readable, der
from gateway.package.identity import Identity, issuer_der
from gateway.package.limits import DEFAULT_LIMITS, Limits

SEGMENT = 64 * 1024
_BATCH = 8 * SEGMENT
_END_OF_CONTENTS = b"\x00\x00"
_OID_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
_OID_DATA = bytes.fromhex("06092a864886f70d010701")
_OID_AES_256_CBC = bytes.fromhex("060960864801650304012a")
_SHA256 = der(0x30, bytes.fromhex("0609608648016503040201"), b"\x05\x00")
_MGF1_SHA256 = der(0x30, bytes.fromhex("06092a864886f70d010108"), _SHA256)
_RSAES_OAEP_SHA256 = der(
    0x30,
    bytes.fromhex("06092a864886f70d010107"),
    der(0x30, der(0xA0, _SHA256), der(0xA1, _MGF1_SHA256)),
)
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
# What asn1crypto and cryptography raise on malformed or unknown structures.
MALFORMED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
    UnsupportedAlgorithm,
)


class EnvelopeWriter:
    """Encrypts what is written to it for one certificate; `close` ends the envelope."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        receiver: x509.Certificate,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Raises `CertificateUnusable` when `receiver` cannot be encrypted for."""
        self._write = write
        self._pending = bytearray()
        key, iv = random_bytes(32), random_bytes(16)
        self._encryptor = Cipher(AES(key), CBC(iv)).encryptor()
        write(
            b"\x30\x80" + _OID_ENVELOPED_DATA + b"\xa0\x80"
            b"\x30\x80\x02\x01\x00"
            + der(0x31, _recipient(receiver, key))
            + b"\x30\x80"
            + _OID_DATA
            + der(0x30, _OID_AES_256_CBC, der(0x04, iv))
            + b"\xa0\x80"
        )

    def write(self, data: bytes | memoryview) -> None:
        """Take clear text of any length."""
        self._pending += data
        whole = len(self._pending) - len(self._pending) % _BATCH
        if whole:
            view = memoryview(self._pending)[:whole]
            sealed = self._encryptor.update(view)
            view.release()
            del self._pending[:whole]
            self._segments(sealed)

    def close(self) -> None:
        """Write the padding and the end of the envelope."""
        fill = 16 - len(self._pending) % 16
        self._pending += bytes([fill]) * fill
        self._segments(self._encryptor.update(bytes(self._pending)) + self._encryptor.finalize())
        self._write(_END_OF_CONTENTS * 5)

    def _segments(self, sealed: bytes) -> None:
        view = memoryview(sealed)
        parts: list[bytes | memoryview] = []
        for start in range(0, len(view), SEGMENT):
            segment = view[start : start + SEGMENT]
            parts += (b"\x04\x83" + len(segment).to_bytes(3, "big"), segment)
        self._write(b"".join(parts))


@lru_cache(maxsize=256)  # the same few receivers get most letters
def check_receiver_certificate(certificate: x509.Certificate) -> RSAPublicKey:
    """The key to encrypt for; raises `CertificateUnusable` (dpo-packaging 6).

    Validity dates and chain are the caller's to check; they need a clock and roots.
    """
    try:
        key = certificate.public_key()
    except MALFORMED as error:
        raise CertificateUnusable("receiver's certificate: unknown kind of key") from error
    if not isinstance(key, RSAPublicKey):
        raise CertificateUnusable("receiver's certificate: only RSA keys can be encrypted for")
    if key.key_size < 2048:
        raise CertificateUnusable(f"receiver's certificate: {key.key_size} bits are too few")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return key
    except ValueError as error:
        raise CertificateUnusable("receiver's certificate: unreadable extensions") from error
    if not (usage.key_encipherment or usage.data_encipherment):
        raise CertificateUnusable("receiver's certificate: key usage forbids encryption")
    return key


def _recipient(certificate: x509.Certificate, key: bytes) -> bytes:
    """A KeyTransRecipientInfo; by hand, since asn1crypto is slow at writing."""
    public_key = check_receiver_certificate(certificate)
    sha256 = hashes.SHA256()
    oaep = padding.OAEP(mgf=padding.MGF1(algorithm=sha256), algorithm=sha256, label=None)
    serial = core.Integer(certificate.serial_number).dump()
    return der(
        0x30,
        b"\x02\x01\x00",
        der(0x30, issuer_der(certificate), serial),
        _RSAES_OAEP_SHA256,
        der(0x04, public_key.encrypt(key, oaep)),
    )


@dataclass(frozen=True, slots=True)
class RecipientFacts:
    """For whom an envelope is locked; `serial` is decimal."""

    issuer: str | None
    serial: str | None
    key_algorithm: str


class Envelope:
    """An envelope being read from `source`; reads its header at once.

    Raises `DecryptionFailed` when it is no envelope of the network's kind.
    """

    def __init__(self, source: Readable, limits: Limits = DEFAULT_LIMITS) -> None:
        self._ber = BerReader(source, limits.cms_header)
        try:
            self._recipients, algorithm = self._header()
            self.recipients = tuple(_recipient_facts(it) for it in self._recipients)
            self.content_algorithm = str(algorithm["algorithm"].native)
            if self.content_algorithm not in ("aes128_cbc", "aes192_cbc", "aes256_cbc"):
                raise DecryptionFailed(f"cipher {self.content_algorithm} is not accepted")
            self._iv = algorithm["parameters"].native
            self._key_length = int(self.content_algorithm[3:6]) // 8
        except BerError as error:
            raise DecryptionFailed(f"envelope header: {error}") from error
        except MALFORMED as error:
            raise DecryptionFailed("envelope header: malformed") from error
        if not isinstance(self._iv, bytes) or len(self._iv) != 16:
            raise DecryptionFailed("envelope header: malformed initialisation vector")

    def _header(self) -> tuple[list[cms.RecipientInfo], cms.EncryptionAlgorithm]:
        ber = self._ber
        ber.enter(0x30)
        if ber.element() != _OID_ENVELOPED_DATA:
            raise BerError("not EnvelopedData")
        ber.enter(0xA0)
        ber.enter(0x30)
        ber.element(0x02)
        if ber.next_tag() == 0xA0:
            ber.element()
        infos = cms.RecipientInfos.load(ber.element(0x31))
        ber.enter(0x30)
        ber.element(0x06)
        algorithm = cms.EncryptionAlgorithm.load(ber.element(0x30))
        return list(infos), algorithm

    def decrypted(self, identities: Sequence[Identity]) -> Iterator[bytes]:
        """The clear text in pieces. It is not authenticated: do not hand it on before
        the signature inside it is verified.

        Raises `WrongKey` when it is locked for somebody else, `DecryptionFailed` for
        everything after that, with one text whatever the cause.
        """
        decryptor = Cipher(AES(self._content_key(identities)), CBC(self._iv)).decryptor()
        held = b""
        try:
            for sealed in self._ber.octets():
                if clear := decryptor.update(sealed):
                    if held:
                        yield held
                    held = clear
            decryptor.finalize()
            self._tail()
        except (BerError, ValueError) as error:
            raise DecryptionFailed("the encrypted content is damaged") from error
        fill = held[-1] if held else 0
        if not 1 <= fill <= 16 or held[-fill:] != bytes([fill]) * fill:
            raise DecryptionFailed("the encrypted content is damaged")
        if len(held) > fill:
            yield held[:-fill]

    def _tail(self) -> None:
        ber = self._ber
        ber.leave()
        while not ber.at_end():
            ber.element()
        for _ in range(3):
            ber.leave()

    def _content_key(self, identities: Sequence[Identity]) -> bytes:
        transported = [it.chosen for it in self._recipients if it.name == "ktri"]
        for info in transported:
            for identity in identities:
                if _is_for(info, identity.certificate):
                    return self._unlock(info, identity)
        if len(transported) == 1 and identities:
            # A renewed certificate may have kept its key (dpo-packaging 6).
            try:
                return self._unlock(transported[0], identities[0])
            except DecryptionFailed as error:
                raise WrongKey(self._locked_for()) from error
        raise WrongKey(self._locked_for())

    def _locked_for(self) -> str:
        names = "; ".join(f"serial {it.serial} from {it.issuer}" for it in self.recipients)
        return f"locked for a certificate that is not ours: {names or 'no recipient'}"

    def _unlock(self, info: cms.KeyTransRecipientInfo, identity: Identity) -> bytes:
        try:
            algorithm = info["key_encryption_algorithm"]
            if algorithm["algorithm"].native != "rsaes_oaep":
                raise DecryptionFailed("only RSAES-OAEP key transport is accepted")
            parameters = algos.RSAESOAEPParams.load(algorithm["parameters"].dump())
            mgf = parameters["mask_gen_algorithm"]
            oaep = padding.OAEP(
                mgf=padding.MGF1(_HASHES[mgf["parameters"]["algorithm"].native]),
                algorithm=_HASHES[parameters["hash_algorithm"]["algorithm"].native],
                label=parameters["p_source_algorithm"]["parameters"].native or None,
            )
            key = identity.private_key.decrypt(info["encrypted_key"].native, oaep)
        except MALFORMED as error:
            raise DecryptionFailed("the content key cannot be unlocked") from error
        if len(key) != self._key_length:
            raise DecryptionFailed("the content key cannot be unlocked")
        return key


def _is_for(info: cms.KeyTransRecipientInfo, certificate: x509.Certificate) -> bool:
    try:
        rid = info["rid"]
        if rid.name == "issuer_and_serial_number":
            return bool(
                rid.chosen["serial_number"].native == certificate.serial_number
                and rid.chosen["issuer"].dump() == issuer_der(certificate)
            )
        wanted = rid.chosen.native
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return bool(extension.value.digest == wanted)
    except x509.ExtensionNotFound:
        return False
    except MALFORMED as error:
        raise DecryptionFailed("envelope header: malformed recipient") from error


def _recipient_facts(info: cms.RecipientInfo) -> RecipientFacts:
    if info.name != "ktri":
        return RecipientFacts(None, None, info.name)
    rid = info.chosen["rid"]
    algorithm = str(info.chosen["key_encryption_algorithm"]["algorithm"].native)
    if rid.name != "issuer_and_serial_number":
        return RecipientFacts(None, None, algorithm)
    return RecipientFacts(
        issuer=rid.chosen["issuer"].human_friendly,
        serial=str(rid.chosen["serial_number"].native),
        key_algorithm=algorithm,
    )
