"""The address registry: how an organisation is reached, and with which certificate.

registry-and-statuses 1. Answers are signed; the signature is verified with the
registry's published keys before anything is read.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import jwt

from gateway.errors import (
    GatewayError,
    ReceiverUnknown,
    RegistryRefused,
    RegistryUnavailable,
)
from gateway.http import Answer, call
from gateway.model import Recipient

_log = logging.getLogger(__name__)

ADMINISTRASJON = "urn:no:difi:profile:arkivmelding:administrasjon:ver1.0"
_ARKIVMELDING = "urn:no:difi:arkivmelding:xsd::arkivmelding"
_KVITTERING = "urn:no:difi:arkivmelding:xsd::arkivmelding_kvittering"
_AVTALT = "urn:no:difi:avtalt:xsd::avtalt"
_ORGNR = re.compile(r"\d{9}", re.ASCII)
_CACHE_SECONDS = 300.0
_KEYS_SECONDS = 3600.0
_CACHE_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    document: dict[str, Any]


class Registry:
    """A client of the registry; implements `ports.Addresses`. Threads may share it.

    `token` gives a Maskinporten token; a `tokens.Access` is also told when one was
    refused. `sign` False accepts unsigned answers and is for mocks only. `clock` is
    monotonic, in seconds.
    """

    def __init__(
        self,
        base_url: str,
        token: Callable[[], str],
        *,
        http: httpx.Client,
        default_process: str = ADMINISTRASJON,
        sign: bool = True,
        cache_seconds: float = _CACHE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._token = token
        self._http = http
        self._default_process = default_process
        self._sign = sign
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._cache: dict[str, _Kept] = {}
        self._keys: dict[str, jwt.PyJWK] = {}
        self._keys_until = 0.0
        self._lock = threading.Lock()
        self._keys_lock = threading.Lock()

    def find(self, orgnr: str, process: str | None = None) -> Recipient:
        """The record that decides (registry 1.7); see `ports.Addresses.find`."""
        self._check(orgnr)
        if process is None:
            document = self._document(f"/identifier/{orgnr}")
            record = _by_default(_records(document), self._default_process)
        else:
            document = self._document(f"/identifier/{orgnr}/process/{process}")
            record = _by_document_type(_records(document), process)
        if record is None:
            raise ReceiverUnknown(f"the registry has no usable record for {orgnr}")
        try:
            service = record["service"]
            level = service.get("securityLevel")
            return Recipient(
                orgnr=orgnr,
                name=_name(document),
                service=str(service["identifier"]),
                process=str(record["process"]),
                certificate_pem=_pem(record.get("pemCertificate")),
                security_level=None if level is None else int(level),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RegistryUnavailable(f"the record of {orgnr} cannot be read") from error

    def name(self, orgnr: str) -> str | None:
        """The organisation's name; None when it cannot be found. Never raises."""
        try:
            self._check(orgnr)
            with self._lock:
                kept = self._cache.get(f"/identifier/{orgnr}")
            if kept is not None and kept.until > self._clock():
                return _name(kept.document)
            return _name(self._document(f"/info/{orgnr}"))
        except GatewayError as error:
            _log.info("no name for %s: %s", orgnr, error.detail)
            return None

    def published_certificate(self, orgnr: str) -> str:
        """The certificate that others encrypt for `orgnr` with (``/virksert``), as PEM.

        Raises as `find` does.
        """
        self._check(orgnr)
        text = self._fetch(f"/virksert/{orgnr}", "application/jose, text/plain")
        pem = _pem(text.decode("ascii", "replace"))
        if pem is None:
            raise RegistryUnavailable(f"no certificate in the answer for {orgnr}")
        return pem

    # --- asking -------------------------------------------------------------------------

    def _check(self, orgnr: str) -> None:
        if not _ORGNR.fullmatch(orgnr):
            raise ReceiverUnknown("not an organisation number of nine digits")

    def _document(self, path: str) -> dict[str, Any]:
        now = self._clock()
        with self._lock:
            kept = self._cache.get(path)
        if kept is not None and kept.until > now:
            return kept.document
        content = self._fetch(path, "application/jose, application/json")
        try:
            document = Answer(200, httpx.Headers(), content).json()
        except ValueError as error:
            raise RegistryUnavailable(f"{path}: the answer is not JSON") from error
        if not isinstance(document, dict):
            raise RegistryUnavailable(f"{path}: the answer is not an object")
        with self._lock:
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[path] = _Kept(now + self._cache_seconds, document)
        return document

    def _fetch(self, path: str, accept: str) -> bytes:
        answer, token = self._ask(path, accept)
        if answer.status == 401 and (refused := getattr(self._token, "refused", None)):
            refused(token)
            answer, _ = self._ask(path, accept)
        if answer.status == 200:
            return self._verified(answer) if self._sign else _unsigned(answer)
        explanation = _explanation(answer)
        where = f"{path}: HTTP {answer.status}{explanation}"
        if answer.status == 404:
            raise ReceiverUnknown(where)
        if answer.status in (408, 429) or answer.status >= 500:
            raise RegistryUnavailable(where, retry_after=answer.retry_after)
        raise RegistryRefused(where)

    def _ask(self, path: str, accept: str) -> tuple[Answer, str]:
        token = self._token()
        if not self._sign:
            accept = accept.replace("application/jose, ", "")
        answer = call(
            self._http,
            "GET",
            self._base + path,
            unavailable=RegistryUnavailable,
            headers={"Accept": accept, "Authorization": f"Bearer {token}"},
        )
        return answer, token

    # --- signatures -----------------------------------------------------------------------

    def _verified(self, answer: Answer) -> bytes:
        """The payload of a JWS, RS256, signed with one of the registry's keys."""
        token = answer.content.strip()
        try:
            kid = str(jwt.get_unverified_header(token).get("kid"))
            verified = jwt.api_jws.decode_complete(token, self._key(kid).key, algorithms=["RS256"])
        except jwt.PyJWTError as error:
            raise RegistryRefused(
                f"the registry's signature is not valid ({type(error).__name__})"
            ) from error
        payload = verified["payload"]
        assert isinstance(payload, bytes)
        return payload

    def _key(self, kid: str) -> jwt.PyJWK:
        with self._keys_lock:
            now = self._clock()
            if kid not in self._keys or now >= self._keys_until:
                self._keys = self._published_keys()
                self._keys_until = now + _KEYS_SECONDS
            if kid not in self._keys:
                raise RegistryRefused("the answer is signed with a key that is not published")
            return self._keys[kid]

    def _published_keys(self) -> dict[str, jwt.PyJWK]:
        answer = call(
            self._http,
            "GET",
            f"{self._base}/jwk",
            unavailable=RegistryUnavailable,
            headers={"Accept": "application/json"},
        )
        if not answer.ok:
            raise RegistryUnavailable(f"/jwk: HTTP {answer.status}")
        try:
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
            raise RegistryUnavailable("/jwk: the keys cannot be read") from error
        return {key.key_id: key for key in keys if key.key_id is not None}


# --- reading records ------------------------------------------------------------------------


def _records(document: dict[str, Any]) -> list[dict[str, Any]]:
    records = document.get("serviceRecords") or []
    if not isinstance(records, list):
        raise RegistryUnavailable("serviceRecords is not a list")
    return [r for r in records if isinstance(r, dict) and isinstance(r.get("service"), dict)]


def _by_default(records: list[dict[str, Any]], process: str) -> dict[str, Any] | None:
    """First DPI, else the default process, else DPE: as the network's own client."""
    for wanted in (
        lambda r: r["service"].get("identifier") == "DPI",
        lambda r: r.get("process") == process,
        lambda r: r["service"].get("identifier") == "DPE",
    ):
        found = next(filter(wanted, records), None)
        if found is not None:
            return found
    return None


def _by_document_type(records: list[dict[str, Any]], process: str) -> dict[str, Any] | None:
    """The first record that accepts what the process carries.

    Response processes also carry statuses, whose type need not be listed (1.5).
    """
    response = process.endswith(":response:ver1.0")
    wanted = _KVITTERING if response else _AVTALT if ":avtalt:" in process else _ARKIVMELDING
    for record in records:
        accepted = record.get("documentTypes")
        if isinstance(accepted, list) and wanted in accepted:
            return record
    return records[0] if response and records else None


def _name(document: dict[str, Any]) -> str | None:
    information = document.get("infoRecord")
    name = information.get("organizationName") if isinstance(information, dict) else None
    return str(name) if name else None


def _pem(text: object) -> str | None:
    """PEM with clean lines; BEGIN and END are added when they are missing."""
    if not isinstance(text, str) or not text.strip():
        return None
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines[0].startswith("-----BEGIN"):
        lines = ["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----"]
    return "\n".join(lines) + "\n"


def _unsigned(answer: Answer) -> bytes:
    return answer.content


def _explanation(answer: Answer) -> str:
    """The registry's own words about an error, cut short."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    text = body.get("error_description") if isinstance(body, dict) else None
    return f", {str(text)[:300]}" if text else ""
