"""What an installation says about its archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from gateway.archives.dialects import check_soap_action
from gateway.errors import ConfigurationError

Authentication = Literal["none", "basic", "ntlm", "negotiate"]


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """A SOAP archive: where it is, what it speaks and how it is called.

    `timeout` is how many seconds the archive may take to answer once it has the letter;
    `connect_timeout` how many a connection may take. `soap_action` overrides the
    dialect's. `ca_file` holds the PEM certificates that are trusted instead of the
    machine's. `proxy` is a URL; the environment is not consulted. With `negotiate` (and
    `ntlm` on Windows) the account of the process is used when `username` is empty.
    """

    name: str
    dialect: str
    url: str
    auth: Authentication = "none"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    domain: str | None = None
    soap_action: str | None = None
    timeout: float = 300.0
    connect_timeout: float = 10.0
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Raise `ConfigurationError` naming the first setting that cannot be right."""
        if not _is_http_url(self.url):
            raise ConfigurationError("archive url must be an http or https address")
        if self.proxy is not None and not _is_http_url(self.proxy):
            raise ConfigurationError("archive proxy must be an http or https address")
        if self.auth not in get_args(Authentication):
            raise ConfigurationError(
                f"archive auth must be one of {', '.join(get_args(Authentication))}"
            )
        if self.auth == "basic" and not (self.username and self.password):
            raise ConfigurationError("archive auth basic needs username and password")
        if self.auth == "none" and (self.username or self.password):
            raise ConfigurationError(
                "archive has username or password but auth is none; say basic, ntlm or negotiate"
            )
        if self.timeout <= 0 or self.connect_timeout <= 0:
            raise ConfigurationError("archive time-outs must be more than 0 seconds")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ConfigurationError(f"archive ca_file {self.ca_file} is not a file")
        if self.soap_action is not None:
            check_soap_action(self.soap_action, "archive soap_action")


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
