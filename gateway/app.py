"""Puts one gateway together from its settings; the only module that knows everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.address_book import AddressBook
from gateway.edu.limits import Limits
from gateway.engine.alerts import Alerts, Channel
from gateway.engine.clock import Clock
from gateway.engine.context import Context
from gateway.engine.health import Finding, Health, Subject
from gateway.engine.health import Limits as HealthLimits
from gateway.engine.housekeeping import Housekeeping
from gateway.engine.intake import Intake
from gateway.engine.ledger import Ledger
from gateway.engine.operations import Operations
from gateway.engine.published import PublishedCertificate
from gateway.engine.worker import Workers
from gateway.errors import ConfigurationError, ReceiverUnknown
from gateway.http import new_client
from gateway.model import Event
from gateway.notices import MailChannel, MailServer, WebhookChannel
from gateway.parts import compare_published, new_context, new_vetting, open_store
from gateway.registry import Registry
from gateway.settings import Listen, Settings
from gateway.soap.listener import Listener
from gateway.soap.server import PATH, StartResponse, WsgiApp, create_app
from gateway.store.messages import Message
from gateway.transports.altinn3 import Altinn3
from gateway.transports.pace import poll_interval
from gateway.vetting import Vetting
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
        self.database, self.blobs = open_store(settings)
        clock = Clock()
        http = new_client(hear=clock.hear)
        vetting = new_vetting(settings.trust, new_client())
        self.context = new_context(settings, self.database, self.blobs, clock, http, vetting)
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
            [self._published.finding, _lists_finding(vetting), _foreign_finding(self.context)],
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


def _poll_seconds(settings: Settings) -> float:
    """The pause between polls: longer when many organisations share Altinn's limits."""
    chosen = settings.network.poll_seconds
    if settings.network.transport != "altinn3" or not settings.network.rate_limits:
        return chosen
    # One of them is kept for what people ask.
    searches = settings.network.searches_per_minute - 1
    return poll_interval(1 + len(settings.on_behalf_of), chosen, searches_per_minute=searches)


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


def _lists_finding(vetting: Vetting | None) -> Callable[[], Finding | None]:
    """How the revocation lists are, once they were needed."""

    def examine() -> Finding | None:
        if vetting is None or vetting.revocation is None:
            return None
        missing = vetting.revocation.troubles(datetime.now(UTC))
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
