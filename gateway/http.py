"""The HTTP client that everything on the network side uses.

TLS is verified against the system's and Mozilla's authorities, and a CA file of one's own
where one is configured. Proxies come from the environment (``HTTPS_PROXY``, ``NO_PROXY``),
never for loopback. Every call has time-outs, also in total (altinn-transport 1.3.4).
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import certifi
import httpx

from gateway import __version__
from gateway.errors import Unavailable

USER_AGENT = f"edu-gateway/{__version__}"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


def new_client(
    ca_file: Path | None = None,
    *,
    timeout: httpx.Timeout = TIMEOUT,
    connections: int = 50,
    hear: Callable[[datetime], None] | None = None,
) -> httpx.Client:
    """A client to be shared between threads; the caller closes it.

    `ca_file` holds further trusted authorities as PEM. `hear` is told what time it is at
    the other side, with each answer that says so. Redirects are not followed: none
    of the services redirects, and a bearer token must not wander.
    """

    def listen(response: httpx.Response) -> None:
        if hear is not None and (said := server_time(response.headers)) is not None:
            hear(said)

    return httpx.Client(
        verify=tls_context(ca_file),
        timeout=timeout,
        headers={"User-Agent": USER_AGENT},
        follow_redirects=False,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=10),
        mounts=dict.fromkeys(_LOOPBACK),
        event_hooks={"response": [listen]},
    )


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Trusts the system's and Mozilla's authorities, and those in `ca_file` (PEM)."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """What time it was at the server when it answered, to the second (``Date``).

    None when it does not say, or when the answer comes from a cache (``Age``).
    """
    if "Age" in headers:
        return None
    try:
        said = parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return said if said.tzinfo is not None else None


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer, read to its end."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def ok(self) -> bool:
        """Any 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The content as UTF-8, wrong bytes replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The content as JSON. Raises ValueError when it is not.

        Tolerates control characters in strings, as the network's own client does.
        """
        return json.loads(self.text, strict=False)

    @property
    def retry_after(self) -> float | None:
        """Seconds that we are asked to wait."""
        return retry_after(self.headers)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` in seconds, given as a number or as a date; None when unusable.

    Never more than an hour, whatever the other side says.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        return _at_most_an_hour(float(value))
    except ValueError:
        pass
    try:
        return _at_most_an_hour(parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _at_most_an_hour(seconds: float) -> float:
    return min(max(0.0, seconds), 3600.0)


def call(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    unavailable: type[Unavailable],
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    json_body: object | None = None,
    form: Mapping[str, str] | None = None,
    total: float = 30.0,
    limit: int = 16 << 20,
) -> Answer:
    """One small exchange: at most `total` seconds, at most `limit` bytes back.

    Raises `unavailable` when there is no complete answer. A status is not judged here.
    A GET is tried once more when the connection was closed on us, as happens to those
    that were kept alive.
    """
    for attempt in (1, 2):
        try:
            return _exchange(client, method, url, headers, params, json_body, form, total, limit)
        except httpx.RemoteProtocolError as error:
            if method != "GET" or attempt == 2:
                raise unavailable(f"{method} {_place(url)}: {explain(error)}") from error
        except (httpx.HTTPError, httpx.InvalidURL, _TooMuch) as error:
            raise unavailable(f"{method} {_place(url)}: {explain(error)}") from error
    raise AssertionError("unreachable")


class _TooMuch(Exception):
    """An answer that is too long, or takes too long."""


def _exchange(
    client: httpx.Client,
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    params: Mapping[str, str] | None,
    json_body: object | None,
    form: Mapping[str, str] | None,
    total: float,
    limit: int,
) -> Answer:
    deadline = time.monotonic() + total
    with client.stream(
        method, url, headers=headers, params=params, json=json_body, data=form
    ) as response:
        content = bytearray()
        for piece in response.iter_bytes():
            content += piece
            if len(content) > limit:
                raise _TooMuch(f"more than {limit} bytes")
            if time.monotonic() > deadline:
                raise _TooMuch(f"not done within {total:g} s")
        return Answer(response.status_code, response.headers, bytes(content))


def explain(error: Exception) -> str:
    """What went wrong with a connection, in words that hold no content."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(url: str) -> str:
    """The address without its query."""
    return url.partition("?")[0]
