"""Access tokens: signed grant → Maskinporten → Altinn, cached per acting organisation.

altinn-transport 1.2. Keys, grants and tokens appear in no repr and no log line.
"""

from __future__ import annotations

import base64
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import ConfigurationError, TokenRefused, TokenUnavailable
from gateway.http import Answer, call
from gateway.package.identity import Identity

_log = logging.getLogger(__name__)

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GRANT_SECONDS = 120
_MP_CODE = re.compile(r"\bMP-\d{3}\b")

_MEANINGS = {
    "MP-012": "the grant was used before",
    "MP-100": "the client id is unknown",
    "MP-110": "the audience is not the issuer's identifier",
    "MP-120": "the certificate is not accepted",
    "MP-121": "the registered key has expired: register a new one on the client",
    "MP-122": "the certificate belongs to another organisation than the client",
    "MP-123": "the certificate chain has the wrong form",
    "MP-124": "the grant's signature or claims are not accepted",
    "MP-130": "the grant has expired: check this machine's clock",
    "MP-200": "the client has none of the scopes",
    "MP-201": "a scope is not granted to the client",
}


@dataclass(frozen=True, slots=True)
class SystemUser:
    """The system user that acts for an organisation at Altinn."""

    orgnr: str
    external_ref: str | None = None


@dataclass(slots=True)
class _Cached:
    token: str = field(repr=False)
    expires: float
    life: float


@dataclass(slots=True)
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    cached: _Cached | None = None


class Access:
    """The tokens of one purpose: call it for a token that is valid now."""

    def __init__(
        self,
        source: TokenSource,
        scopes: frozenset[str],
        system_user: SystemUser | None,
        exchanged: bool,
    ) -> None:
        self._source = source
        self._key = (scopes, system_user, exchanged)

    def __call__(self) -> str:
        """A token. Raises `TokenRefused` or `TokenUnavailable`."""
        return self._source.token(*self._key)

    def refused(self, token: str) -> None:
        """The service did not accept `token`: forget it."""
        self._source.drop(token, *self._key)


class TokenSource:
    """Tokens for one Maskinporten client.

    The grant is signed with `identity`'s key and carries its certificates (``x5c``), or
    the id of a key registered on the client when `key_id` is given. `exchange` is the
    address of Altinn's token exchange, needed only for exchanged tokens. Times are
    seconds; `clock` gives Unix time. Threads may share it: one fetch at a time per key.
    """

    def __init__(
        self,
        *,
        token_endpoint: str,
        audience: str,
        client_id: str,
        identity: Identity,
        http: httpx.Client,
        exchange: str | None = None,
        key_id: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.client_id = client_id
        self._token_endpoint = token_endpoint
        self._audience = audience
        self._exchange = exchange
        self._identity = identity
        self._key_id = key_id
        self._http = http
        self._clock = clock
        self._slots: dict[tuple[frozenset[str], SystemUser | None, bool], _Slot] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenSource(client_id={self.client_id!r})"

    def access(
        self, scopes: Iterable[str], system_user: SystemUser | None = None, *, exchanged: bool
    ) -> Access:
        """Tokens with these scopes, acting as `system_user`."""
        return Access(self, frozenset(scopes), system_user, exchanged)

    def token(self, scopes: frozenset[str], system_user: SystemUser | None, exchanged: bool) -> str:
        """A token with enough life left, fetched when there is none.

        Raises `TokenRefused` when a person must do something, `TokenUnavailable` when
        trying later may help.
        """
        slot = self._slot(scopes, system_user, exchanged)
        with slot.lock:
            cached = slot.cached
            if cached is None or cached.expires - self._clock() < _margin(cached.life):
                slot.cached = cached = self._fetch(scopes, system_user, exchanged)
            return cached.token

    def drop(
        self, token: str, scopes: frozenset[str], system_user: SystemUser | None, exchanged: bool
    ) -> None:
        """Forget `token` if it still is the cached one."""
        slot = self._slot(scopes, system_user, exchanged)
        with slot.lock:
            if slot.cached is not None and slot.cached.token == token:
                slot.cached = None

    def _slot(
        self, scopes: frozenset[str], system_user: SystemUser | None, exchanged: bool
    ) -> _Slot:
        with self._lock:
            return self._slots.setdefault((scopes, system_user, exchanged), _Slot())

    # --- fetching ---------------------------------------------------------------------

    def _fetch(
        self, scopes: frozenset[str], system_user: SystemUser | None, exchanged: bool
    ) -> _Cached:
        answer = self._ask(scopes, system_user)
        if "MP-012" in _codes(answer):  # our jti met an older one: a fresh grant helps
            answer = self._ask(scopes, system_user)
        if not answer.ok:
            raise _refusal(answer, system_user)
        try:
            body = answer.json()
            token, life = str(body["access_token"]), float(body["expires_in"])
        except (ValueError, KeyError, TypeError) as error:
            raise TokenUnavailable("Maskinporten's answer holds no token") from error
        if exchanged:
            token = self._exchanged(token)
            life = _life(token, self._clock())
        _log.debug("new token for %s, valid for %.0f s", self.client_id, life)
        return _Cached(token, self._clock() + life, life)

    def _ask(self, scopes: frozenset[str], system_user: SystemUser | None) -> Answer:
        return call(
            self._http,
            "POST",
            self._token_endpoint,
            unavailable=TokenUnavailable,
            headers={"Accept": "application/json"},
            form={"grant_type": _GRANT_TYPE, "assertion": self._grant(scopes, system_user)},
        )

    def _grant(self, scopes: frozenset[str], system_user: SystemUser | None) -> str:
        now = int(self._clock())
        claims: dict[str, Any] = {
            "aud": self._audience,
            "iss": self.client_id,
            "iat": now,
            "exp": now + _GRANT_SECONDS,
            "jti": str(uuid.uuid4()),
            "scope": " ".join(sorted(scopes)),
        }
        if system_user is not None:
            detail: dict[str, Any] = {
                "type": "urn:altinn:systemuser",
                "systemuser_org": {
                    "authority": "iso6523-actorid-upis",
                    "ID": f"0192:{system_user.orgnr}",
                },
            }
            if system_user.external_ref:
                detail["externalRef"] = system_user.external_ref
            claims["authorization_details"] = [detail]
        header: dict[str, Any]
        if self._key_id is not None:
            header = {"kid": self._key_id}
        else:
            chain = (self._identity.certificate, *self._identity.chain)
            header = {
                "x5c": [
                    base64.b64encode(item.public_bytes(Encoding.DER)).decode("ascii")
                    for item in chain
                ]
            }
        return jwt.encode(claims, self._identity.private_key, algorithm="RS256", headers=header)

    def _exchanged(self, token: str) -> str:
        if self._exchange is None:
            raise ConfigurationError("the address of Altinn's token exchange is missing")
        answer = call(
            self._http,
            "GET",
            self._exchange,
            unavailable=TokenUnavailable,
            headers={"Authorization": f"Bearer {token}"},
        )
        if not answer.ok:
            # 401 is also Altinn's answer to its own inner failures (1.2.4).
            raise TokenUnavailable(
                f"Altinn's token exchange answered HTTP {answer.status}",
                retry_after=answer.retry_after,
            )
        return answer.text.strip().strip('"')


def _margin(life: float) -> float:
    """A token is renewed when less than this many seconds remain (1.2.7).

    120 s for Altinn tokens; raw Maskinporten tokens live no longer than that, so they
    are renewed a tenth of their life before their end.
    """
    return max(120.0, life / 10) if life > 240 else max(10.0, life / 10)


def _life(token: str, now: float) -> float:
    """Seconds that a JWT is still valid; ten when it does not say."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return float(claims["exp"]) - now
    except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
        raise TokenUnavailable("Altinn's token exchange did not answer with a token") from error


def _codes(answer: Answer) -> list[str]:
    return [] if answer.ok else _MP_CODE.findall(answer.text)


def _refusal(answer: Answer, system_user: SystemUser | None) -> Exception:
    """What an unsuccessful answer of Maskinporten means (1.2.2)."""
    where = f"Maskinporten answered HTTP {answer.status}"
    codes = _codes(answer)
    code = codes[0] if codes else ""
    if answer.status >= 500 or answer.status in (408, 429) or code == "MP-012":
        return TokenUnavailable(where, retry_after=answer.retry_after)
    try:
        body = answer.json()
        word = str(body.get("error", "")) if isinstance(body, dict) else ""
    except ValueError:
        word = ""
    if code.startswith("MP-3"):
        acting = "none" if system_user is None else f"{system_user.orgnr} with externalRef "
        if system_user is not None:
            acting += repr(system_user.external_ref)
        meaning = f"system user {acting} is missing or not approved"
    else:
        meaning = _MEANINGS.get(code, "see its documentation")
    return TokenRefused(f"{where}, {code or word or 'no code'}: {meaning}")
