"""The endpoint that archives call: ``/noarkExchange`` as a WSGI application."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from gateway.edu.limits import Limits
from gateway.ports import ContentStore
from gateway.soap.description import Description
from gateway.soap.exchange import Exchange, Intake
from gateway.soap.protocol import EXCHANGE
from gateway.soap.service import create_wsgi

PATH = "/noarkExchange"
_PATHS = (PATH, PATH + "/", PATH + "-types.xsd")

log = logging.getLogger(__name__)

# spyne logs refused documents whole and every fault with a stack trace; ours are logged
# in `exchange`, without content.
for _name in ("spyne.protocol.soap.soap11.invalid", "spyne.application.client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
# Two endpoints in one process are no accident here.
logging.getLogger("spyne.util.appreg").setLevel(logging.ERROR)

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def create_app(
    intake: Intake,
    store: ContentStore,
    *,
    limits: Limits | None = None,
    public_url: str | None = None,
    basic_auth: tuple[str, str] | None = None,
    organisations: Collection[str] = (),
) -> WsgiApp:
    """The WSGI application; every path but ``/noarkExchange`` is answered 404.

    Each of the `organisations` has ``/noarkExchange/<orgnr>`` besides, for an archive
    that does not name itself as sender.
    `public_url` is what the WSDL gives as address when a proxy stands in front.
    `basic_auth` is user name and password; without it nobody is asked.
    Documents that `intake` does not keep are released when the call is over.
    """
    own_paths = {f"{PATH}/{orgnr}": orgnr for orgnr in organisations}
    description = Description(public_url)
    return _Endpoint(intake, store, limits or Limits(), description, basic_auth, own_paths)


class _Endpoint:
    def __init__(
        self,
        intake: Intake,
        store: ContentStore,
        limits: Limits,
        description: Description,
        basic_auth: tuple[str, str] | None,
        own_paths: Mapping[str, str],
    ) -> None:
        self._own_paths = own_paths
        self._store = store
        self._description = description
        self._credentials = (
            f"{basic_auth[0]}:{basic_auth[1]}".encode() if basic_auth is not None else None
        )
        self._soap = create_wsgi(intake, store, limits)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        method = str(environ.get("REQUEST_METHOD", "")).upper()
        speaker = self._own_paths.get(path.rstrip("/"))
        if path not in _PATHS and speaker is None:
            return _plain(start_response, HTTPStatus.NOT_FOUND, "No such page.\n")
        if not self._is_allowed(environ):
            return _plain(
                start_response,
                HTTPStatus.UNAUTHORIZED,
                "User name and password are required.\n",
                ("WWW-Authenticate", 'Basic realm="noarkExchange", charset="UTF-8"'),
            )
        if method == "POST":
            return self._call(environ, start_response, speaker)
        if method in ("GET", "HEAD"):
            query = "xsd=1" if path.endswith(".xsd") else environ.get("QUERY_STRING", "")
            status, content_type, body = self._description.answer(query, _url(environ), speaker)
            return _respond(start_response, status, content_type, body, send=method == "GET")
        return _plain(
            start_response,
            HTTPStatus.METHOD_NOT_ALLOWED,
            "Only GET, HEAD and POST.\n",
            ("Allow", "GET, HEAD, POST"),
        )

    def _call(
        self, environ: dict[str, Any], start_response: StartResponse, speaker: str | None
    ) -> Iterable[bytes]:
        exchange = Exchange(speaker)
        environ[EXCHANGE] = exchange
        try:
            return [b"".join(self._soap(environ, start_response))]
        finally:
            if exchange.request is not None:
                self._store.release(exchange.request.contents)

    def _is_allowed(self, environ: dict[str, Any]) -> bool:
        if self._credentials is None:
            return True
        scheme, _, encoded = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, self._credentials)


def _url(environ: dict[str, Any]) -> str:
    host = environ.get("HTTP_HOST")
    if not host:
        host = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return f"{environ['wsgi.url_scheme']}://{host}{quote(environ.get('SCRIPT_NAME', '') + PATH)}"


def _plain(
    start_response: StartResponse, status: HTTPStatus, text: str, *headers: tuple[str, str]
) -> list[bytes]:
    return _respond(start_response, status, "text/plain; charset=utf-8", text.encode(), *headers)


def _respond(
    start_response: StartResponse,
    status: HTTPStatus,
    content_type: str,
    body: bytes,
    *headers: tuple[str, str],
    send: bool = True,
) -> list[bytes]:
    start_response(
        f"{status.value} {status.phrase}",
        [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers],
    )
    return [body] if send else []
