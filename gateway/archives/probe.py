"""Harmless questions to a SOAP archive, asked on the way that letters go.

Nothing is filed: a page is fetched, and GetCanReceiveMessage is asked. Archives that do
not know it answer with a Fault, which is an answer too.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace

import httpx
from lxml import etree

from gateway.archives.connection import (
    ConnectionAuth,
    archive_client,
    archive_tls,
    archive_url,
    basic_auth,
    offered_schemes,
)
from gateway.archives.dialects import load_dialect
from gateway.archives.settings import ArchiveSettings
from gateway.errors import ArchiveUnreachable
from gateway.http import explain
from gateway.model import EXCHANGE_NAMESPACE

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_QUESTION = (
    f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_SOAP}"><s:Body>'
    f'<GetCanReceiveMessageRequest xmlns="{EXCHANGE_NAMESPACE}">'
    '<receiver xmlns=""><orgnr>%s</orgnr></receiver>'
    "</GetCanReceiveMessageRequest></s:Body></s:Envelope>"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the archive answered, and how the login went: one text for each answer."""

    response: httpx.Response
    handshake: tuple[str, ...] = ()


class ArchiveProbe:
    """Asks one archive. Every method raises `ArchiveUnreachable` when nothing answers, and
    what `ConnectionAuth` raises. `timeout` is in seconds."""

    def __init__(self, settings: ArchiveSettings, timeout: float) -> None:
        self._settings = replace(settings, timeout=timeout, connect_timeout=timeout)
        self.url = archive_url(settings)
        self.tls: ssl.SSLContext = archive_tls(settings)
        put_message = settings.soap_action
        if put_message is None:
            put_message = load_dialect(settings.dialect).soap_action
        self._action = put_message.replace("PutMessage", "GetCanReceiveMessage")

    def greet(self) -> httpx.Response:
        """What it says to somebody who does not log in."""
        with archive_client(self._settings, self.tls) as client:
            return _answered(client, client.build_request("GET", self.url), None)

    def ask(self, orgnr: str) -> Reply:
        """GetCanReceiveMessage, logged in as for a letter."""
        handshake: list[str] = []

        def note(response: httpx.Response) -> None:
            offers = ", ".join(offered_schemes(response))
            handshake.append(f"{response.status_code}{f' ({offers})' if offers else ''}")

        with archive_client(self._settings, self.tls) as client:
            client.event_hooks = {"response": [note]}
            login = ConnectionAuth.of(self._settings)
            if login is not None:
                greeting = _answered(client, client.build_request("GET", self.url), login)
                if greeting.status_code == 401:
                    return Reply(greeting, tuple(handshake))
            question = client.build_request(
                "POST",
                self.url,
                content=(_QUESTION % orgnr).encode(),
                headers={
                    "Content-Type": "text/xml; charset=utf-8",
                    "SOAPAction": f'"{self._action}"',
                },
            )
            return Reply(_answered(client, question, basic_auth(self._settings)), tuple(handshake))


def is_soap(response: httpx.Response) -> bool:
    """Whether a SOAP service answered, with whatever."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(response.content, parser)
    except etree.XMLSyntaxError:
        return False
    return root.tag == f"{{{_SOAP}}}Envelope"


def _answered(
    client: httpx.Client, request: httpx.Request, auth: httpx.Auth | None
) -> httpx.Response:
    try:
        return client.send(request, auth=auth)
    except httpx.TransportError as error:
        raise ArchiveUnreachable(explain(error)) from error
