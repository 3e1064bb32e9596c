"""Puts one gateway together from its settings; the only module that knows everybody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography import x509

from gateway.address_book import AddressBook
from gateway.archives.dialects import load_dialect
from gateway.archives.opening import is_mailbox, open_archive
from gateway.certificates import load_keystore, load_trust, published_problem
from gateway.edu.limits import Limits
from gateway.engine.alerts import Alerts, Channel
from gateway.engine.clock import Clock
from gateway.engine.context import Books, Context, Policy, Served
from gateway.engine.health import Finding, Health, Subject
from gateway.engine.health import Limits as HealthLimits
from gateway.engine.housekeeping import Housekeeping
from gateway.engine.intake import Intake
from gateway.engine.ledger import Ledger
from gateway.engine.operations import Operations
from gateway.engine.published import PublishedCertificate
from gateway.engine.worker import Workers
from gateway.errors import ConfigurationError, ReceiverUnknown, RegistryUnavailable
from gateway.http import new_client
from gateway.model import Event
from gateway.notices import MailChannel, MailServer, WebhookChannel
from gateway.package import Identity
from gateway.ports import Archive, Transport
from gateway.registry import Registry
from gateway.revocation import Revocation, over_http
from gateway.settings import ArchiveSystem, Listen, Settings, TrustedSigners
from gateway.signers import Signers
from gateway.soap.listener import Listener
from gateway.soap.server import PATH, StartResponse, WsgiApp, create_app
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.messages import Message
from gateway.store.sealing import Sealer
from gateway.tokens import TokenSource
from gateway.translate import load_mapping
from gateway.transports.altinn3 import Altinn3
from gateway.transports.directory import Directory
from gateway.transports.pace import Pace, limits, poll_interval
from gateway.web import Access
from gateway.web import create_app as create_web
from gateway.web.metrics import Metrics

STOP_SECONDS = 150
"""What may be reckoned with until `Gateway.stop` has returned."""


class Gateway:
    """One gateway: endpoint, workers and store.

    `observers` are called with every event once it is durable, in the thread that
    caused it.
    """

    def __init__(
        self, settings: Settings, observers: Iterable[Callable[[Message, Event], None]] = ()
    ) -> None:
        self.database, self.blobs = _open_store(settings)
        clock = Clock()
        http = new_client(hear=clock.hear)
        signers = _signers(settings.trust, new_client())
        self.context = _context(settings, self.database, self.blobs, clock, http, signers)
        self.context.observers.extend(observers)
        ledger = Ledger(self.context)
        listen = settings.listen
        basic_auth = None
        if listen.username is not None and listen.password is not None:
            basic_auth = (listen.username, listen.password)
        endpoint = create_app(
            Intake(self.context, ledger),
            self.blobs,
            limits=Limits(request_bytes=listen.max_request_bytes),
            public_url=listen.public_url,
            basic_auth=basic_auth,
            organisations=[one.orgnr for one in self.context.policy.served],
        )
        self._host = listen.host
        self._workers = Workers(
            self.context,
            ledger,
            poll_seconds=_poll_seconds(settings),
            lease=timedelta(seconds=settings.database.lease_seconds),
        )
        metrics = Metrics()
        self.context.observers.append(metrics.observe)
        self._published = PublishedCertificate(_compare_published(self.context))
        self.health = Health(
            self.context,
            self.context.identities,
            _limits(settings),
            lambda: self._workers.polling_problem,
            [self._published.finding, _lists_finding(signers), _foreign_finding(self.context)],
        )
        self._alerts = Alerts(
            self.context,
            self.health,
            _channels(settings),
            reminder=timedelta(hours=settings.alerts.reminder_hours),
            every_seconds=settings.alerts.check_seconds,
        )
        web = create_web(Operations(self.context, ledger), self.health, metrics, _access(settings))
        self._listener = _listener(_by_path(endpoint, web), listen)
        days = settings.messages.keep_documents_days
        self._housekeeping = Housekeeping(self.context, timedelta(days=days) if days else None)

    @property
    def url(self) -> str:
        """What the archive is configured with; known after `start`."""
        return f"http://{self._host}:{self._listener.port}/noarkExchange"

    def start(self) -> None:
        """Serve and work, and clear what killed processes left."""
        self._listener.start()
        self._workers.start()
        self._alerts.start()
        self._housekeeping.start()
        self._published.start()

    def stop(self) -> None:
        """Take no more requests, let running jobs end, close the store.

        Takes at most about two minutes (`STOP_SECONDS`): a job that needs longer is cut
        off, as by a power failure, and taken up when its lease ends.
        """
        self._listener.stop(60)
        self._published.stop()
        self._alerts.stop()
        self._workers.stop()
        self._housekeeping.stop()
        self.database.close()


def _listener(app: WsgiApp, listen: Listen) -> Listener:
    try:
        return Listener(
            app,
            listen.host,
            listen.port,
            max_body=listen.max_request_bytes,
            patience=listen.patience,
            least_rate=listen.least_rate,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"listen: {listen.host} port {listen.port}: {reason}") from error


def _by_path(endpoint: WsgiApp, web: WsgiApp) -> WsgiApp:
    """The archive's path to the SOAP endpoint, everything else to the pages."""

    def dispatch(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        is_soap = environ.get("PATH_INFO", "").startswith(PATH)
        return (endpoint if is_soap else web)(environ, start_response)

    return dispatch


def _access(settings: Settings) -> Access:
    listen, web = settings.listen, settings.web
    if web.username is not None and web.password is not None:
        return Access(listen.host, web.username, web.password)
    return Access(listen.host, listen.username, listen.password)


def _channels(settings: Settings) -> list[Channel]:
    alerts = settings.alerts
    channels: list[Channel] = []
    if alerts.mail_host is not None:
        channels.append(
            MailChannel(
                MailServer(
                    host=alerts.mail_host,
                    port=alerts.mail_port,
                    security=alerts.mail_security,
                    username=alerts.mail_username,
                    password=alerts.mail_password,
                    sender=alerts.mail_sender,
                    receivers=[one.strip() for one in alerts.mail_receivers.split(",")],
                    ca_file=alerts.mail_ca_file,
                )
            )
        )
    if alerts.webhook_url is not None:
        channels.append(WebhookChannel(alerts.webhook_url, new_client(), alerts.webhook_token))
    return channels


def _limits(settings: Settings) -> HealthLimits:
    alerts = settings.alerts
    return HealthLimits(
        free_bytes=alerts.min_free_bytes,
        certificate_days=alerts.certificate_days,
        waiting=timedelta(minutes=alerts.waiting_minutes),
    )


def open_books(settings: Settings) -> Books:
    """The store of a gateway, which may be running meanwhile, for the command line."""
    database, blobs = _open_store(settings)
    return Books(database=database, blobs=blobs, policy=_policy(settings))


def _open_store(settings: Settings) -> tuple[Database, BlobStore]:
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        blobs = BlobStore(
            settings.folder / "blobs",
            Sealer.from_hex(settings.database.document_key)
            if settings.database.document_key
            else None,
        )
    except OSError as error:
        raise ConfigurationError(f"folder: {error.filename}: {error.strerror}") from error
    return Database(database_url(settings)), blobs


def database_url(settings: Settings) -> str:
    """The server's, or that of a file beside the documents. It may hold a password."""
    return settings.database.url or f"sqlite:///{settings.folder / 'gateway.db'}"


def _context(
    settings: Settings,
    database: Database,
    blobs: BlobStore,
    clock: Clock,
    http: httpx.Client,
    signers: Signers | None,
) -> Context:
    organisation = settings.organisation
    identities = [
        load_keystore(one.keystore, one.keystore_password, one.keystore_alias)
        for one in (organisation, *organisation.old_keystores)
    ]
    tokens = new_tokens(settings, identities[0], http, lambda: clock.now().timestamp())
    return Context(
        database=database,
        blobs=blobs,
        transport=new_transport(settings, tokens, http),
        addresses=new_addresses(settings, tokens, http),
        archives=_archives(settings),
        identities=identities,
        mapping=load_mapping(settings.messages.profile, switches=settings.messages.switches),
        policy=_policy(settings),
        now=clock.now,
        clock=clock,
        vet_signer=signers.vet if signers is not None else lambda opened: (),
    )


def new_tokens(
    settings: Settings,
    identity: Identity,
    http: httpx.Client,
    clock: Callable[[], float] = time.time,
) -> TokenSource:
    """Where the network's tokens come from; `clock` gives Unix time."""
    network = settings.network
    return TokenSource(
        token_endpoint=network.token_url,
        audience=network.token_audience,
        exchange=network.exchange_url,
        client_id=network.client_id,
        identity=identity,
        http=http,
        clock=clock,
    )


def new_transport(settings: Settings, tokens: TokenSource, http: httpx.Client) -> Transport:
    """The network that the settings chose."""
    network = settings.network
    if network.transport == "directory":
        assert network.directory is not None, "settings without it are refused"
        return Directory(
            network.directory,
            channel=network.channel,
            accept_any_reference=network.accept_any_reference,
        )
    return Altinn3(
        network.broker_url,
        network.resource,
        tokens,
        parties={
            settings.organisation.orgnr: network.system_user,
            **{one.orgnr: one.system_user for one in settings.on_behalf_of},
        },
        http=http,
        channel=network.channel,
        accept_any_reference=network.accept_any_reference,
        pace=Pace(
            limits(network.searches_per_minute, network.calls_per_minute)
            if network.rate_limits
            else None
        ),
    )


def _poll_seconds(settings: Settings) -> float:
    """The pause between polls: longer when many organisations share Altinn's limits."""
    chosen = settings.network.poll_seconds
    if settings.network.transport != "altinn3" or not settings.network.rate_limits:
        return chosen
    # One of them is kept for what people ask.
    searches = settings.network.searches_per_minute - 1
    return poll_interval(1 + len(settings.on_behalf_of), chosen, searches_per_minute=searches)


def new_addresses(
    settings: Settings, tokens: TokenSource, http: httpx.Client
) -> Registry | AddressBook:
    """The registry, or the file that stands in for it."""
    network = settings.network
    if network.addresses is not None:
        return AddressBook(network.addresses, settings.messages.process)
    return Registry(
        network.registry_url,
        tokens.access(network.registry_scopes.split(), exchanged=False),
        http=http,
        default_process=settings.messages.process,
        sign=network.registry_signed,
    )


def _compare_published(context: Context) -> Callable[[], str | None]:
    """What is wrong with the certificates that the registry publishes for us."""
    organisations = [one.orgnr for one in context.policy.served]

    def problem(orgnr: str) -> str | None:
        assert isinstance(context.addresses, Registry | AddressBook)
        try:
            return compare_published(context.addresses, orgnr, context.identities, context.now())
        except ReceiverUnknown:
            return "the registry has no certificate of ours; nobody can send us letters"

    def compare() -> str | None:
        problems = {orgnr: problem(orgnr) for orgnr in organisations}
        found = [f"{orgnr}: {problem}" for orgnr, problem in problems.items() if problem]
        return "; ".join(found) or None

    return compare


def compare_published(
    addresses: Registry | AddressBook, orgnr: str, identities: Iterable[Identity], now: datetime
) -> str | None:
    """What is wrong with the certificate that is published for us; None when it is ours.

    Raises as `Registry.published_certificate` does.
    """
    pem = addresses.published_certificate(orgnr)
    try:
        published = x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise RegistryUnavailable("our published certificate cannot be read") from error
    problems = [published_problem(it.certificate, published, now) for it in identities]
    return None if None in problems else problems[0]


def _signers(trusted: TrustedSigners, http: httpx.Client) -> Signers | None:
    """None when the operator gave no certificates to hold signers against."""
    if trusted.certificates is None:
        return None
    asks = trusted.revocation != "off"
    return Signers(
        load_trust(trusted.environment, [trusted.certificates], trusted.authorities),
        reject=trusted.chain == "reject",
        revocation=Revocation(over_http(http)) if asks else None,
        required=trusted.revocation == "required",
    )


def _lists_finding(signers: Signers | None) -> Callable[[], Finding | None]:
    """How the revocation lists are, once they were needed."""

    def examine() -> Finding | None:
        if signers is None or signers.revocation is None:
            return None
        missing = signers.revocation.troubles(datetime.now(UTC))
        summary = "; ".join(missing) or "those that were needed are here"
        return Finding(Subject.REVOCATION, not missing, summary, figures={"missing": len(missing)})

    return examine


def _foreign_finding(context: Context) -> Callable[[], Finding | None]:
    """What is for other installations of ours, and expires if they do not take it (R8)."""

    def examine() -> Finding | None:
        if not isinstance(context.transport, Altinn3):
            return None
        count = sum(context.transport.skipped(one.orgnr) for one in context.policy.served)
        summary = f"{count} packages since the start, which expire unless those take them"
        return Finding(Subject.FOREIGN, True, summary, figures={"count": count})

    return examine


def _policy(settings: Settings) -> Policy:
    archives = {settings.organisation.orgnr: settings.archive}
    archives |= {one.orgnr: one.archive or settings.archive for one in settings.on_behalf_of}
    return Policy(
        served=tuple(_served(orgnr, archive) for orgnr, archive in archives.items()),
        process=settings.messages.process,
        fallback_sender=settings.messages.fallback_sender,
        max_letter_bytes=settings.messages.max_letter_bytes,
        time_to_live=timedelta(hours=settings.messages.ttl_hours),
        channel=settings.network.channel,
        first_retry=timedelta(seconds=settings.messages.retry_seconds),
        unclear_wait=timedelta(seconds=settings.messages.unclear_seconds),
        receipt_wait=timedelta(hours=hours) if (hours := settings.messages.receipt_hours) else None,
    )


def _served(orgnr: str, archive: ArchiveSystem) -> Served:
    by_mail = is_mailbox(archive)
    parties = archive.appreceipt_parties
    if parties is None and not by_mail:
        parties = load_dialect(archive.dialect).appreceipt_parties
    return Served(
        orgnr=orgnr,
        system=archive.dialect,
        parties_original=parties == "original",
        archive_sends_receipts=not by_mail,
        ok_on_empty_payload=archive.return_ok_on_empty_payload,
    )


def _archives(settings: Settings) -> dict[str, Archive]:
    """The archive of each organisation; those without one of their own share ours."""
    ours = open_archive(settings.archive, settings.mail)
    archives = {settings.organisation.orgnr: ours}
    for one in settings.on_behalf_of:
        archives[one.orgnr] = ours if one.archive is None else open_archive(one.archive, one.mail)
    return archives
