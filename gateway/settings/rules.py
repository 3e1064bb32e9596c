"""What a value must be beyond its type; each rule raises ValueError saying it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from gateway.archives.dialects import check_soap_action, dialect_names
from gateway.errors import ConfigurationError

MAIL = "mail"
"""The one dialect that is no SOAP archive."""

_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


def orgnr(value: str) -> None:
    """An organisation number: nine digits, of which the last checks the others."""
    if not re.fullmatch(r"[0-9]{9}", value):
        raise ValueError("must be nine digits in quotes")
    weighed = sum(int(digit) * weight for digit, weight in zip(value, _WEIGHTS, strict=False))
    if (weighed + int(value[8])) % 11:
        raise ValueError(f"{value} is no organisation number: its last digit does not fit")


def web_address(value: str) -> None:
    """An http or https address that may be shown."""
    secret_address(value)
    if urlsplit(value).username is not None:
        raise ValueError("must not hold a user name or password")


def secret_address(value: str) -> None:
    """An http or https address, perhaps with a password in it."""
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or re.search(r"\s", value):
        raise ValueError("must be an http or https address")


def mail_addresses(value: str) -> None:
    """One mail address, or several with commas between."""
    for one in value.split(","):
        if not re.fullmatch(r"[!#-;=?-~]+@[!#-;=?-~]+", one.strip()):
            raise ValueError(f"{one.strip()!r} is not a mail address")


def existing_file(value: Path) -> None:
    """A file that is there."""
    if not value.is_file():
        raise ValueError(f"{value} is not a file")


def existing(value: Path) -> None:
    """A file or folder that is there."""
    if not value.exists():
        raise ValueError(f"{value} does not exist")


def folder(value: Path) -> None:
    """A folder, or nothing yet."""
    if value.exists() and not value.is_dir():
        raise ValueError(f"{value} is not a folder")


def dialect(value: str) -> None:
    """A file of ``mappings/dialects``, or mail; in any case."""
    known = [*dialect_names(), MAIL]
    if value.strip().lower() not in known:
        raise ValueError(f"{value!r} is not one of {', '.join(known)}")


def soap_action(value: str) -> None:
    """What can stand in the header."""
    try:
        check_soap_action(value, "it")
    except ConfigurationError as error:
        raise ValueError(error.detail.removeprefix("it ")) from error


def channel(value: str) -> None:
    """A message channel of the network (altinn-transport 4.2)."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,25}", value):
        raise ValueError("must be 1 to 25 of A-Z, a-z, 0-9, - and _")


def process(value: str) -> None:
    """A process URI."""
    if not re.fullmatch(r"urn:[!-~]+", value):
        raise ValueError("must be a process, such as urn:no:difi:profile:…")


def database_url(value: str) -> None:
    """An address that SQLAlchemy reads. It may hold a password and is not repeated."""
    try:
        backend = sa.make_url(value).get_backend_name()
    except sa.exc.ArgumentError:
        backend = ""
    if backend not in ("postgresql", "sqlite"):
        raise ValueError("must be postgresql+psycopg://user@host/name or sqlite:///file")


def document_key(value: str) -> None:
    """A key for AES-256."""
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        raise ValueError("must be 64 hexadecimal digits")
