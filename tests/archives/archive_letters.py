"""A letter of our own, and a stand-in for the gateway that a simulated archive calls."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lxml import etree

from gateway.edu.reader import SoapRequest, read_request
from gateway.model import MELDING_NAMESPACE, Envelope, Melding, Party
from gateway.spool import BytesContent, FolderSpool

ENVELOPE = Envelope(
    Party("991825827", "Prøve kommune", ref="15/00020-3"),
    Party("974760673", "Eksempeletaten"),
    "6f3c2b7e-55c1-4a0e-9d0a-0d3f6e7e2f10",
)


def make_melding(*documents: bytes, title: str = "Svar på søknad") -> Melding:
    """A letter whose documents are named ``dokument-1.pdf`` and so on."""
    root = etree.Element(f"{{{MELDING_NAMESPACE}}}Melding")
    journpost = etree.SubElement(root, "journpost")
    etree.SubElement(journpost, "jpId").text = "210707"
    etree.SubElement(journpost, "jpInnhold").text = title
    contents = {}
    for number, data in enumerate(documents, start=1):
        dokument = etree.SubElement(journpost, "dokument")
        etree.SubElement(dokument, "dbTittel").text = f"Dokument {number}"
        fil = etree.SubElement(dokument, "fil")
        etree.SubElement(fil, "base64", ref=f"c{number}")
        contents[f"c{number}"] = BytesContent(data)
        etree.SubElement(dokument, "veFilnavn").text = f"dokument-{number}.pdf"
        etree.SubElement(dokument, "veMimeType").text = "application/pdf"
    noarksak = etree.SubElement(root, "noarksak")
    etree.SubElement(noarksak, "saTittel").text = "Prøvesak"
    return Melding(root, contents)


class GatewayStandIn:
    """Reads requests as the gateway does and answers OK, or with `fault`."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[SoapRequest] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.fault = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stand_in.headers.append(dict(self.headers.items()))
                stand_in.bodies.append(body)
                request = read_request([body], FolderSpool(folder))
                stand_in.requests.append(request)
                answer = stand_in._answer(request)
                self.send_response(500 if stand_in.fault else 200)
                self.send_header("Content-Type", "text/xml; charset=utf-8")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/noarkExchange"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _answer(self, request: SoapRequest) -> bytes:
        if self.fault:
            inner = (
                "<S:Fault><faultcode>S:Client</faultcode><faultstring>Nei</faultstring></S:Fault>"
            )
        elif request.operation == "PutMessageRequest":
            inner = (
                '<t:PutMessageResponse xmlns:t="http://www.arkivverket.no/Noark/Exchange/types">'
                '<result type="OK"/></t:PutMessageResponse>'
            )
        else:
            inner = (
                '<t:GetCanReceiveMessageResponse xmlns:t="http://www.arkivverket.no/Noark/Exchange'
                '/types"><result>true</result></t:GetCanReceiveMessageResponse>'
            )
        return (
            '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/">'
            f"<S:Body>{inner}</S:Body></S:Envelope>"
        ).encode()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
