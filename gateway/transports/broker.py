"""Single calls of Altinn 3 Broker, and what its answers mean (altinn-transport 1.5, 1.8).

What the calls are used for is in `altinn3`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from gateway.errors import (
    CannotHandle,
    ConfigurationError,
    GatewayError,
    NetworkAccessDenied,
    NetworkRefused,
    NetworkUnavailable,
    ReceiverNotOnNetwork,
    TooLarge,
    TransferFailed,
    TransferUnclear,
)
from gateway.http import Answer, call, explain, retry_after
from gateway.model import Content
from gateway.tokens import Access, SystemUser, TokenSource
from gateway.transports.pace import Pace

_log = logging.getLogger(__name__)

SCOPES = ("altinn:broker.read", "altinn:broker.write")
_CHUNK = 1 << 16
_UPLOAD = httpx.Timeout(connect=5.0, write=60.0, read=300.0, pool=30.0)
_DOWNLOAD = httpx.Timeout(connect=5.0, write=30.0, read=60.0, pool=30.0)
_THROTTLED = 45.0
"""Seconds to wait after a 429 that does not say how long."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What the broker says of one transfer. Unknown members are ignored, and every value
    may be missing."""

    status: str
    text: str
    changed: datetime | None
    created: datetime | None
    published: datetime | None
    sender: str
    reference: str | None
    checksum: str | None
    size: int | None
    recipients: Mapping[str, str]
    """Status by organisation number."""


class Refusal(Exception):
    """An answer that is not 2xx, with what is needed to decide on it."""

    def __init__(self, operation: str, status: int, code: str, detail: str) -> None:
        super().__init__(f"{operation}: HTTP {status} {code} {detail}".strip())
        self.operation = operation
        self.status = status
        self.code = code
        self.retry_after: float | None = None


class BrokerCalls:
    """The broker's operations for the organisations that we act for.

    `parties` maps organisation numbers to the external reference of their system user
    (None when none was set). Each method raises `Refusal` for an answer that is not 2xx,
    `NetworkUnavailable` when there is none, and what tokens raise.
    """

    def __init__(
        self,
        base_url: str,
        tokens: TokenSource,
        parties: Mapping[str, str | None],
        *,
        http: httpx.Client,
        pace: Pace,
    ) -> None:
        self._base = f"{base_url.rstrip('/')}/filetransfer"
        self._http = http
        self._pace = pace
        self._access: dict[str, Access] = {
            orgnr: tokens.access(SCOPES, SystemUser(orgnr, reference), exchanged=True)
            for orgnr, reference in parties.items()
        }

    @property
    def parties(self) -> frozenset[str]:
        """The organisations that we act for."""
        return frozenset(self._access)

    def initialize(self, party: str, body: Mapping[str, object]) -> str:
        """Announce a transfer; its id."""
        answer = self._json("initialize", party, "POST", self._base, body=body)
        try:
            return str(answer.json()["fileTransferId"])
        except (ValueError, KeyError, TypeError) as error:
            raise NetworkUnavailable("initialize: the answer holds no id") from error

    def overview(self, party: str, transfer_id: str, *, patience: float | None = None) -> Overview:
        """One transfer as it stands."""
        answer = self._json(
            "overview", party, "GET", f"{self._base}/{transfer_id}", patience=patience
        )
        return _overview(answer)

    def list(
        self, party: str, query: Mapping[str, str], *, patience: float | None = None
    ) -> list[str]:
        """Ids of transfers, 100 at most."""
        answer = self._json("list", party, "GET", self._base, query=query, patience=patience)
        try:
            found = answer.json()
        except ValueError as error:
            raise NetworkUnavailable("list: the answer is not JSON") from error
        if not isinstance(found, list):
            raise NetworkUnavailable("list: the answer is not a list")
        return [str(item) for item in found]

    def confirm(self, party: str, transfer_id: str) -> None:
        """Say that the download is safe with us."""
        self._json("confirm", party, "POST", f"{self._base}/{transfer_id}/confirmdownload")

    def upload(self, party: str, transfer_id: str, content: Content) -> None:
        """Send the bytes as a stream of known length.

        Raises `TransferUnclear` when the connection failed after it stood.
        """
        url = f"{self._base}/{transfer_id}/upload"
        for access, token in self._attempts(party):
            self._pace.take("upload")
            headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Content-Type": "application/octet-stream",
                "Content-Length": str(content.size),
            }
            try:
                response = self._http.post(
                    url, content=_stream(content), headers=headers, timeout=_UPLOAD
                )
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                raise NetworkUnavailable(f"upload: {explain(error)}") from error
            except httpx.HTTPError as error:
                raise TransferUnclear(f"upload: {explain(error)}") from error
            answer = Answer(response.status_code, response.headers, response.content)
            if answer.ok:
                return
            if not _stale_token(answer):
                break
            access.refused(token)
        raise self._refusal("upload", answer)

    @contextmanager
    def download(
        self, party: str, transfer_id: str, start: int = 0, end: int | None = None
    ) -> Iterator[httpx.Response]:
        """The response whose body is the file, from byte `start`; read with iter_raw.

        Trouble with the connection is raised as httpx's errors.
        """
        url = f"{self._base}/{transfer_id}/download"
        for access, token in self._attempts(party):
            self._pace.take("download")
            headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
            if start or end is not None:
                headers["Range"] = f"bytes={start}-{'' if end is None else end}"
            request = self._http.build_request("GET", url, headers=headers, timeout=_DOWNLOAD)
            response = self._http.send(request, stream=True)
            try:
                if response.is_success:
                    yield response
                    return
                content = response.read()
            finally:
                response.close()
            answer = Answer(response.status_code, response.headers, content)
            if not _stale_token(answer):
                break
            access.refused(token)
        raise self._refusal("download", answer)

    # --- one exchange ---------------------------------------------------------------------

    def _attempts(self, party: str) -> Iterator[tuple[Access, str]]:
        """A token, and once more a fresh one when the first was not accepted (1.2.7)."""
        access = self._access.get(party)
        if access is None:
            raise ConfigurationError(f"no system user is configured for {party}")
        yield access, access()
        yield access, access()

    def _json(
        self,
        operation: str,
        party: str,
        method: str,
        url: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> Answer:
        for access, token in self._attempts(party):
            self._pace.take(operation, patience=patience)
            answer = call(
                self._http,
                method,
                url,
                unavailable=NetworkUnavailable,
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                params=query,
                json_body=body,
            )
            if answer.ok:
                return answer
            if not _stale_token(answer):
                break
            access.refused(token)
        raise self._refusal(operation, answer)

    def _refusal(self, operation: str, answer: Answer) -> Refusal:
        code, detail = _problem(answer)
        refusal = Refusal(operation, answer.status, code, detail)
        refusal.retry_after = retry_after(answer.headers)
        if answer.status == 429:
            refusal.retry_after = refusal.retry_after or _THROTTLED
            self._pace.close(operation, refusal.retry_after)
        _log.debug("broker refused: %s", refusal)
        return refusal


def meaning(refusal: Refusal) -> GatewayError:
    """The error for an answer that has no special meaning to the operation (6.1)."""
    detail, status, code = str(refusal), refusal.status, refusal.code
    if code in ("BRO-00008", "BRO-00009", "BRO-00001"):
        return TransferFailed(detail)
    if status in (401, 408, 429) or status >= 500:
        if code == "BRO-00006":
            return NetworkAccessDenied(detail)
        return NetworkUnavailable(detail, retry_after=refusal.retry_after)
    if status == 403 and not code:
        return NetworkAccessDenied(detail)
    if code == "BRO-00016":
        return TooLarge(detail)
    if code == "BRO-00028":
        return ReceiverNotOnNetwork(detail)
    if code in ("BRO-00026", "BRO-00027"):
        return CannotHandle(detail)
    if status == 400 and not code:
        # Field rules: the same call can never succeed.
        return CannotHandle(detail, explanation="Meldingsnettverket godtok ikke forsendelsen.")
    return NetworkRefused(detail)


def _stale_token(answer: Answer) -> bool:
    """401 without a broker code is about the token; with one, about rights (0.8)."""
    return answer.status == 401 and not _problem(answer)[0]


def _problem(answer: Answer) -> tuple[str, str]:
    """Code and explanation, decided by parsing: media types cannot be relied upon."""
    try:
        body = answer.json()
    except ValueError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    code = body.get("code")
    errors = body.get("errors")
    detail = str(body.get("detail") or body.get("title") or body.get("message") or "")
    if isinstance(errors, dict):
        detail = f"not accepted: {', '.join(map(str, errors))}"
    if trace := body.get("traceId"):
        detail = f"{detail[:300]} (trace {str(trace)[:80]})"
    return (code if isinstance(code, str) else ""), detail[:400]


def _stream(content: Content) -> Iterator[bytes]:
    with content.open() as source:
        while piece := source.read(_CHUNK):
            yield piece


def _overview(answer: Answer) -> Overview:
    try:
        body = answer.json()
    except ValueError as error:
        raise NetworkUnavailable("overview: the answer is not JSON") from error
    if not isinstance(body, dict):
        raise NetworkUnavailable("overview: the answer is not an object")
    size = body.get("fileTransferSize")
    return Overview(
        status=str(body.get("fileTransferStatus") or ""),
        text=str(body.get("fileTransferStatusText") or ""),
        changed=moment(body.get("fileTransferStatusChanged")),
        created=moment(body.get("created")),
        published=moment(body.get("published")),
        sender=_orgnr(body.get("sender")),
        reference=_text(body.get("sendersFileTransferReference")),
        checksum=_text(body.get("checksum")),
        size=size if isinstance(size, int) and size > 0 else None,
        recipients={
            _orgnr(item.get("recipient")): str(
                item.get("currentRecipientFileTransferStatusCode") or ""
            )
            for item in _objects(body.get("recipients"))
        },
    )


def moment(value: object) -> datetime | None:
    """A timestamp; UTC when it names no offset, None when it cannot be read.

    .NET's "no time" (year 1) is none either.
    """
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    if not 1970 <= parsed.year < 9999:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _orgnr(value: object) -> str:
    """The number of ``0192:ddddddddd`` or of the URN form."""
    return str(value or "").rpartition(":")[2]


def _text(value: object) -> str | None:
    return str(value) if value else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
