"""What GET on the endpoint shows: WSDL, schema, and a page for people."""

from __future__ import annotations

import html
from collections.abc import Iterable
from http import HTTPStatus

from lxml import etree

from gateway.resources import data_folder

_WSDL_SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
_XSD = "{http://www.w3.org/2001/XMLSchema}"
_XML = "text/xml; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]
"""Status, content type, body."""


class Description:
    """Our WSDL and schema with addresses filled in.

    `public_url` is the endpoint as archives see it; without it the request's own
    scheme, Host and path are used.
    """

    def __init__(self, public_url: str | None = None) -> None:
        folder = data_folder("wsdl")
        self._public_url = public_url
        self._wsdl = (folder / "noarkExchange.wsdl").read_bytes()
        self._schema = (folder / "noarkExchange-types.xsd").read_bytes()

    def answer(self, query: str, request_url: str, speaker: str | None = None) -> Answer:
        """The document that `query` asks for; unknown queries get the page.

        `speaker` is the organisation whose own address was asked.
        """
        url = self._public_url or request_url
        if speaker is not None:
            url = f"{url.rstrip('/')}/{speaker}"
        wanted = query.partition("&")[0].partition("=")[0].lower()
        if wanted == "wsdl":
            return HTTPStatus.OK, _XML, self.wsdl(url)
        if wanted == "xsd":
            return HTTPStatus.OK, _XML, self._schema
        if wanted:
            text = f"No such document: ?{query}. Ask for ?wsdl or ?xsd=1.\n"
            return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", text.encode()
        return HTTPStatus.OK, "text/html; charset=utf-8", _page(url).encode()

    def wsdl(self, url: str) -> bytes:
        """The WSDL for an endpoint at `url`.

        The serializer quotes `url`, which may come from a caller's Host header.
        """
        root = etree.fromstring(self._wsdl)
        for address in _all(root, f"{_WSDL_SOAP}address"):
            address.set("location", url)
        for place in _all(root, f"{_XSD}import"):
            place.set("schemaLocation", f"{url}?xsd=1")
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _all(root: etree._Element, tag: str) -> Iterable[etree._Element]:
    return list(root.iter(tag))


def _page(url: str) -> str:
    shown = html.escape(url, quote=True)
    return f"""<!doctype html>
<html lang="nb"><head><meta charset="utf-8"><title>noarkExchange</title></head>
<body>
<h1>noarkExchange</h1>
<p>Her tar edu-gateway imot BEST/EDU-meldinger fra arkivsystemet. Adressen settes inn i
arkivets oppsett; nettleseren kan ikke sende meldinger.</p>
<table>
<tr><th scope="row">Tjeneste</th><td>noarkExchange</td></tr>
<tr><th scope="row">Port</th><td>NoarkExchangePort</td></tr>
<tr><th scope="row">Adresse</th><td>{shown}</td></tr>
<tr><th scope="row">WSDL</th><td><a href="{shown}?wsdl">{shown}?wsdl</a></td></tr>
</table>
</body></html>
"""
