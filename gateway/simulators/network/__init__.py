"""The simulated eFormidling network: certificates, tokens, addresses and Altinn 3 Broker.

Everything lives under one base URL on loopback and is spoken to over real HTTP. It knows
nothing of the gateway.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from .authority import (
    KEYSTORE_PASSWORD,
    Authority,
    json_web_key,
    load_keystore,
    new_key,
    pem,
    write_keystore,
)
from .broker import Broker, ScanPolicy
from .clock import Clock, timestamp
from .control import Control
from .exchange import Refused, Reply, Request
from .faults import Fault
from .ledger import Ledger
from .maskinporten import SCOPES, Client, Maskinporten, SystemUser
from .registry import ADMINISTRASJON, AVTALT, AVTALT_RESPONSE, PLAN, RESPONSE, Entry, Registry
from .server import RATE_LIMITS, Logged, RateLimiter, Routes, Server, Service
from .transfers import EICAR, RecipientStatus, Resource, Status, Transfer

__all__ = [
    "ADMINISTRASJON",
    "AVTALT",
    "AVTALT_RESPONSE",
    "EICAR",
    "PLAN",
    "RATE_LIMITS",
    "RESPONSE",
    "Environment",
    "Fault",
    "Network",
    "Organisation",
    "RecipientStatus",
    "ScanPolicy",
    "Status",
    "SystemUser",
    "Transfer",
]

DPO_RESOURCE = "eformidling-dpo-meldingsutveksling"


@dataclass(frozen=True)
class Environment:
    """The addresses that a gateway is configured with."""

    token_endpoint: str
    audience: str
    exchange: str
    broker: str
    registry: str
    resource: str


@dataclass(frozen=True)
class Organisation:
    """A participant. The private key is in the keystore file, and here for tests."""

    orgnr: str
    name: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    private_key: rsa.RSAPrivateKey = field(repr=False)
    keystore: Path
    keystore_password: str = field(repr=False)
    client_id: str
    key_id: str
    external_ref: str

    @property
    def certificate_pem(self) -> str:
        """As the registry publishes it."""
        return pem(self.certificate)


class Network:
    """Start it, add organisations, let gateways loose on it.

    Without `folder` everything is thrown away at `stop`; with it, keystores keep their
    keys over restarts, and with `keep_transfers` the packages too. `scan_delay` is in seconds.
    Rate limits are off by default. With `tls` it speaks HTTPS with a certificate that
    `ca_file` vouches for.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        scan_delay: float = 0.0,
        rate_limits: bool = False,
        sign: bool = True,
        resource: str = DPO_RESOURCE,
        tls: bool = False,
        keep_transfers: bool = False,
    ) -> None:
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="simulated-network-"))
        bytes_folder = self.folder / "transfers"
        if not keep_transfers:
            shutil.rmtree(bytes_folder, ignore_errors=True)
        bytes_folder.mkdir(parents=True, exist_ok=True)
        self._ledger = Ledger(self.folder / "transfers.sqlite") if keep_transfers else None
        (self.folder / "keystores").mkdir(exist_ok=True)
        self.clock = Clock()
        self.events: deque[dict[str, Any]] = deque(maxlen=100_000)
        self._service = Service(Routes(), self.clock)
        self._server = Server(host, port, self._service)
        self._thread: threading.Thread | None = None
        self.url = f"{'https' if tls else 'http'}://{host}:{self._server.server_port}"
        self._authority = Authority(self.folder, f"{self.url}/crl")
        self.crl_life = timedelta(days=1)
        self.ca_file = self._authority.ca_file
        if tls:
            self._server.use_tls(self._server_certificate(host))
        key, certificate = self._platform_key()
        self.maskinporten = Maskinporten(key, self.url, self._authority.certificate)
        self.broker = Broker(
            bytes_folder,
            self.maskinporten,
            self.clock,
            resources={resource: Resource(resource)},
            scan=ScanPolicy(scan_delay),
            publish_event=self._event,
            ledger=self._ledger,
        )
        self.registry = Registry(key, certificate, self.maskinporten, resource, self.url, sign=sign)
        self.environment = Environment(
            token_endpoint=f"{self.url}/token",
            audience=self.maskinporten.issuer,
            exchange=f"{self.url}/authentication/api/v1/exchange/maskinporten",
            broker=f"{self.url}/broker/api/v1",
            registry=f"{self.url}/adressetjeneste",
            resource=resource,
        )
        self.organisations: dict[str, Organisation] = {}
        self.faults = self._service.faults
        self._service.identify = self._identify
        if rate_limits:
            self._service.limiter.limits = dict(RATE_LIMITS)
        self._add_routes()

    # --- life ---------------------------------------------------------------------------

    def start(self) -> Network:
        """Serve in threads of this process."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="simulated-network", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving; connections that are open are cut."""
        if self._thread is not None:
            self._server.close()
            self._thread.join(5)
            self._thread = None
        else:
            self._server.server_close()
        if self._ledger is not None:
            self._ledger.close()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Network:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- participants -------------------------------------------------------------------

    def add_organisation(
        self,
        orgnr: str,
        name: str,
        *,
        processes: Iterable[str] = (ADMINISTRASJON, PLAN, RESPONSE),
        external_ref: str | None = None,
        published: bool = True,
        certificate: x509.Certificate | None = None,
    ) -> Organisation:
        """A participant with certificate, Maskinporten client, system user and, when
        `published`, a registry record. `certificate` replaces the published one."""
        if not re.fullmatch(r"[0-9]{9}", orgnr):
            raise ValueError(f"orgnr: {orgnr!r}")
        keystore = self.folder / "keystores" / f"{orgnr}.p12"
        if keystore.exists():
            key, own, chain = load_keystore(keystore)
        else:
            key = new_key()
            own = self._authority.issue(name, orgnr, key)
            chain = (self._authority.certificate,)
            write_keystore(keystore, key, own, chain, alias=orgnr)
        kid = json_web_key(key.public_key())["kid"]
        client_id = f"MOVE_IP_{orgnr}"
        reference = external_ref or f"{orgnr}_edu_gateway"
        self.maskinporten.clients[client_id] = Client(
            client_id, orgnr, SCOPES, {kid: key.public_key()}
        )
        self.maskinporten.add_system_user(client_id, orgnr, reference)
        if published:
            self.registry.entries[orgnr] = Entry(orgnr, name, certificate or own, tuple(processes))
        organisation = Organisation(
            orgnr=orgnr,
            name=name,
            certificate=own,
            chain=chain,
            private_key=key,
            keystore=keystore,
            keystore_password=KEYSTORE_PASSWORD,
            client_id=client_id,
            key_id=kid,
            external_ref=reference,
        )
        self.organisations[orgnr] = organisation
        return organisation

    def renew_certificate(self, orgnr: str, *, publish: bool = True) -> Organisation:
        """A new key and certificate for a participant; the old keystore file is kept
        beside the new one with the ending ``.previous.p12``."""
        old = self.organisations[orgnr]
        entries = self.registry.entries
        previous = old.keystore.with_suffix(".previous.p12")
        old.keystore.replace(previous)
        old.keystore.with_suffix(".pem").replace(previous.with_suffix(".pem"))
        before = entries.get(orgnr)
        renewed = self.add_organisation(
            orgnr,
            old.name,
            processes=before.processes if before else (),
            external_ref=old.external_ref,
            published=before is not None,
        )
        if before is not None and not publish:
            entries[orgnr] = before
        if publish:
            for served in entries.values():
                if served.certificate == old.certificate:
                    served.certificate = renewed.certificate
        return renewed

    def revoke(self, orgnr: str) -> None:
        """Put the participant's certificate on the authority's list (``/crl``)."""
        self._authority.revoke(self.organisations[orgnr].certificate)

    def add_customer(
        self,
        supplier: Organisation,
        orgnr: str,
        name: str,
        *,
        processes: Iterable[str] = (ADMINISTRASJON, PLAN, RESPONSE),
        external_ref: str | None = None,
    ) -> SystemUser:
        """An organisation that `supplier` acts on behalf of: it has a system user, and its
        record publishes the certificate of the supplier, who has the key."""
        self.registry.entries[orgnr] = Entry(orgnr, name, supplier.certificate, tuple(processes))
        return self.add_system_user(supplier, orgnr, external_ref)

    def add_system_user(
        self, client: Organisation, orgnr: str, external_ref: str | None = None
    ) -> SystemUser:
        """Let `client` act for another organisation too (on behalf of)."""
        return self.maskinporten.add_system_user(client.client_id, orgnr, external_ref)

    def add_addressee(self, orgnr: str, name: str, *, svarut_level: int | None = None) -> None:
        """An organisation that is not on DPO: DPF when `svarut_level` is given, else DPV."""
        self.registry.entries[orgnr] = Entry(orgnr, name, svarut_level=svarut_level)

    # --- what happened --------------------------------------------------------------------

    @property
    def requests(self) -> list[Logged]:
        """The request log, oldest first."""
        return list(self._service.log)

    @property
    def transfers(self) -> list[Transfer]:
        """All transfers as they stand now, oldest first."""
        with self.broker.lock:
            found = list(self.broker.transfers.values())
            for transfer in found:
                transfer.settle(self.clock.now())
            return sorted(found, key=lambda transfer: transfer.created)

    # --- trouble --------------------------------------------------------------------------

    def fault(self, call: str | None = None, **rule: Any) -> Fault:
        """Add a fault rule; see `Fault` for its members."""
        return self.faults.add(Fault(call, **rule))

    @property
    def rate_limits(self) -> dict[str, int] | None:
        """Calls per minute by call name, None when off."""
        return self._service.limiter.limits

    @rate_limits.setter
    def rate_limits(self, limits: dict[str, int] | None) -> None:
        self._service.limiter.limits = limits

    @property
    def rate_limiter(self) -> RateLimiter:
        """What refuses calls beyond the limits."""
        return self._service.limiter

    def force_status(self, transfer_id: str, status: Status, text: str | None = None) -> None:
        """Put a transfer into a status, whatever the rules say."""
        with self.broker.lock:
            transfer = self.broker.transfers[transfer_id]
            transfer.set(status, self.clock.now(), text)
            if status in (Status.Purged, Status.Failed):
                transfer.remove_bytes()
            self.broker.keep(transfer)

    def reset(self) -> None:
        """Forget transfers, events, log and faults; participants stay."""
        with self.broker.lock:
            for transfer in self.broker.transfers.values():
                transfer.remove_bytes()
            self.broker.transfers.clear()
            if self._ledger is not None:
                self._ledger.clear()
        self.faults.remove()
        self.events.clear()
        self._service.log.clear()

    # --- wiring ---------------------------------------------------------------------------

    def _platform_key(self) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
        keystore = self.folder / "platform.p12"
        if not keystore.exists():
            key = new_key()
            certificate = self._authority.issue("Simulert plattform", "100000008", key)
            write_keystore(keystore, key, certificate, (self._authority.certificate,))
        key, certificate, _ = load_keystore(keystore)
        return key, certificate

    def _server_certificate(self, host: str) -> Path:
        keystore = self.folder / "server.p12"
        key = new_key()
        certificate = self._authority.issue("Simulert tjener", "100000008", key, host=host)
        write_keystore(keystore, key, certificate, ())
        return keystore.with_suffix(".pem")

    def _crl(self, request: Request) -> Reply:
        return Reply(200, self._authority.crl(self.crl_life), "application/pkix-crl")

    def _identify(self, request: Request) -> None:
        try:
            self.maskinporten.caller(request)
        except Refused:
            return

    def _event(self, kind: str, transfer: Transfer, orgnr: str, role: str) -> None:
        self.events.append(
            {
                "specversion": "1.0",
                "type": kind,
                "time": timestamp(self.clock.now()),
                "source": f"{self.environment.broker}/filetransfer",
                "resource": f"urn:altinn:resource:{transfer.resource.id}",
                "resourceinstance": transfer.id,
                "subject": f"urn:altinn:organization:identifier-no:{orgnr}",
                "data": {"Role": role},
            }
        )

    def _add_routes(self) -> None:
        add = self._service.routes.add
        add("token", "POST", "/token", self.maskinporten.token)
        metadata = "/.well-known/oauth-authorization-server"
        add("metadata", "GET", metadata, self.maskinporten.metadata)
        add("jwks", "GET", "/jwks", self.maskinporten.jwks)
        exchange = "/authentication/api/v1/exchange/maskinporten"
        add("exchange", "GET", exchange, self.maskinporten.exchange)
        transfer = "/broker/api/v1/filetransfer"
        add("initialize", "POST", transfer, self.broker.initialize)
        add("list", "GET", transfer, self.broker.list)
        add(
            "initialize-and-upload", "POST", transfer + "/upload", self.broker.initialize_and_upload
        )
        add("upload", "POST", transfer + "/{id}/upload", self.broker.upload)
        add("details", "GET", transfer + "/{id}/details", self.broker.details)
        add("download", "GET", transfer + "/{id}/download", self.broker.download)
        add("confirm", "POST", transfer + "/{id}/confirmdownload", self.broker.confirm)
        add("overview", "GET", transfer + "/{id}", self.broker.overview)
        add("crl", "GET", "/crl", self._crl)
        base = "/adressetjeneste"
        add("process", "GET", base + "/identifier/{id}/process/{process}", self.registry.process)
        add("identifier", "GET", base + "/identifier/{id}", self.registry.identifier)
        add("info", "GET", base + "/info/{id}", self.registry.info)
        add("virksert", "GET", base + "/virksert/{id}", self.registry.virksert)
        add("jwk", "GET", base + "/jwk", self.registry.jwk)
        Control(self).add_routes(self._service.routes)
