"""How the simulated archive calls the gateway: an HTTP client of its own."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

from lxml import etree

from gateway.edu.write import PayloadText


class GatewayAnswered(Exception):
    """The gateway answered with a Fault or something that is no SOAP answer."""

    def __init__(self, status: int, fault_code: str, text: str) -> None:
        super().__init__(f"HTTP {status} {fault_code}: {text}")
        self.status = status
        self.fault_code = fault_code
        self.text = text


def call(
    url: str,
    body: PayloadText,
    *,
    soap_action: str,
    credentials: tuple[str, str] | None = None,
    timeout: float = 300.0,
) -> etree._Element:
    """POST `body` as a stream with its exact length; the answer's envelope.

    Raises `GatewayAnswered`, and OSError or HTTPException when there is no answer.
    """
    address = urlsplit(url)
    secure = address.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
        address.hostname or "", address.port, timeout=timeout
    )
    headers = {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": soap_action,
        "Content-Length": str(body.size),
    }
    if credentials is not None:
        token = base64.b64encode(":".join(credentials).encode()).decode("ascii")
        headers["Authorization"] = f"Basic {token}"
    try:
        connection.request("POST", address.path or "/", _joined(body.chunks()), headers)
        response = connection.getresponse()
        answer = response.read(16 * 1024 * 1024)
    finally:
        connection.close()
    try:
        root = etree.fromstring(answer, etree.XMLParser(resolve_entities=False))
    except etree.XMLSyntaxError as error:
        raise GatewayAnswered(response.status, "", "the answer is not XML") from error
    fault = root.find(".//{*}Fault")
    if fault is not None:
        code = fault.findtext("faultcode") or ""
        raise GatewayAnswered(response.status, code, fault.findtext("faultstring") or "")
    return root


def _joined(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Small pieces together, so that a short request is one packet."""
    waiting = b""
    for chunk in chunks:
        waiting += chunk
        if len(waiting) >= 64 * 1024:
            yield waiting
            waiting = b""
    if waiting:
        yield waiting
