"""Who may see and change messages, and what browsers may do with our answers."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field

from flask import Flask, Response, abort, g, request
from werkzeug.datastructures import WWWAuthenticate

OPEN_PATHS = ("/manage/health", "/manage/health/liveness", "/manage/health/readiness")
"""What probes ask without a password; it tells counts and nothing about messages."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Where the pages are bound and whom they let in.

    Without `username` and `password` they answer on loopback alone, and only to
    requests that name loopback as their host: a page elsewhere cannot reach them by
    pointing its own name at this machine, nor can the world through a proxy.
    """

    host: str = "127.0.0.1"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    _random: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def has_password(self) -> bool:
        """Whether a name and a password are asked for."""
        return bool(self.username and self.password)

    def accepts(self, username: str, password: str) -> bool:
        """Whether these are right; takes as long for wrong ones."""
        given = f"{username}\0{password}".encode()
        return hmac.compare_digest(given, f"{self.username}\0{self.password}".encode())

    def form_token(self) -> str:
        """What a form of ours holds and a foreign page cannot know.

        With a password it is the same on every node that has that password.
        """
        key = f"{self.username}\0{self.password}".encode() if self.has_password else self._random
        return hmac.new(hashlib.sha256(key).digest(), b"form", hashlib.sha256).hexdigest()


def protect(app: Flask, access: Access) -> None:
    """Ask for the password, check forms, and set the security headers."""

    @app.before_request
    def _admit() -> None:
        g.who = "web"
        if request.path in OPEN_PATHS:
            return
        if access.has_password:
            given = request.authorization
            if (
                given is None
                or given.type != "basic"
                or not access.accepts(given.username or "", given.password or "")
            ):
                abort(401, www_authenticate=WWWAuthenticate("basic", {"realm": "edu-gateway"}))
            g.who = given.username
        elif not (_is_loopback(access.host) and _is_loopback(_host_of(request.host))):
            abort(403, "password")
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_form(access)

    @app.after_request
    def _headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    app.jinja_env.globals["form_token"] = access.form_token


def _check_form(access: Access) -> None:
    """Only our own pages may change anything."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403, "form")
    if not hmac.compare_digest(
        request.form.get("token", "").encode(), access.form_token().encode()
    ):
        abort(403, "form")


def _host_of(value: str) -> str:
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
