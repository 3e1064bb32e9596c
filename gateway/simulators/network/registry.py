"""The address registry: who is reached how, with which certificate, in signed answers.

Decides as the real one does for each process (registry-and-statuses 1.6).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from .authority import der_base64, json_web_key, pem
from .exchange import Refused, Reply, Request
from .maskinporten import Maskinporten

ADMINISTRASJON = "urn:no:difi:profile:arkivmelding:administrasjon:ver1.0"
PLAN = "urn:no:difi:profile:arkivmelding:planByggOgGeodata:ver1.0"
RESPONSE = "urn:no:difi:profile:arkivmelding:response:ver1.0"
AVTALT = "urn:no:difi:profile:avtalt:avtalt:ver1.0"
AVTALT_RESPONSE = "urn:no:difi:profile:avtalt:response:ver1.0"

_STATUS = "urn:no:difi:eformidling:xsd::status"
_DOCUMENT_TYPES = {
    ADMINISTRASJON: ["urn:no:difi:arkivmelding:xsd::arkivmelding"],
    PLAN: ["urn:no:difi:arkivmelding:xsd::arkivmelding"],
    RESPONSE: ["urn:no:difi:arkivmelding:xsd::arkivmelding_kvittering", _STATUS],
    AVTALT: ["urn:no:difi:avtalt:xsd::avtalt"],
    AVTALT_RESPONSE: [_STATUS],
}
_DPO = {
    "identifier": "DPO",
    "serviceCode": "4192",
    "serviceEditionCode": "270815",
    "securityLevel": None,
}


@dataclass
class Entry:
    """One organisation. Without `processes` it is not on the meldingstjeneste (DPO) and is
    reached by DPF when `svarut_level` is set, else by DPV."""

    orgnr: str
    name: str
    certificate: x509.Certificate | None = None
    processes: tuple[str, ...] = ()
    svarut_level: int | None = None


@dataclass
class Registry:
    """Answers lookups. `sign` False is for clients with signing switched off."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    maskinporten: Maskinporten
    resource: str
    base_url: str
    entries: dict[str, Entry] = field(default_factory=dict)
    sign: bool = True

    def identifier(self, request: Request) -> Reply:
        """GET /identifier/{id}: every record."""
        entry = self._entry(request)
        records = [self._record(entry, process) for process in _DOCUMENT_TYPES]
        return self._answer(request, self._document(entry, [r for r in records if r is not None]))

    def process(self, request: Request) -> Reply:
        """GET /identifier/{id}/process/{process}: the one record, or 404."""
        entry = self._entry(request)
        process = request.arguments["process"]
        record = self._record(entry, process) if process in _DOCUMENT_TYPES else None
        if record is None:
            raise _error(404, f"Process {process} not found for receiver {entry.orgnr}")
        return self._answer(request, self._document(entry, [record]))

    def info(self, request: Request) -> Reply:
        """GET /info/{id}: the name."""
        return self._answer(request, self._document(self._entry(request), []))

    def virksert(self, request: Request) -> Reply:
        """GET /virksert/{orgnr}: the published certificate."""
        self._authenticate(request)
        entry = self.entries.get(request.arguments["id"])
        if entry is None or entry.certificate is None:
            raise _error(404, f"Unable to find DPO certificate for: {request.arguments['id'][:20]}")
        return self._answer(request, pem(entry.certificate), "text/plain")

    def jwk(self, request: Request) -> Reply:
        """GET /jwk: the signing key; no token is needed."""
        return Reply.json({"keys": [json_web_key(self.key.public_key(), self.certificate)]})

    def _authenticate(self, request: Request) -> None:
        self.maskinporten.caller(request)

    def _entry(self, request: Request) -> Entry:
        self._authenticate(request)
        orgnr = request.arguments["id"].removeprefix("0192:")
        entry = self.entries.get(orgnr)
        if entry is None:
            raise _error(404, f"Entity with identifier '0192:{orgnr[:20]}' not found.")
        level = request.query.get("securityLevel")
        if level == "4" and not entry.processes and entry.svarut_level != 4:
            raise _error(
                400,
                f"Organization '{entry.orgnr}' can not receive messages with security level '4'",
            )
        return entry

    def _record(self, entry: Entry, process: str) -> dict[str, Any] | None:
        record: dict[str, Any] = {
            "organisationNumber": entry.orgnr,
            "pemCertificate": None,
            "process": process,
            "documentTypes": _DOCUMENT_TYPES[process],
        }
        if process in entry.processes:
            if entry.certificate is None:
                raise _error(404, f"Unable to find DPO certificate for: {entry.orgnr}")
            record["pemCertificate"] = pem(entry.certificate)
            record["service"] = {
                **_DPO,
                "endpointUrl": self.base_url,
                "resource": self.resource,
            }
            return record
        if process in (AVTALT, AVTALT_RESPONSE):
            return None
        if not entry.processes and entry.svarut_level is not None:
            record["pemCertificate"] = pem(self.certificate)
            record["service"] = {
                "identifier": "DPF",
                "endpointUrl": self.base_url,
                "securityLevel": entry.svarut_level,
            }
            return record
        record["service"] = {
            "identifier": "DPV",
            "endpointUrl": self.base_url,
            "serviceCode": "4255",
            "securityLevel": None,
        }
        return record

    def _document(self, entry: Entry, records: list[dict[str, Any]]) -> str:
        return json.dumps(
            {
                "infoRecord": {
                    "identifier": entry.orgnr,
                    "organizationName": entry.name,
                    "postadresse": None,
                    "entityType": {"name": "ORGL"},
                },
                "serviceRecords": records,
            },
            ensure_ascii=False,
        )

    def _answer(self, request: Request, text: str, plain: str = "application/json") -> Reply:
        if self.sign and "application/jose" in request.headers.get("Accept", ""):
            headers = {
                "kid": json_web_key(self.key.public_key())["kid"],
                "x5c": [der_base64(self.certificate)],
            }
            token = jwt.api_jws.PyJWS().encode(text.encode(), self.key, "RS256", headers=headers)
            return Reply.text(token, 200, "application/jose")
        return Reply.text(text, 200, plain)


def _error(status: int, description: str) -> Refused:
    return Refused(Reply.json({"error_code": "", "error_description": description}, status))
