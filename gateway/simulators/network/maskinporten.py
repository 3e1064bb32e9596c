"""Maskinporten and Altinn's token exchange: who may call, and as whom.

Strict in what it checks (altinn-transport 1.2 and 5.2); error codes are the documented
``MP-nnn``.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from .authority import json_web_key, organisation_number
from .exchange import Refused, Reply, Request

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset({"altinn:broker.read", "altinn:broker.write", "eformidling:dpo"})
_CLAIMS = {"aud", "iss", "iat", "exp", "jti", "scope", "authorization_details", "nbf"}


@dataclass
class Client:
    """A registered integration."""

    client_id: str
    orgnr: str
    scopes: frozenset[str] = SCOPES
    keys: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)


@dataclass
class SystemUser:
    """The right of a client to act for `orgnr`."""

    client_id: str
    orgnr: str
    external_ref: str
    approved: bool = True
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Caller:
    """Who an access token speaks for."""

    orgnr: str
    scopes: frozenset[str]
    client_id: str
    system_user: str | None


def _refuse(code: str, text: str, error: str = "invalid_grant", status: int = 400) -> Refused:
    return Refused(
        Reply.json(
            {
                "error": error,
                "error_description": f"{text} ({code})",
                "error_uri": f"https://docs.example/{code}",
            },
            status,
        )
    )


class Maskinporten:
    """Clients, system users and tokens."""

    def __init__(self, key: rsa.RSAPrivateKey, base_url: str, authority: x509.Certificate) -> None:
        self._key = key
        self._authority = authority
        self._jwk = json_web_key(key.public_key())
        self.issuer = f"{base_url}/"
        self.altinn_issuer = f"{base_url}/authentication/api/v1/openid/"
        self.clients: dict[str, Client] = {}
        self.system_users: list[SystemUser] = []
        self.token_seconds = 120
        self.altinn_token_seconds = 1800
        self.grants = 0
        self._used: dict[str, float] = {}
        self._revoked: set[str] = set()
        self._issued: set[str] = set()
        self._lock = threading.Lock()

    # --- set-up ---------------------------------------------------------------------

    def add_system_user(
        self, client_id: str, orgnr: str, external_ref: str | None = None, approved: bool = True
    ) -> SystemUser:
        """Let the client act for `orgnr`; its reference is the orgnr unless given."""
        user = SystemUser(client_id, orgnr, external_ref or orgnr, approved)
        with self._lock:
            self.system_users.append(user)
        return user

    def withdraw(self, orgnr: str) -> None:
        """Every system user of the organisation loses its rights."""
        for user in self.system_users:
            if user.orgnr == orgnr:
                user.approved = False

    def expire_tokens(self) -> None:
        """Every token issued until now is expired."""
        with self._lock:
            self._revoked |= self._issued
            self._issued.clear()

    # --- POST /token ------------------------------------------------------------------

    def token(self, request: Request) -> Reply:
        """Exchange a signed grant for an access token."""
        media = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if media != "application/x-www-form-urlencoded":
            raise _refuse("MP-000", "Wrong content type", "invalid_request")
        form = parse_qs(request.body().decode("ascii", "replace"))
        if form.get("grant_type") != [GRANT_TYPE]:
            raise _refuse("MP-001", "Unsupported grant type", "unsupported_grant_type")
        if len(form.get("assertion", [])) != 1:
            raise _refuse("MP-002", "Missing assertion", "invalid_request")
        client, claims = self._verify(form["assertion"][0])
        request.client_id = client.client_id
        scope = self._scope(client, claims)
        now = int(time.time())
        access = {
            "iss": self.issuer,
            "client_id": client.client_id,
            "client_amr": "virksomhetssertifikat",
            "consumer": {"authority": "iso6523-actorid-upis", "ID": f"0192:{client.orgnr}"},
            "scope": scope,
            "token_type": "Bearer",
            "iat": now,
            "exp": now + self.token_seconds,
            "jti": str(uuid.uuid4()),
        }
        if "authorization_details" in claims:
            user = self._system_user(client, claims["authorization_details"])
            request.caller = user.orgnr
            access["authorization_details"] = [
                {
                    "type": "urn:altinn:systemuser",
                    "systemuser_id": [user.id],
                    "systemuser_org": {
                        "authority": "iso6523-actorid-upis",
                        "ID": f"0192:{user.orgnr}",
                    },
                    "system_id": f"{client.orgnr}_simulated",
                }
            ]
        else:
            request.caller = client.orgnr
        with self._lock:
            self.grants += 1
        return Reply.json(
            {
                "access_token": self._sign(access),
                "token_type": "Bearer",
                "expires_in": self.token_seconds,
                "scope": scope,
            }
        )

    def _verify(self, assertion: str) -> tuple[Client, dict[str, Any]]:
        try:
            header = jwt.get_unverified_header(assertion)
            unverified = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.PyJWTError as error:
            raise _refuse("MP-124", "Invalid assertion") from error
        client = self.clients.get(str(unverified.get("iss")))
        if client is None:
            raise _refuse("MP-100", "Unknown client", "invalid_client", 401)
        if header.get("alg") not in ("RS256", "RS384", "RS512"):
            raise _refuse("MP-124", "Algorithm not allowed")
        if ("kid" in header) == ("x5c" in header):
            raise _refuse("MP-123", "Exactly one of kid and x5c is needed")
        key = (
            self._registered(client, header) if "kid" in header else self._certified(client, header)
        )
        if unverified.get("aud") != self.issuer:
            raise _refuse("MP-110", f"Audience must be {self.issuer}")
        if unknown := set(unverified) - _CLAIMS:
            raise _refuse("MP-124", f"Invalid assertion: unexpected {sorted(unknown)}")
        try:
            claims = jwt.decode(
                assertion,
                key,
                algorithms=[header["alg"]],
                audience=self.issuer,
                leeway=10,
                options={"require": ["exp", "iat", "iss", "aud", "jti"], "verify_iat": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise _refuse("MP-130", "The grant has expired") from error
        except jwt.PyJWTError as error:
            raise _refuse("MP-124", "The signature or claims are not valid") from error
        now = time.time()
        if not isinstance(claims["iat"], int | float) or abs(claims["iat"] - now) > 10:
            raise _refuse("MP-130", "iat is too far from the clock")
        if not 0 < claims["exp"] - claims["iat"] <= 120:
            raise _refuse("MP-130", "The grant may live for 120 seconds at most")
        with self._lock:
            self._used = {jti: end for jti, end in self._used.items() if end > now - 20}
            if claims["jti"] in self._used:
                raise _refuse("MP-012", "The grant has been used")
            self._used[claims["jti"]] = claims["exp"]
        return client, claims

    def _certified(self, client: Client, header: dict[str, Any]) -> rsa.RSAPublicKey:
        chain = header["x5c"]
        if not isinstance(chain, list) or not chain:
            raise _refuse("MP-123", "x5c must be an array of certificates")
        try:
            certificates = [
                x509.load_der_x509_certificate(base64.b64decode(item, validate=True))
                for item in chain
            ]
        except (ValueError, TypeError, binascii.Error) as error:
            raise _refuse("MP-123", "x5c must hold base64 of DER") from error
        leaf = certificates[0]
        try:
            leaf.verify_directly_issued_by(self._authority)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise _refuse("MP-120", "The certificate's issuer is not trusted") from error
        now = time.time()
        start, end = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        if not start <= now <= end:
            raise _refuse("MP-120", "The certificate is not valid now")
        if organisation_number(leaf) != client.orgnr:
            raise _refuse("MP-122", "The certificate belongs to another organisation")
        key = leaf.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise _refuse("MP-120", "The certificate's key is not RSA")
        return key

    def _registered(self, client: Client, header: dict[str, Any]) -> rsa.RSAPublicKey:
        if header["kid"] not in client.keys:
            raise _refuse("MP-121", "The key is not registered or has expired")
        return client.keys[header["kid"]]

    def _scope(self, client: Client, claims: dict[str, Any]) -> str:
        scopes = str(claims.get("scope", "")).split()
        if not scopes:
            raise _refuse("MP-200", "No scope", "invalid_scope")
        if missing := [scope for scope in scopes if scope not in client.scopes]:
            raise _refuse("MP-201", f"Not allowed: {' '.join(missing)}", "invalid_scope")
        return " ".join(scopes)

    def _system_user(self, client: Client, details: Any) -> SystemUser:
        try:
            (detail,) = details
            if detail["type"] != "urn:altinn:systemuser":
                raise ValueError(detail["type"])
            if detail["systemuser_org"]["authority"] != "iso6523-actorid-upis":
                raise ValueError(detail["systemuser_org"]["authority"])
            orgnr = str(detail["systemuser_org"]["ID"]).removeprefix("0192:")
            reference = detail.get("externalRef", orgnr)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise _refuse("MP-301", "authorization_details is not understood") from error
        for user in self.system_users:
            if (user.client_id, user.orgnr, user.external_ref) == (
                client.client_id,
                orgnr,
                reference,
            ):
                if not user.approved:
                    raise _refuse("MP-302", f"The system user of {orgnr} is not approved")
                return user
        raise _refuse("MP-301", f"There is no system user of {orgnr} with that reference")

    # --- the exchange -------------------------------------------------------------------

    def exchange(self, request: Request) -> Reply:
        """GET: a Maskinporten token becomes an Altinn token (altinn-transport 1.2.4)."""
        claims = self._claims(request, leeway=10)
        if claims is None or claims["iss"] != self.issuer:
            raise Refused(Reply.empty(401))
        consumer = str(claims["consumer"]["ID"]).removeprefix("0192:")
        request.caller = consumer
        now = int(time.time())
        for dropped in ("aud", "client_amr"):
            claims.pop(dropped, None)
        claims |= {
            "iss": self.altinn_issuer,
            "sid": str(uuid.uuid4()),
            "jti": str(uuid.uuid4()),
            "urn:altinn:orgNumber": consumer,
            "urn:altinn:authenticatemethod": "maskinporten",
            "urn:altinn:authlevel": 3,
            "iat": now,
            "exp": now + self.altinn_token_seconds,
        }
        token = self._sign(claims)
        if "application/json" in request.headers.get("Accept", ""):
            return Reply.json(token)
        return Reply.text(token)

    # --- checking tokens ------------------------------------------------------------------

    def caller(self, request: Request) -> Caller:
        """Whom the bearer token speaks for; both token kinds (altinn-transport 1.2.5).

        Refuses with 401 without a body when there is no valid token.
        """
        claims = self._claims(request)
        if claims is None:
            raise Refused(
                Reply(401, b"", None, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
            )
        details = (claims.get("authorization_details") or [{}])[0]
        identifier = (
            details.get("systemuser_org", {}).get("ID")
            or claims.get("urn:altinn:orgNumber")
            or claims["consumer"]["ID"]
        )
        user = (details.get("systemuser_id") or [None])[0]
        caller = Caller(
            str(identifier).split(":")[-1],
            frozenset(claims.get("scope", "").split()),
            claims["client_id"],
            user,
        )
        request.caller = caller.orgnr
        request.client_id = caller.client_id
        return caller

    def approved(self, caller: Caller) -> bool:
        """Whether the system user still has its rights."""
        return any(u.id == caller.system_user and u.approved for u in self.system_users)

    def _claims(self, request: Request, leeway: int = 0) -> dict[str, Any] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims: dict[str, Any] = jwt.decode(
                token.strip(),
                self._key.public_key(),
                algorithms=["RS256"],
                leeway=leeway,
                options={"require": ["exp", "iss", "jti"], "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        if claims["iss"] not in (self.issuer, self.altinn_issuer):
            return None
        return None if claims["jti"] in self._revoked else claims

    def _sign(self, claims: dict[str, Any]) -> str:
        with self._lock:
            self._issued.add(claims["jti"])
        return jwt.encode(claims, self._key, "RS256", headers={"kid": self._jwk["kid"]})

    # --- metadata ---------------------------------------------------------------------------

    def metadata(self, request: Request) -> Reply:
        """GET /.well-known/oauth-authorization-server."""
        return Reply.json(
            {
                "issuer": self.issuer,
                "token_endpoint": f"{self.issuer}token",
                "jwks_uri": f"{self.issuer}jwks",
                "grant_types_supported": [GRANT_TYPE],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["RS256", "RS384", "RS512"],
            }
        )

    def jwks(self, request: Request) -> Reply:
        """GET /jwks."""
        return Reply.json({"keys": [self._jwk]})
