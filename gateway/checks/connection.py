"""Reaching a server step by step, so that the step that fails has a name."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

from gateway.errors import Unavailable


class Unreachable(Unavailable):
    """A step towards a server failed; the detail says which, and how."""


def look_up(host: str, port: int) -> list[str]:
    """The host's addresses. Raises `Unreachable`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host}: {_words(error)}") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def connect(host: str, port: int, timeout: float) -> None:
    """A TCP connection, closed again. Raises `Unreachable`."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        raise Unreachable(f"{host}:{port}: {_words(error)}") from error


def shake_hands(host: str, port: int, tls: ssl.SSLContext, timeout: float) -> str:
    """A TLS handshake as with a letter; version and end of the server's certificate.

    Raises `Unreachable`, with the reason when the certificate is not trusted.
    """
    try:
        with socket.create_connection((host, port), timeout) as plain:
            with tls.wrap_socket(plain, server_hostname=host) as secured:
                version, certificate = secured.version(), secured.getpeercert() or {}
    except (OSError, ValueError) as error:
        raise Unreachable(f"{host}:{port}: {_words(error)}") from error
    end = str(certificate.get("notAfter", ""))
    if not end:
        return str(version)
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC)
    return f"{version}, its certificate is valid until {expires:%Y-%m-%d}"


def failed_step(error: BaseException) -> str:
    """Which step the failure of an HTTP call was in, by what caused it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "DNS"
        if isinstance(cause, ssl.SSLError):
            return "TLS"
        if isinstance(cause, ConnectionRefusedError):
            return "TCP"
        cause = cause.__cause__ or cause.__context__
    return "HTTP"


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"
