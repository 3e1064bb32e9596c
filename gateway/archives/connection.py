"""Connections to an archive, and who we are on them.

NTLM and Negotiate authenticate a connection, not a request. A streamed letter can be sent
once only, so the connection is authenticated with a request without body first and the
letter follows on the same connection (soap-stack 5). The client is therefore limited to
one connection.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Generator
from typing import Literal

import httpx
import spnego
from spnego.exceptions import SpnegoError

from gateway.archives.settings import ArchiveSettings
from gateway.errors import ArchiveFault, ConfigurationError


def archive_url(settings: ArchiveSettings) -> httpx.URL:
    """The address. Raises `ConfigurationError`."""
    try:
        return httpx.URL(settings.url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"archive url: {error}") from error


def archive_tls(settings: ArchiveSettings) -> ssl.SSLContext:
    """Whose certificates are trusted. Raises `ConfigurationError`."""
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"archive ca_file {settings.ca_file}: {error}") from error


def archive_client(
    settings: ArchiveSettings, tls: ssl.SSLContext, *, kept_alive: int = 1
) -> httpx.Client:
    """A client of one connection, or with `kept_alive` 0 of a new one for every request.

    The caller closes it.
    """
    return httpx.Client(
        verify=tls,
        proxy=settings.proxy,
        timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
        limits=httpx.Limits(
            max_connections=kept_alive or None, max_keepalive_connections=kept_alive
        ),
        headers={"Accept": "text/xml", "Accept-Encoding": "identity"},
        trust_env=False,
    )


def basic_auth(settings: ArchiveSettings) -> httpx.BasicAuth | None:
    """The credentials that go with every request, if the archive is called so."""
    if settings.auth != "basic":
        return None
    return httpx.BasicAuth(settings.username or "", settings.password or "")


class ConnectionAuth(httpx.Auth):
    """The handshake, by pyspnego: on Windows its SSPI, elsewhere its own NTLM.

    Without `username` the account of the process is used, where the platform can.
    """

    def __init__(
        self,
        protocol: Literal["ntlm", "negotiate"],
        host: str,
        *,
        username: str | None = None,
        password: str | None = None,
        domain: str | None = None,
    ) -> None:
        self._protocol = protocol
        self._scheme = "NTLM" if protocol == "ntlm" else "Negotiate"
        self._host = host
        self._username = f"{domain}\\{username}" if domain and username else username or None
        self._password = password or None

    @classmethod
    def of(cls, settings: ArchiveSettings) -> ConnectionAuth | None:
        """What the settings ask for; None when connections are not authenticated."""
        if settings.auth not in ("ntlm", "negotiate"):
            return None
        return cls(
            settings.auth,
            archive_url(settings).host,
            username=settings.username,
            password=settings.password,
            domain=settings.domain,
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield request
        if response.status_code != 401:
            return
        if self._challenge(response) is None:
            offered = ", ".join(offered_schemes(response)) or "nothing"
            raise ArchiveFault("HTTP 401", f"the archive offers {offered}, not {self._scheme}")
        try:
            context = spnego.client(
                self._username,
                self._password,
                hostname=self._host,
                service="HTTP",
                protocol=self._protocol,
            )
            token = context.step()
        except (SpnegoError, ImportError, ValueError) as error:
            raise ConfigurationError(
                f"archive auth {self._protocol} cannot start with this username ({error})"
            ) from error
        while token:
            encoded = base64.b64encode(token).decode("ascii")
            request.headers["Authorization"] = f"{self._scheme} {encoded}"
            response = yield request
            challenge = self._challenge(response)
            if not challenge:
                return
            try:
                token = context.step(challenge)
            except SpnegoError as error:
                raise ArchiveFault(
                    "HTTP 401", f"the {self._scheme} handshake failed ({type(error).__name__})"
                ) from error

    def _challenge(self, response: httpx.Response) -> bytes | None:
        """The server's token, empty when it offers the scheme without one."""
        for value in _challenges(response):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == self._scheme.lower():
                try:
                    return base64.b64decode(token.strip(), validate=True)
                except binascii.Error as error:
                    raise ArchiveFault(
                        "HTTP 401", f"the archive's {self._scheme} token is not base64"
                    ) from error
        return None


def offered_schemes(response: httpx.Response) -> list[str]:
    """The authentication schemes that a 401 names."""
    return [value.partition(" ")[0] for value in _challenges(response)]


def _challenges(response: httpx.Response) -> list[str]:
    return [
        value.strip()
        for line in response.headers.get_list("WWW-Authenticate")
        for value in line.split(",")
        if value.strip() and "=" not in value.partition(" ")[0]
    ]
