"""The archive that the settings describe."""

from __future__ import annotations

from gateway.archives.mail import MailArchive, MailSettings
from gateway.archives.settings import ArchiveSettings
from gateway.archives.soap import SoapArchive
from gateway.settings import ArchiveSystem, Mail


def is_mailbox(archive: ArchiveSystem) -> bool:
    """Whether it is a mailbox, which answers nothing."""
    return archive.dialect.lower() == "mail"


def open_archive(archive: ArchiveSystem, mail: Mail | None) -> MailArchive | SoapArchive:
    """A client of the archive that `archive` describes; `mail` is for mailboxes."""
    if mail is not None and is_mailbox(archive):
        return MailArchive(_mail_settings(mail))
    return SoapArchive(archive_settings(archive))


def archive_settings(archive: ArchiveSystem) -> ArchiveSettings:
    """What is said about an archive with a web service."""
    return ArchiveSettings(
        name=archive.dialect,
        dialect=archive.dialect,
        url=archive.url,
        auth=archive.auth,
        username=archive.username,
        password=archive.password,
        domain=archive.domain,
        soap_action=archive.soap_action,
        timeout=archive.timeout,
        connect_timeout=archive.connect_timeout,
        ca_file=archive.ca_file,
        proxy=archive.proxy,
    )


def _mail_settings(mail: Mail) -> MailSettings:
    return MailSettings(
        name="mail",
        host=mail.host,
        port=mail.port,
        sender=mail.sender,
        receivers=tuple(one.strip() for one in mail.receivers.split(",")),
        security=mail.security,
        username=mail.username,
        password=mail.password,
        ca_file=mail.ca_file,
        timeout=mail.timeout,
        max_size=mail.max_size,
        overflow_folder=mail.overflow_folder,
    )
