"""Calls the simulated network as the specification says, without any of the gateway."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.simulators.network import Network

ANNE, BERIT = "991825827", "974760673"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = "altinn:broker.read altinn:broker.write"


class Caller:
    """One organisation with a system-user token."""

    def __init__(self, network: Network, orgnr: str) -> None:
        self.network = network
        self.organisation = network.organisations[orgnr]
        self.http = httpx.Client(timeout=10, trust_env=False)
        self.token = self.altinn_token()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    # --- tokens -----------------------------------------------------------------------

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "aud": self.network.environment.audience,
            "iss": self.organisation.client_id,
            "iat": now,
            "exp": now + 120,
            "jti": str(uuid.uuid4()),
            "scope": SCOPES,
            "authorization_details": [
                {
                    "type": "urn:altinn:systemuser",
                    "systemuser_org": {
                        "authority": "iso6523-actorid-upis",
                        "ID": f"0192:{self.organisation.orgnr}",
                    },
                    "externalRef": self.organisation.external_ref,
                }
            ],
        }
        claims |= changes
        return {name: value for name, value in claims.items() if value is not None}

    def grant(self, claims: dict[str, Any], **header: Any) -> httpx.Response:
        if not header:
            der = self.organisation.certificate.public_bytes(Encoding.DER)
            header = {"x5c": [base64.b64encode(der).decode()]}
        header = {name: value for name, value in header.items() if value is not None}
        assertion = jwt.encode(claims, self.organisation.private_key, "RS256", headers=header)
        return self.http.post(
            self.network.environment.token_endpoint,
            data={"grant_type": GRANT, "assertion": assertion},
        )

    def maskinporten_token(self, **changes: Any) -> str:
        answer = self.grant(self.claims(**changes))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def altinn_token(self, **changes: Any) -> str:
        answer = self.http.get(
            self.network.environment.exchange,
            headers={"Authorization": f"Bearer {self.maskinporten_token(**changes)}"},
        )
        assert answer.status_code == 200
        return answer.text

    # --- the broker -----------------------------------------------------------------------

    def call(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        url = f"{self.network.environment.broker}/filetransfer{path}"
        return self.http.request(method, url, headers=headers, **options)

    def body(self, **changes: Any) -> dict[str, Any]:
        other = BERIT if self.organisation.orgnr == ANNE else ANNE
        body = {
            "fileName": "sbd.zip",
            "resourceId": self.network.environment.resource,
            "sendersFileTransferReference": str(uuid.uuid4()),
            "sender": f"0192:{self.organisation.orgnr}",
            "recipients": [f"0192:{other}"],
            "propertyList": {},
        }
        body |= changes
        return {name: value for name, value in body.items() if value is not ...}

    def initialize(self, **changes: Any) -> str:
        answer = self.call("POST", json=self.body(**changes))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["fileTransferId"])

    def upload(self, identifier: str, data: Any = b"data", **headers: str) -> httpx.Response:
        headers = {"Content-Type": "application/octet-stream", **headers}
        return self.call("POST", f"/{identifier}/upload", content=data, headers=headers)

    def send(self, data: bytes = b"data", **changes: Any) -> str:
        identifier = self.initialize(**changes)
        answer = self.upload(identifier, data)
        assert answer.status_code == 200, answer.text
        return identifier

    def overview(self, identifier: str) -> dict[str, Any]:
        answer = self.call("GET", f"/{identifier}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def list(self, **query: str) -> list[str]:
        parameters = {"resourceId": self.network.environment.resource, **query}
        answer = self.call("GET", params=parameters)
        assert answer.status_code == 200, answer.text
        found: list[str] = answer.json()
        return found

    def download(self, identifier: str, **headers: str) -> httpx.Response:
        return self.call("GET", f"/{identifier}/download", headers=headers)

    def confirm(self, identifier: str) -> httpx.Response:
        return self.call("POST", f"/{identifier}/confirmdownload")


def code(answer: httpx.Response) -> tuple[int, str | None]:
    """Status and broker code."""
    return answer.status_code, answer.json().get("code") if answer.content else None
