"""Reads the cases and turns one into an HTTP request."""

from __future__ import annotations

import gzip
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

T = "http://www.arkivverket.no/Noark/Exchange/types"
N = "http://www.arkivverket.no/Noark4-1-WS-WD/types"
SOAP = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
_ENVELOPE = (
    '<envelope xmlns="" conversationId="$id" contentNamespace="$N">'
    "<sender><orgnr>$own</orgnr><name>Avsender</name></sender>"
    "<receiver><orgnr>$receiver</orgnr><name>Mottaker</name></receiver></envelope>"
)
_LETTER = (
    f'<Melding xmlns="{N}"><journpost xmlns=""><jpId>12</jpId><jpInnhold>Om brøyting</jpInnhold>'
    "<dokument><dlRnr>1</dlRnr><dlType>H</dlType><dbTittel>Brev</dbTittel>"
    "<veVariant>P</veVariant><fil><base64>SGVpIQ==</base64></fil><veFilnavn>brev.txt</veFilnavn>"
    "<veMimeType>text/plain</veMimeType></dokument></journpost>"
    '<noarksak xmlns=""><saTittel>Vinterdrift</saTittel></noarksak></Melding>'
)
_RECEIPT = (
    f'<AppReceipt type="OK" xmlns="{T}"><message code="Recno" xmlns=""><text>88</text></message>'
    "</AppReceipt>"
)
_CAN = (
    f'<GetCanReceiveMessageRequest xmlns="{T}"><receiver xmlns=""><orgnr>$receiver</orgnr>'
    "</receiver></GetCanReceiveMessageRequest>"
)
_DEFAULT_TYPES = {"1.1": "text/xml; charset=utf-8", "1.2": "application/soap+xml; charset=utf-8"}


@dataclass
class Target:
    """The server under test and the organisations it knows."""

    url: str
    own: str
    receiver: str
    unknown: str
    dpv: str = "910075918"
    refused: str = "987464291"
    down: str = "974720760"
    blobs: Path | None = None
    """Where our own server keeps content; None for another."""


@dataclass
class Request:
    headers: dict[str, str]
    body: bytes | Iterator[bytes]
    path_suffix: str = ""


def load_cases() -> list[dict[str, Any]]:
    """Every case, with the file it comes from."""
    found = []
    for path in sorted((Path(__file__).parent / "cases").glob("*.toml")):
        for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            found.append({"file": path.stem, **case})
    return found


def words(target: Target) -> dict[str, str]:
    """What the ``$`` words mean in one case."""
    return {
        "id": str(uuid.uuid4()),
        "own": target.own,
        "receiver": target.receiver,
        "unknown": target.unknown,
        "dpv": target.dpv,
        "refused": target.refused,
        "down": target.down,
        "T": T,
        "N": N,
        "letter": _LETTER,
        "letter_escaped": escape(_LETTER, quote=False),
        "receipt": _RECEIPT,
        "receipt_escaped": escape(_RECEIPT, quote=False),
        "can": _CAN.replace("$receiver", target.receiver),
    }


def build(case: dict[str, Any], meaning: dict[str, str], payload: str | None = None) -> Request:
    """The request of `case`; `payload` stands in for the case's own."""
    soap = case.get("soap", "1.1")
    if "raw" in case:
        text = case["raw"]
    else:
        inner = case.get("body")
        if inner is None or payload is not None:
            inner = (
                f'<PutMessageRequest xmlns="{T}">{case.get("envelope", _ENVELOPE)}'
                f"{case['payload'] if payload is None else payload}</PutMessageRequest>"
            )
        text = (
            f'{case.get("declaration", "")}<s:Envelope xmlns:s="{SOAP[soap]}" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            'xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
            f"{case.get('envelope_attributes', '')}>{case.get('header', '')}"
            f"<s:Body>{inner}</s:Body></s:Envelope>"
        )
    data = Template(text).safe_substitute(meaning).encode(case.get("encoding", "utf-8"))
    headers = dict(case.get("headers", {"Content-Type": _DEFAULT_TYPES[soap]}))
    if case.get("packed"):
        data = gzip.compress(data)
        headers["Content-Encoding"] = "gzip"
    body: bytes | Iterator[bytes] = data
    if case.get("chunked"):
        body = iter([data[:100], data[100:101], data[101:]])
    return Request(headers, body, case.get("path_suffix", ""))
