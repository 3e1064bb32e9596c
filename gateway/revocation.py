"""Whether an authority has revoked a signer's certificate (dpo-packaging 7.3).

A list is fetched when it is first needed, and used until the time that it names for the
next one. Letters do not wait long for it: what cannot be said in time is unknown, and
the list is there for the next letter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from gateway.engine.prompt import Prompt
from gateway.errors import NetworkUnavailable, Unavailable
from gateway.http import call

_SECONDS = 3.0
_PAUSE = timedelta(minutes=10)
_WITHOUT_END = timedelta(days=1)
_LISTS = 64
_FETCH_SECONDS = 20.0
_LARGEST = 20 << 20


def over_http(client: httpx.Client) -> Callable[[str], bytes]:
    """Fetches lists with `client`, in bounded time and at most 20 MiB of each."""

    def fetch(url: str) -> bytes:
        answer = call(
            client,
            "GET",
            url,
            unavailable=NetworkUnavailable,
            total=_FETCH_SECONDS,
            limit=_LARGEST,
        )
        if not answer.ok:
            raise NetworkUnavailable(f"HTTP {answer.status}")
        return answer.content

    return fetch


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lists say of a certificate; neither text when it is on none of them.

    `unknown` says why no list could tell.
    """

    revoked: str | None = None
    unknown: str | None = None


@dataclass(slots=True)
class _List:
    """The list behind one URL, as far as we have it."""

    url: str
    issuer: x509.Certificate
    crl: x509.CertificateRevocationList | None = None
    until: datetime | None = None
    again: datetime | None = None
    """Not asked for before this time."""
    problem: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self, now: datetime) -> bool:
        return self.until is not None and now < self.until


class Revocation:
    """Revocation by CRL, for leaf certificates. Threads may share it.

    `fetch` gives the bytes behind a URL or raises `Unavailable`; it bounds their number.
    A letter waits `seconds` at the longest. A list that could not be had is asked for
    again after `pause`; until then the one from before counts.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        *,
        seconds: float = _SECONDS,
        pause: timedelta = _PAUSE,
    ) -> None:
        self._fetch = fetch
        self._prompt = Prompt(seconds)
        self._pause = pause
        self._lists: dict[tuple[str, bytes], _List] = {}
        self._lock = threading.Lock()

    def ask(
        self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
    ) -> Standing:
        """What the lists that `certificate` names say of it at `now`.

        `issuer` is its issuer: only that key can vouch for a list that comes over plain
        HTTP.
        """
        asked = [self._asked(url, issuer, now) for url in _crl_urls(certificate)]
        for one in asked:
            # Also a list that should have been renewed proves what stands on it.
            if one.crl and one.crl.get_revoked_certificate_by_serial_number(
                certificate.serial_number
            ):
                return Standing(revoked=f"the certificate is revoked, says {one.url}")
        if any(one.current(now) for one in asked):
            return Standing()
        why = "; ".join(f"{one.url}: {one.problem or 'no answer yet'}" for one in asked)
        return Standing(unknown=why or "the certificate names no list")

    def troubles(self, now: datetime) -> list[str]:
        """The lists that were needed and cannot be had, each with the reason."""
        with self._lock:
            known = list(self._lists.values())
        return [
            f"{one.url}: {one.problem or 'no answer yet'}" for one in known if not one.current(now)
        ]

    def _asked(self, url: str, issuer: x509.Certificate, now: datetime) -> _List:
        key = url, issuer.fingerprint(hashes.SHA256())
        with self._lock:
            if key not in self._lists and len(self._lists) >= _LISTS:
                del self._lists[next(iter(self._lists))]
            found = self._lists.setdefault(key, _List(url, issuer))
        if not found.current(now):
            with suppress(TimeoutError):
                self._prompt.ask(lambda: self._renew(found, now))
        return found

    def _renew(self, one: _List, now: datetime) -> None:
        with one.lock:
            if one.current(now) or (one.again is not None and now < one.again):
                return
            one.again = now + self._pause
            try:
                fresh = x509.load_der_x509_crl(self._fetch(one.url))
                one.until = _until(fresh, one, now)
            except Unavailable as error:
                one.problem = error.detail
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                one.problem = f"not a list that can be used: {error}"
            else:
                one.crl = fresh
                one.problem = None if one.current(now) else "the list there has expired"


def _until(fresh: x509.CertificateRevocationList, known: _List, now: datetime) -> datetime:
    """How long the list may be used. Raises ValueError when it may not."""
    if fresh.issuer != known.issuer.subject:
        raise ValueError("it is another authority's")
    if not fresh.is_signature_valid(known.issuer.public_key()):  # type: ignore[arg-type]
        raise ValueError("its signature is not its authority's")
    if known.crl is not None and fresh.last_update_utc < known.crl.last_update_utc:
        raise ValueError("it is older than the one from before")
    for extension in fresh.extensions:
        scope = extension.value
        if isinstance(scope, x509.IssuingDistributionPoint):
            if (
                scope.only_contains_ca_certs
                or scope.only_contains_attribute_certs
                or scope.only_some_reasons
                or scope.indirect_crl
            ):
                raise ValueError("it is a part of a list")
        elif extension.critical:
            raise ValueError(f"critical extension {extension.oid.dotted_string}")
    return fresh.next_update_utc or now + _WITHOUT_END


def _crl_urls(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        name.value
        for point in points.value
        for name in point.full_name or []
        if isinstance(name, x509.UniformResourceIdentifier)
        and name.value.startswith(("http://", "https://"))
    ]
