"""Delivers letters and receipts to an archive over SOAP.

The request is streamed with an exact Content-Length (old web servers dislike chunked
bodies) and constant memory; every delivery has a connection of its own, so that no letter
is lost on one that the archive has just closed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx

from gateway.archives.connection import (
    ConnectionAuth,
    archive_client,
    archive_tls,
    archive_url,
    basic_auth,
    offered_schemes,
)
from gateway.archives.description import NoResult, ServiceDescription
from gateway.archives.dialects import load_dialect
from gateway.archives.settings import ArchiveSettings
from gateway.edu.write import PayloadText, payload_text
from gateway.errors import (
    ArchiveFault,
    ArchiveUnclear,
    ArchiveUnreachable,
)
from gateway.model import OK, AppReceipt, Melding
from gateway.ports import Delivery

_BLOCK = 64 * 1024
_LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes. A receipt with a stack trace is some kilobytes."""


class SoapArchive:
    """`ports.Archive` for Public 360, ePhorte and WebSak; the dialect is data.

    Raises `ConfigurationError` at once for settings that cannot be right. Safe to share
    between threads.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        settings.check()
        self.name = settings.name
        self.dialect = load_dialect(settings.dialect)
        self._settings = settings
        self._url = archive_url(settings)
        self._description = ServiceDescription()
        self._tls = archive_tls(settings)
        self._client = archive_client(settings, self._tls, kept_alive=0)
        action = settings.soap_action
        self._headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"{self.dialect.soap_action if action is None else action}"',
        }

    def put_message(self, delivery: Delivery) -> AppReceipt | None:
        """Hand it over; the archive's answer, None when it answered without a result.

        A result that is absent counts as OK where the dialect says so. Beside the errors
        of `ports.Archive`, raises `ConfigurationError` when NTLM or Negotiate cannot
        start, and `DigestMismatch` when a stored document has lost its length; nothing
        was handed over then.
        """
        head, tail = self._description.render(delivery.envelope)
        text = payload_text(delivery.payload).escaped()
        response = self._post(head, text, tail)
        _raise_for_status(response)
        if response.is_error:
            raise self._error(response)
        if not response.content.strip():
            return None
        try:
            return self._description.read_answer(response)
        except NoResult:
            is_letter = isinstance(delivery.payload, Melding)
            filed = is_letter and self.dialect.absent_result == "delivered"
            return OK if filed else None

    def _error(self, response: httpx.Response) -> ArchiveFault:
        """The Fault in an error answer, else the status itself."""
        try:
            self._description.read_answer(response)
        except ArchiveFault as fault:
            return fault
        except (ArchiveUnclear, NoResult):
            pass
        what = f"HTTP {response.status_code}"
        return ArchiveFault(what, f"the archive answered {what} {response.reason_phrase}")

    def _post(self, head: bytes, text: PayloadText, tail: bytes) -> httpx.Response:
        """The answer, read whole. Sent again once when the connection lost its login."""
        settings = self._settings
        connection_auth = ConnectionAuth.of(settings)
        if connection_auth is None:
            return self._send(self._client, _Body(head, text, tail))
        with archive_client(settings, self._tls) as client:
            self._authenticate(client, connection_auth)
            response = self._send(client, _Body(head, text, tail))
            if response.status_code == 401:
                self._authenticate(client, connection_auth)
                response = self._send(client, _Body(head, text, tail))
            return response

    def _send(self, client: httpx.Client, body: _Body) -> httpx.Response:
        length = str(body.size)
        request = client.build_request(
            "POST", self._url, content=body, headers={**self._headers, "Content-Length": length}
        )
        try:
            response = client.send(request, auth=basic_auth(self._settings), stream=True)
            try:
                return _read(response, self._settings.timeout)
            finally:
                response.close()
        except httpx.TransportError as error:
            if _never_connected(error):
                raise ArchiveUnreachable(_reason(error)) from error
            if not body.handed_over:
                raise ArchiveUnreachable(
                    f"lost before the last byte was sent: {_reason(error)}"
                ) from error
            raise ArchiveUnclear(f"no answer: {_reason(error)}") from error

    def _authenticate(self, client: httpx.Client, auth: ConnectionAuth) -> None:
        """Authenticate the client's one connection, before anything is handed over."""
        try:
            with client.stream("GET", self._url, auth=auth) as response:
                for _ in response.iter_raw():
                    pass  # read to the end, or the connection cannot be used again
        except httpx.TransportError as error:
            raise ArchiveUnreachable(f"authenticating: {_reason(error)}") from error
        if response.status_code == 401:
            raise ArchiveFault("HTTP 401", "the archive refuses the credentials")


class _Body:
    """The request's bytes, once; knows whether all of them were given out."""

    def __init__(self, head: bytes, text: PayloadText, tail: bytes) -> None:
        self._head = head
        self._text = text
        self._tail = tail
        self.size = len(head) + text.size + len(tail)
        self.handed_over = False

    def __iter__(self) -> Iterator[bytes]:
        waiting = [self._head]
        length = len(self._head)
        for chunk in self._text.chunks():
            if length + len(chunk) > _BLOCK:
                yield b"".join(waiting)
                waiting, length = [], 0
            waiting.append(chunk)
            length += len(chunk)
        waiting.append(self._tail)
        # Without its last bytes no archive can read the request, so nothing is filed.
        self.handed_over = True
        yield b"".join(waiting)


def _read(response: httpx.Response, timeout: float) -> httpx.Response:
    """The whole answer as a response of its own; bounded in bytes and seconds."""
    deadline = time.monotonic() + timeout
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LARGEST_ANSWER:
            raise ArchiveUnclear(f"the archive's answer is larger than {_LARGEST_ANSWER} bytes")
        if time.monotonic() > deadline:
            raise ArchiveUnclear(f"the archive's answer was not complete after {timeout:g} s")
    headers = {
        name: value
        for name, value in response.headers.items()
        if name in ("content-type", "www-authenticate", "retry-after", "location")
    }
    return httpx.Response(response.status_code, headers=headers, content=bytes(body))


def _raise_for_status(response: httpx.Response) -> None:
    """Statuses that decide by themselves, whatever the body says."""
    status = response.status_code
    what = f"HTTP {status}"
    if status in (429, 503):
        raise ArchiveUnreachable(what, retry_after=_retry_after(response))
    if status in (502, 504):
        raise ArchiveUnclear(f"{what} from something in front of the archive")
    if status == 401:
        offered = ", ".join(offered_schemes(response)) or "nothing"
        raise ArchiveFault(what, f"the archive wants authentication; it offers {offered}")
    if 300 <= status < 400:
        raise ArchiveFault(
            what, f"the archive has moved to {response.headers.get('location', 'nowhere')}"
        )


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    return float(value) if value.isdecimal() else None


def _never_connected(error: httpx.TransportError) -> bool:
    return isinstance(
        error,
        httpx.ConnectError
        | httpx.ConnectTimeout
        | httpx.PoolTimeout
        | httpx.ProxyError
        | httpx.UnsupportedProtocol,
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
