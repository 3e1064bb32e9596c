"""The network: are its servers there, do they know us, do they let us in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import httpx

from gateway.address_book import AddressBook
from gateway.checks.clock import Clock
from gateway.checks.connection import failed_step
from gateway.checks.finding import Check, Verdict, fail, for_organisation, ok, warn
from gateway.checks.keys import Keys
from gateway.engine.ledger import RECEIPT_PROCESS
from gateway.errors import NetworkUnavailable, ReceiverUnknown
from gateway.http import call
from gateway.parts import compare_published, new_addresses, new_tokens, new_transport
from gateway.ports import Transport
from gateway.registry import Registry
from gateway.settings import Settings
from gateway.tokens import SystemUser, TokenSource
from gateway.transports.broker import SCOPES

_REACH = (
    "See the address in [network], this machine's DNS, its firewall and proxy (HTTPS_PROXY), "
    "and whether the service has announced trouble."
)
_TOKEN = (
    "See network.client_id, and at Maskinporten that the client has these scopes and takes "
    "this certificate."
)
_SYSTEM_USER = (
    "See network.client_id and the system_user in [network], or in [[on_behalf_of]] for another "
    "organisation; at Maskinporten that the client has these scopes, at Altinn that the system "
    "user is approved."
)
_REGISTRY = (
    "Ask Digdir's service desk to register the organisation for eFormidling (DPO) with the "
    "processes named."
)
_PUBLISHED = "Have our certificate published, or configure the key of the published one."
_TRANSPORT = (
    "See network.resource and the organisation's system_user, and at Altinn that the system user "
    "has the access package for the resource; for transport directory, the folder and its rights."
)
_BUSY = (
    "Try again in a minute; a running gateway and check share the searches that Altinn allows "
    "a client."
)
_FOR_TOKENS = ("certificate", "clock", "token-endpoint")


class NetworkChecks:
    """In the order in which a letter would meet them. At Altinn one search is made for each
    organisation."""

    def __init__(self, settings: Settings, keys: Keys, clock: Clock, http: httpx.Client) -> None:
        self._settings = settings
        self._network = settings.network
        self._parties = {
            settings.organisation.orgnr: settings.network.system_user,
            **{one.orgnr: one.system_user for one in settings.on_behalf_of},
        }
        self._keys = keys
        self._clock = clock
        self._http = http
        self._altinn = self._network.transport == "altinn3"
        self._registry = self._network.addresses is None
        self._tokens_made: TokenSource | None = None
        self._addresses_made: Registry | AddressBook | None = None
        self._transport_made: Transport | None = None

    def reachable(self) -> Iterator[Check]:
        """Whether the servers answer at all; nobody logs in."""
        network = self._network
        if self._registry or self._altinn:
            yield self._reach("token-endpoint", network.token_url)
        if self._altinn:
            yield self._reach("token-exchange", network.exchange_url)
        if self._registry:
            yield self._reach("registry", f"{network.registry_url.rstrip('/')}/jwk")
        if self._altinn:
            yield self._reach("broker", f"{network.broker_url.rstrip('/')}/filetransfer")

    def admitted(self) -> Iterator[Check]:
        """Whether they know us, and everybody whom we act for."""
        if self._registry:
            yield Check("token-registry", self._token_registry, _TOKEN, _FOR_TOKENS)
        own, *others = self._parties
        yield from self._organisation(own)
        for orgnr in others:
            yield from for_organisation(self._organisation(orgnr), orgnr)

    def _organisation(self, orgnr: str) -> Iterator[Check]:
        if self._altinn:
            yield Check(
                "token-broker",
                partial(self._token_broker, orgnr),
                _SYSTEM_USER,
                (*_FOR_TOKENS, "token-exchange"),
            )
        yield Check(
            "registry-self",
            partial(self._self, orgnr),
            _REGISTRY,
            ("keystore-alias", "token-registry", "registry"),
        )
        yield Check(
            "certificate-published",
            partial(self._published, orgnr),
            _PUBLISHED,
            ("certificate", "registry-self"),
        )
        yield Check(
            "transport",
            partial(self._transport, orgnr),
            _TRANSPORT,
            ("keystore-alias", "token-broker", "broker"),
        )

    # --- reaching ---------------------------------------------------------------------

    def _reach(self, name: str, url: str) -> Check:
        return Check(name, lambda: self._answers(name, url), _REACH)

    def _answers(self, name: str, url: str) -> Verdict:
        place = httpx.URL(url).netloc.decode("ascii")
        asked = time.time()
        try:
            answer = call(self._http, "GET", url, unavailable=NetworkUnavailable)
        except NetworkUnavailable as error:
            return fail(f"{place}: {failed_step(error)} failed: {error.detail}", _REACH)
        self._clock.heard(name, answer.headers.get("Date"), asked, time.time())
        # Without a login most say 401 or 405, and that is an answer.
        if answer.status >= 500:
            return fail(f"{place}: HTTP {answer.status}", _REACH)
        return ok(f"{place} answers")

    # --- being admitted ---------------------------------------------------------------

    @property
    def _tokens(self) -> TokenSource:
        if self._tokens_made is None:
            self._tokens_made = new_tokens(self._settings, self._keys.identity, self._http)
        return self._tokens_made

    @property
    def _addresses(self) -> Registry | AddressBook:
        if self._addresses_made is None:
            self._addresses_made = new_addresses(self._settings, self._tokens, self._http)
        return self._addresses_made

    def _token_registry(self) -> Verdict:
        scopes = self._network.registry_scopes
        self._tokens.access(scopes.split(), exchanged=False)()
        return ok(f"Maskinporten gives one for {scopes}")

    def _token_broker(self, orgnr: str) -> Verdict:
        user = SystemUser(orgnr, self._parties[orgnr])
        self._tokens.access(SCOPES, user, exchanged=True)()
        return ok(f"Maskinporten gives one for {' '.join(SCOPES)}, and Altinn exchanges it")

    def _self(self, orgnr: str) -> Verdict:
        processes = (self._settings.messages.process, RECEIPT_PROCESS)
        for process in processes:
            try:
                found = self._addresses.find(orgnr, process)
            except ReceiverUnknown as error:
                return fail(f"no record of {orgnr} for {process}: {error.detail}", _REGISTRY)
            if found.service != "DPO":
                return fail(f"{process}: {orgnr} is on {found.service}, not DPO", _REGISTRY)
        names = " and ".join(one.removeprefix("urn:no:difi:profile:") for one in processes)
        return ok(f"{found.name or orgnr} is on DPO for {names}")

    def _published(self, orgnr: str) -> Verdict:
        now, current, old = datetime.now(UTC), self._keys.identity, self._keys.old
        problem = compare_published(self._addresses, orgnr, [current], now)
        if problem is None:
            return ok("is the one that we have the key of")
        if old and compare_published(self._addresses, orgnr, old, now) is None:
            return warn("is that of an old keystore; what comes can be opened", _PUBLISHED)
        return fail(problem, _PUBLISHED)

    @property
    def _way(self) -> Transport:
        if self._transport_made is None:
            self._transport_made = new_transport(self._settings, self._tokens, self._http)
        return self._transport_made

    def _transport(self, orgnr: str) -> Verdict:
        try:
            self._way.check(orgnr)
        except NetworkUnavailable as error:
            if error.retry_after is None:
                raise
            return warn(f"not seen: {error.detail}", _BUSY)
        return ok(f"{self._network.transport}: connection and rights are in order")
