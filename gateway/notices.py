"""Ways to reach a person: mail and webhook, for `gateway.engine.alerts`."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

import httpx

from gateway import __version__
from gateway.engine.alerts import Kind, Notice
from gateway.engine.evidence import plain
from gateway.errors import ConfigurationError, Unavailable

_TIMEOUT_SECONDS = 30.0
_WORDS = {
    Kind.RAISED: "needs attention",
    Kind.REMINDER: "still needs attention",
    Kind.RESOLVED: "is well again",
}
_SECURITIES = ("none", "starttls", "tls")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where alerts are handed to the mail system."""

    host: str
    sender: str
    receivers: Sequence[str]
    port: int = 587
    security: str = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


class MailChannel:
    """Sends a notice as a plain mail."""

    name = "mail"

    def __init__(self, server: MailServer) -> None:
        if server.security not in _SECURITIES:
            raise ConfigurationError(f"alerts.mail_security must be one of {_SECURITIES}")
        if not server.sender or not any(server.receivers):
            raise ConfigurationError("alerts.mail_sender and alerts.mail_receivers are required")
        if server.security == "none" and server.password:
            raise ConfigurationError("alerts.mail_security none would show the password")
        self._server = server
        try:
            self._tls = ssl.create_default_context(cafile=server.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"alerts.mail_ca_file: {error}") from error

    def tell(self, notice: Notice) -> None:
        """Hand the mail to the server. Raises `Unavailable`."""
        server = self._server
        try:
            with self._connect() as connection:
                if server.security == "starttls":
                    connection.starttls(context=self._tls)
                if server.username and server.password:
                    connection.login(server.username, server.password)
                connection.send_message(self._mail(notice))
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(f"{server.host}:{server.port}: {type(error).__name__}") from error

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(
                server.host, server.port, timeout=_TIMEOUT_SECONDS, context=self._tls
            )
        return smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_SECONDS)

    def _mail(self, notice: Notice) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = f"edu-gateway {notice.orgnr}: {notice.cause} {_WORDS[notice.kind]}"
        mail["From"] = self._server.sender
        mail["To"] = ", ".join(self._server.receivers)
        mail["Date"] = format_datetime(notice.at)
        mail["Message-ID"] = make_msgid(domain="edu-gateway.invalid")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(
            f"{notice.summary}\n\n"
            f"Since: {notice.since:%Y-%m-%d %H:%M} UTC\n"
            f"Organisation: {notice.orgnr}\n\n"
            "Details: the gateway's page /, or `edu-gateway messages list --attention`.\n"
        )
        return mail


class WebhookChannel:
    """Posts a notice as JSON: kind, cause, summary, since, at, orgnr."""

    name = "webhook"

    def __init__(self, url: str, http: httpx.Client, token: str | None = None) -> None:
        self._url = url
        self._http = http
        self._headers = {"User-Agent": f"edu-gateway/{__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def tell(self, notice: Notice) -> None:
        """Post it. Raises `Unavailable`; the address may be a secret and is not named."""
        try:
            answer = self._http.post(
                self._url,
                json=plain(asdict(notice)),
                headers=self._headers,
                timeout=_TIMEOUT_SECONDS,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the webhook: {type(error).__name__}") from error
        if not answer.is_success:
            raise Unavailable(f"the webhook answered {answer.status_code}")
