"""An "archive" that is a mailbox: letters and receipts as mail (bestedu-soap 5.11).

Nothing is lost when a letter is large: it is split over several mails, and a document
that fits in none is put in a folder or the letter is refused before anything is sent.
OK is answered only when the mail server has accepted every mail.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from gateway.archives.mail_message import (
    Attachment,
    Mail,
    attachments_of,
    metadata_of,
    split,
)
from gateway.edu.appreceipt import write_receipt
from gateway.errors import ArchiveFault, ArchiveUnclear, ArchiveUnreachable, ConfigurationError
from gateway.model import OK, AppReceipt, Content, Envelope, ReceiptType, StatusMessage
from gateway.ports import Delivery

Security = Literal["none", "starttls", "tls"]

_HEADERS = 8000
"""Bytes set aside in every mail for its own headers and text."""


@dataclass(frozen=True, slots=True)
class MailSettings:
    """A mailbox: `sender` and `receivers` are addresses, `timeout` seconds.

    `max_size` is the largest mail in bytes; the server's own limit holds beside it.
    `overflow_folder` takes documents that no mail can carry.
    """

    name: str
    host: str
    sender: str
    receivers: tuple[str, ...]
    port: int = 587
    security: Security = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout: float = 60.0
    max_size: int | None = None
    overflow_folder: Path | None = None

    def check(self) -> None:
        """Raise `ConfigurationError` naming the first setting that cannot be right."""
        if not self.host:
            raise ConfigurationError("mail host is missing")
        if not self.receivers:
            raise ConfigurationError("mail receivers are missing")
        for address in (self.sender, *self.receivers):
            if not re.fullmatch(r"[!#-;=?-~]+@[!#-;=?-~]+", address):
                raise ConfigurationError(f"mail address {address!r} is not one")
        if self.security not in get_args(Security):
            raise ConfigurationError(f"mail security must be one of {get_args(Security)}")
        if self.security == "none" and self.password:
            raise ConfigurationError("mail security none would send the password in the clear")
        if self.max_size is not None and self.max_size < 10 * _HEADERS:
            raise ConfigurationError(f"mail max_size must be at least {10 * _HEADERS} bytes")


class MailArchive:
    """`ports.Archive` over SMTP."""

    def __init__(
        self,
        settings: MailSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        settings.check()
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        try:
            self._tls = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"mail ca_file {settings.ca_file}: {error}") from error

    def put_message(self, delivery: Delivery) -> AppReceipt:
        """Mail it; OK when the server has accepted everything.

        ERROR, with nothing sent, when a document is too large and there is no folder for
        it. Raises as `ports.Archive`; `ArchiveFault` carries ``SMTP 550`` and the like.
        """
        sent = 0
        try:
            server = self._connect()
            try:
                mails = self._mails(delivery, _limit(server, self._settings.max_size))
                if isinstance(mails, AppReceipt):
                    return mails
                for mail in mails:
                    _send(server, mail)
                    sent += 1
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    server.docmd("QUIT")
            finally:
                server.close()
        except (OSError, smtplib.SMTPException) as error:
            raise _explained(error, sent) from error
        except (ArchiveUnreachable, ArchiveFault) as error:
            if sent:
                raise ArchiveUnclear(f"{sent} of several mails were sent, then: {error}") from error
            raise
        return OK

    def check(self) -> str:
        """Connect and log in as for a letter, and send nothing; what the server offers.

        Raises as `put_message`.
        """
        try:
            server = self._connect()
            try:
                _expect(server.noop(), 250)
                limit = _limit(server, self._settings.max_size)
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    server.docmd("QUIT")
            finally:
                server.close()
        except (OSError, smtplib.SMTPException) as error:
            raise _explained(error, 0) from error
        login = "logged in" if self._settings.username else "no login is configured"
        size = f"mails of at most {limit} bytes" if limit else "mails of any size"
        return f"security {self._settings.security}, {login}, {size}"

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.timeout, context=self._tls
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout)
        try:
            server.ehlo_or_helo_if_needed()
            if settings.security == "starttls":
                if not server.has_extn("starttls"):
                    raise ConfigurationError("the mail server offers no STARTTLS")
                server.starttls(context=self._tls)
                server.ehlo()
            if settings.username:
                server.login(settings.username, settings.password or "")
        except BaseException:
            server.close()
            raise
        return server

    def _mails(self, delivery: Delivery, limit: int | None) -> list[Mail] | AppReceipt:
        envelope = delivery.envelope
        if isinstance(delivery.payload, AppReceipt):
            receipt = Attachment(
                "kvittering.xml", "application/xml", write_receipt(delivery.payload)
            )
            return [self._mail(envelope, _receipt_text(delivery.payload), [receipt], 1, 1)]
        metadata = Attachment("payload.xml", "application/xml", metadata_of(delivery.payload))
        files = [*attachments_of(delivery.payload), metadata]
        groups, too_large = split(files, limit - _HEADERS if limit else 1 << 62)
        folder = self._settings.overflow_folder
        if too_large and folder is None:
            return _too_large(too_large, limit or 0)
        stored = [_store(folder, item) for item in too_large if folder is not None]
        return [
            self._mail(
                envelope, _letter_text(stored, number, len(groups)), group, number, len(groups)
            )
            for number, group in enumerate(groups, start=1)
        ]

    def _mail(
        self, envelope: Envelope, text: str, files: list[Attachment], number: int, count: int
    ) -> Mail:
        sender = envelope.sender.orgnr if envelope.sender else None
        conversation = envelope.conversation_id or ""
        part = f" ({number} av {count})" if count > 1 else ""
        # The same for every attempt, so that mailboxes can tell a repetition.
        identity = hashlib.sha256(f"{sender} {conversation} {number}".encode()).hexdigest()[:32]
        domain = self._settings.sender.rpartition("@")[2]
        return Mail(
            sender=self._settings.sender,
            receivers=self._settings.receivers,
            subject=f"Integrasjonspunkt: melding fra {sender}, conversationId={conversation}{part}",
            message_id=f"<{identity}@{domain}>",
            date=self._clock(),
            text=text,
            attachments=tuple(files),
            boundary=f"=_{secrets.token_hex(16)}",
        )


def _letter_text(stored: list[str], number: int, count: int) -> str:
    lines = ["Du har fått en BestEdu-melding. Se vedlegg for metadata og dokumenter."]
    if count > 1:
        lines.append(f"Meldingen er delt i {count} e-poster. Dette er nummer {number}.")
    if stored:
        lines.append("Disse dokumentene er for store for e-post og er lagret her:")
        lines.extend(stored)
    return "\r\n".join(lines) + "\r\n"


def _receipt_text(receipt: AppReceipt) -> str:
    lines = [f"Kvittering (AppReceipt) mottatt: {receipt.type.value}"]
    lines.extend(f"{message.code}: {message.text}" for message in receipt.messages)
    return "\r\n".join(lines) + "\r\n"


def _too_large(items: list[Attachment], limit: int) -> AppReceipt:
    names = ", ".join(item.filename for item in items)
    text = f"For stort for e-post (grense {limit} byte): {names}"
    return AppReceipt(ReceiptType.ERROR, (StatusMessage("Unknown", text),))


def _store(folder: Path, item: Attachment) -> str:
    """Put `item` into `folder` under its checksum; the line for the mail."""
    folder.mkdir(parents=True, exist_ok=True)
    content = item.content
    digest = hashlib.sha256()
    part = folder / f"{secrets.token_hex(16)}.part"
    with part.open("xb") as target:
        if isinstance(content, bytes):
            digest.update(content)
            target.write(content)
        else:
            _copy(content, target.write, digest.update)
    final = folder / f"{digest.hexdigest()[:16]}-{item.filename}"
    part.replace(final)
    return f"{final} (SHA-256 {digest.hexdigest()})"


def _copy(content: Content, *targets: Callable[[bytes], object]) -> None:
    with content.open() as stream:
        while block := stream.read(1 << 18):
            for target in targets:
                target(block)


def _limit(server: smtplib.SMTP, configured: int | None) -> int | None:
    """The smaller of the server's SIZE and the configured limit; 0 and nothing are none."""
    stated = server.esmtp_features.get("size", "").strip() if server.does_esmtp else ""
    limits = [int(stated)] if stated.isdecimal() and int(stated) else []
    if configured:
        limits.append(configured)
    return min(limits, default=None)


def _send(server: smtplib.SMTP, mail: Mail) -> None:
    """All receivers or none; returns when the server has taken the mail over."""
    options = [f"size={mail.size}"] if server.has_extn("size") else []
    _expect(server.mail(mail.sender, options), 250)
    for receiver in mail.receivers:
        code, text = server.rcpt(receiver)
        if code not in (250, 251):
            server.rset()
            _expect((code, text), 250)
    _expect(server.docmd("DATA"), 354)
    for chunk in mail.chunks():
        server.send(chunk)
    try:
        server.send(b".\r\n")
        answer = server.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise ArchiveUnclear(f"no answer to the mail: {type(error).__name__}") from error
    _expect(answer, 250)


def _expect(answer: tuple[int, bytes], wanted: int) -> None:
    code, text = answer
    if code == wanted:
        return
    explanation = text.decode("utf-8", "replace")[:500]
    if 400 <= code < 500:
        raise ArchiveUnreachable(f"SMTP {code} {explanation}")
    raise ArchiveFault(f"SMTP {code}", explanation)


def _explained(
    error: OSError | smtplib.SMTPException, sent: int
) -> ArchiveUnclear | ArchiveUnreachable | ArchiveFault | ConfigurationError:
    reason = f"{type(error).__name__}: {error}"
    if sent:
        return ArchiveUnclear(f"{sent} of several mails were sent, then {reason}")
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        explanation = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if error.smtp_code >= 500:
            return ArchiveFault(f"SMTP {error.smtp_code}", explanation[:500])
        return ArchiveUnreachable(f"SMTP {error.smtp_code} {explanation[:500]}")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return ConfigurationError(f"mail: {error}")
    return ArchiveUnreachable(reason)
