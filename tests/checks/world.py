"""One organisation with settings, a simulated network and an archive, for `check` and `echo`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from gateway.checks import Finding, Grade, run_checks
from gateway.settings import Settings, load_settings
from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.network import Network, Organisation, SystemUser
from gateway.simulators.network.authority import Authority, new_key, write_keystore

ORGNR = "910077473"
OK, FAIL, WARN, SKIP = Grade.OK, Grade.FAIL, Grade.WARN, Grade.SKIP
LOGINS = {
    "Basic": {"auth": "basic", "username": "arkiv", "password": "Hemmelig æ"},
    "NTLM": {"auth": "ntlm", "username": "arkiv", "password": "Hemmelig1", "domain": "SAK"},
    "Negotiate": {
        "auth": "negotiate",
        "username": "arkiv",
        "password": "Hemmelig1",
        "domain": "SAK",
    },
}
"""How the archive lets us in, by scheme."""


@dataclass
class World:
    """`values` become gateway.toml: section → its keys, or a list of such."""

    folder: Path
    network: Network
    archive: SimulatedArchive
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> Organisation:
        return self.network.organisations[ORGNR]

    @property
    def config(self) -> Path:
        path = self.folder / "gateway.toml"
        lines = [f"{section} = {_toml(value)}\n" for section, value in self.values.items()]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def set(self, **sections: dict[str, Any]) -> None:
        for name, keys in sections.items():
            self.values.setdefault(name, {}).update(keys)

    def serve(self, orgnr: str, name: str, archive: str | None = None) -> SystemUser:
        """Act for another organisation too, with an archive of its own at that address."""
        user = self.network.add_customer(self.own, orgnr, name)
        served: dict[str, Any] = {"orgnr": orgnr, "system_user": user.external_ref}
        if archive is not None:
            served["archive"] = {"dialect": "ephorte", "url": archive}
        self.values.setdefault("on_behalf_of", []).append(served)
        return user

    def settings(self) -> Settings:
        return load_settings(self.config, {})

    def check(self) -> list[Finding]:
        return list(run_checks(self.config, {}, timeout=5.0))

    def use_certificate(self, *, since_days: int, for_days: int) -> x509.Certificate:
        """A new key whose certificate was issued `since_days` ago, as our keystore."""
        key, now = new_key(), datetime.now(UTC)
        certificate = Authority(self.network.folder, f"{self.network.url}/crl").issue(
            self.own.name,
            ORGNR,
            key,
            not_before=now - timedelta(days=since_days),
            not_after=now + timedelta(days=for_days, hours=1),
        )
        write_keystore(self.folder / "other.p12", key, certificate, self.own.chain)
        self.set(organisation={"keystore": str(self.folder / "other.p12")})
        return certificate


def _toml(value: Any) -> str:
    """Tables and lists inline; JSON's texts, numbers and truths are TOML's too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def not_well(findings: list[Finding]) -> dict[str, Grade]:
    """The lines that need a person; all others are OK, or say why they were not tried."""
    for one in findings:
        if one.grade is Grade.SKIP:
            assert one.seen.startswith("not tried because "), one
    return {one.name: one.grade for one in findings if one.grade in (Grade.WARN, Grade.FAIL)}


def line(findings: list[Finding], name: str) -> Finding:
    (found,) = [one for one in findings if one.name == name]
    return found
