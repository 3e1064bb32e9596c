"""Whose signatures are accepted, as the operator wants it (dpo-packaging 7.5; decision 15)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from gateway.certificates import Trust, chain_problem, issuer_of
from gateway.errors import SignerUntrusted
from gateway.package import Opened
from gateway.revocation import Revocation, Standing


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Signers:
    """Vets the signers of packages against `trust`.

    Without `revocation` no lists are asked. `reject` refuses a signer whose chain is not
    trusted or whose certificate is revoked; else that is noted with the message. With
    `required`, a signer of whom no list could tell is not trusted either.
    """

    trust: Trust
    reject: bool = False
    revocation: Revocation | None = None
    required: bool = False
    now: Callable[[], datetime] = _now

    def vet(self, opened: Opened) -> Sequence[str]:
        """What is to be noted of a package's signer. Raises `SignerUntrusted`."""
        if opened.signature is None:
            return []
        certificate = x509.load_pem_x509_certificate(opened.signature.certificate_pem.encode())
        chain_pem = opened.signature.chain_pem.encode()
        came_along = x509.load_pem_x509_certificates(chain_pem) if chain_pem else []
        problem = chain_problem(certificate, self.trust, self.now(), came_along)
        notes = []
        if problem is None:
            standing = self._standing(certificate, came_along)
            problem = standing.revoked
            if standing.unknown is not None:
                text = f"no revocation list could tell: {standing.unknown}"
                if self.required:
                    problem = text
                else:
                    notes.append(text)
        if problem is not None:
            if self.reject:
                raise SignerUntrusted(problem)
            notes.append(problem)
        if opened.signature.orgnr != opened.sbd.sender:
            # Normal for a supplier that sends on behalf of its customer (7.5).
            notes.append(f"organisation {opened.signature.orgnr}, sender is {opened.sbd.sender}")
        return [f"signer: {note}" for note in notes]

    def _standing(
        self, certificate: x509.Certificate, came_along: Sequence[x509.Certificate]
    ) -> Standing:
        if self.revocation is None:
            return Standing()
        issuer = issuer_of(certificate, self.trust, came_along)
        if issuer is None:
            return Standing(unknown="its issuer's certificate is not here")
        return self.revocation.ask(certificate, issuer, self.now())
