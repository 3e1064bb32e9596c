"""The keystore, its certificate, and who trusts it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import httpx

from gateway.certificates import (
    Trust,
    chain_problem,
    issuer_of,
    keystore_aliases,
    load_keystore,
    load_trust,
)
from gateway.checks.finding import Check, Verdict, fail, ok, warn
from gateway.package import Identity
from gateway.revocation import Revocation, over_http
from gateway.settings import OldKeystore, Settings

_ORDER = "Order a new certificate now, configure it, and have it published."
_CHAIN = (
    "See that trust.certificates holds the roots and intermediates of your CA, and that "
    "trust.environment is right."
)
_OLD = (
    "See the organisation.old_keystores that is named, and its password. When nobody uses its "
    "certificate any more, take it out."
)
_LIST = (
    "Let this machine fetch the list over HTTP (firewall, HTTP_PROXY); letters from "
    "and to others of this authority need it too. trust.revocation says what is made of it."
)


class Keys:
    """Checks of our own keys; `identity` is the present one, once its keystore was opened,
    and `old` are those of the old keystores that could be."""

    def __init__(self, settings: Settings, http: httpx.Client, timeout: float) -> None:
        self._settings = settings
        self._own = settings.organisation
        self._http = http
        self._timeout = timeout
        self._identity: Identity | None = None
        self.old: list[Identity] = []

    @property
    def identity(self) -> Identity:
        """For checks that need ``keystore``."""
        assert self._identity is not None, "the keystore was opened"
        return self._identity

    def checks(self) -> Iterator[Check]:
        """In the order in which they build on each other."""
        yield Check(
            "keystore",
            self._keystore,
            "See that organisation.keystore is the right file and its password the right one; "
            "`edu-gateway keystore show` tries them.",
        )
        yield Check(
            "keystore-alias",
            self._alias,
            "Set organisation.keystore_alias to one of these; leave it out when there is one "
            "key alone.",
            ("keystore",),
        )
        yield Check("certificate", self._certificate, _ORDER, ("keystore-alias",))
        if self._settings.trust.certificates is not None:
            yield Check("certificate-chain", self._chain, _CHAIN, ("certificate",))
            if self._settings.trust.revocation != "off":
                yield Check("revocation-list", self._revocation, _LIST, ("certificate",))
        for number, one in enumerate(self._own.old_keystores, 1):
            yield Check(f"old-keystore-{number}", partial(self._old_keystore, one), _OLD)

    def _keystore(self) -> Verdict:
        # Whether it opens at all; which key is meant, the next check says.
        names = keystore_aliases(self._own.keystore)
        any_key = names[0] if len(names) > 1 else None
        self._identity = load_keystore(self._own.keystore, self._own.keystore_password, any_key)
        return ok(f"{self._own.keystore.name}: opened; key and certificate fit each other")

    def _alias(self) -> Verdict:
        wanted = self._own.keystore_alias
        self._identity = load_keystore(self._own.keystore, self._own.keystore_password, wanted)
        if wanted is None:
            (name,) = keystore_aliases(self._own.keystore) or [""]
            return ok(f"none is asked for; there is one key{f' {name!r}' if name else ''}")
        return ok(f"the key is called {wanted!r}")

    def _certificate(self) -> Verdict:
        certificate, now = self.identity.certificate, datetime.now(UTC)
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < start:
            return fail(
                f"not valid before {start:%Y-%m-%d %H:%M} UTC",
                "Use the previous certificate until then, and see that the clock is right.",
            )
        days = self.identity.days_left(now)
        if now > end:
            return fail(f"expired on {end:%Y-%m-%d}", _ORDER)
        seen = f"of organisation {self.identity.orgnr}, valid until {end:%Y-%m-%d} ({days} days)"
        if days <= self._settings.alerts.certificate_days:
            return warn(seen, _ORDER)
        if self.identity.orgnr != self._own.orgnr:
            return warn(
                f"{seen}, while organisation.orgnr is {self._own.orgnr}",
                "Right only if your supplier's certificate is used on your behalf.",
            )
        return ok(seen)

    def _chain(self) -> Verdict:
        trusted, trust = self._settings.trust, self._trust()
        certificate, chain = self.identity.certificate, self.identity.chain
        if problem := chain_problem(certificate, trust, datetime.now(UTC), chain):
            return (fail if trusted.chain == "reject" else warn)(problem, _CHAIN)
        roots = len(trust.roots)
        return ok(f"leads to one of {roots} trusted roots of environment {trusted.environment}")

    def _trust(self) -> Trust:
        trusted = self._settings.trust
        assert trusted.certificates is not None, "or there is no such check"
        return load_trust(trusted.environment, [trusted.certificates], trusted.authorities)

    def _revocation(self) -> Verdict:
        certificate, chain = self.identity.certificate, self.identity.chain
        issuer = issuer_of(certificate, self._trust(), chain)
        if issuer is None:
            return warn("not to be had: the certificate of our authority is not here", _CHAIN)
        lists = Revocation(over_http(self._http), seconds=self._timeout)
        standing = lists.ask(certificate, issuer, datetime.now(UTC))
        if standing.revoked is not None:
            return fail(standing.revoked, _ORDER)
        if standing.unknown is not None:
            return warn(standing.unknown, _LIST)
        return ok("fetched and signed by our authority; our certificate is not on it")

    def _old_keystore(self, one: OldKeystore) -> Verdict:
        identity = load_keystore(one.keystore, one.keystore_password, one.keystore_alias)
        self.old.append(identity)
        end = identity.certificate.not_valid_after_utc
        return ok(f"{one.keystore.name}: opened; its certificate is valid until {end:%Y-%m-%d}")
