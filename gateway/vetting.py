"""Whose certificates are accepted, as the operator wants it (dpo-packaging 6, 7.5; decision 15).

The same for those who sign what comes to us and for those whom we encrypt for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from gateway.certificates import Trust, chain_problem, issuer_of
from gateway.errors import CertificateUnusable, SignerUntrusted
from gateway.package import Opened
from gateway.revocation import Revocation, Standing


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Vetting:
    """Holds the certificates of others against `trust`.

    Without `revocation` no lists are asked. `reject` refuses who has a chain that is not
    trusted or a certificate that is revoked; else that is noted with the message. With
    `required`, somebody of whom no list could tell is not trusted either.
    """

    trust: Trust
    reject: bool = False
    revocation: Revocation | None = None
    required: bool = False
    now: Callable[[], datetime] = _now

    def signer(self, opened: Opened) -> Sequence[str]:
        """What is to be noted of a package's signer. Raises `SignerUntrusted`."""
        if opened.signature is None:
            return []
        certificate = x509.load_pem_x509_certificate(opened.signature.certificate_pem.encode())
        chain_pem = opened.signature.chain_pem.encode()
        came_along = x509.load_pem_x509_certificates(chain_pem) if chain_pem else []
        problem, notes = self._judge(certificate, came_along)
        if problem is not None:
            if self.reject:
                raise SignerUntrusted(problem)
            notes.append(problem)
        if opened.signature.orgnr != opened.sbd.sender:
            # Normal for a supplier that sends on behalf of its customer (7.5).
            notes.append(f"organisation {opened.signature.orgnr}, sender is {opened.sbd.sender}")
        return [f"signer: {note}" for note in notes]

    def receiver(self, certificate: x509.Certificate) -> Sequence[str]:
        """What is to be noted of whom we encrypt for. Raises `CertificateUnusable`."""
        problem, notes = self._judge(certificate)
        if problem is not None:
            if self.reject:
                raise CertificateUnusable(f"receiver: {problem}")
            notes.append(problem)
        return [f"receiver: {note}" for note in notes]

    def _judge(
        self, certificate: x509.Certificate, came_along: Sequence[x509.Certificate] = ()
    ) -> tuple[str | None, list[str]]:
        """Why it is not trusted, if it is not; and what could not be found out."""
        problem = chain_problem(certificate, self.trust, self.now(), came_along)
        if problem is not None:
            return problem, []
        standing = self._standing(certificate, came_along)
        if standing.revoked is not None or standing.unknown is None:
            return standing.revoked, []
        text = f"no revocation list could tell: {standing.unknown}"
        return (text, []) if self.required else (None, [text])

    def _standing(
        self, certificate: x509.Certificate, came_along: Sequence[x509.Certificate]
    ) -> Standing:
        if self.revocation is None:
            return Standing()
        issuer = issuer_of(certificate, self.trust, came_along)
        if issuer is None:
            return Standing(unknown="its issuer's certificate is not here")
        return self.revocation.ask(certificate, issuer, self.now())
