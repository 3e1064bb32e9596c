"""The settings of one gateway: a TOML file, secrets from files or the environment.

Errors are collected and reported together, each with the key that is wrong. Every key
is described in `docs/settings.md`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from gateway.errors import ConfigurationError

DEFAULT_PROCESS = "urn:no:difi:profile:arkivmelding:administrasjon:ver1.0"
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whom the gateway speaks for, and the key that proves it."""

    orgnr: str
    keystore: Path
    keystore_password: str = field(repr=False)
    keystore_alias: str | None = None


@dataclass(frozen=True, slots=True)
class Listen:
    """The address that the archive calls."""

    host: str = "127.0.0.1"
    port: int = 9093
    public_url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    max_request_bytes: int = 2 * GIB


@dataclass(frozen=True, slots=True)
class ArchiveSystem:
    """The archive that gets the letters; dialect ``mail`` needs no `url` but `Mail`."""

    dialect: str
    url: str = ""
    auth: str = "none"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    domain: str | None = None
    soap_action: str | None = None
    timeout: float = 300.0
    connect_timeout: float = 10.0
    ca_file: Path | None = None
    proxy: str | None = None
    appreceipt_parties: str | None = None
    return_ok_on_empty_payload: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    """The mailbox of dialect ``mail``; `receivers` are comma-separated addresses."""

    host: str
    sender: str
    receivers: str
    port: int = 587
    security: str = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout: float = 60.0
    max_size: int | None = None
    overflow_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """eFormidling: where it is and who we are there.

    Transport ``directory`` needs no Altinn but a folder, and with a file of `addresses`
    no registry and no tokens either.
    """

    token_url: str = ""
    token_audience: str = ""
    exchange_url: str = ""
    broker_url: str = ""
    registry_url: str = ""
    client_id: str = ""
    resource: str = "eformidling-dpo-meldingsutveksling"
    system_user: str | None = None
    registry_scopes: str = "eformidling:dpo"
    registry_signed: bool = True
    poll_seconds: float = 15.0
    channel: str | None = None
    rate_limits: bool = True
    transport: str = "altinn3"
    directory: Path | None = None
    addresses: Path | None = None


@dataclass(frozen=True, slots=True)
class TrustedSigners:
    """Whose signatures are accepted; nothing is checked without `certificates`."""

    certificates: Path | None = None
    environment: str = "prod"
    chain: str = "warn"


@dataclass(frozen=True, slots=True)
class Messages:
    """What happens to letters."""

    profile: str = "faithful"
    switches: Mapping[str, bool] = field(default_factory=dict)
    process: str = DEFAULT_PROCESS
    ttl_hours: float = 24.0
    max_letter_bytes: int = GIB
    fallback_sender: str = "999999999"
    retry_seconds: float = 20.0
    unclear_seconds: float = 600.0
    keep_documents_days: int = 90


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """Where the rows lie; without `url` in a file beside the documents."""

    url: str | None = field(default=None, repr=False)
    lease_seconds: float = 60.0
    document_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Web:
    """Who may see the pages; without them the archive's credentials of `Listen` count."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Alerts:
    """Who is called when something needs a person, and when; nobody by default.

    `mail_receivers` are comma-separated addresses.
    """

    mail_host: str | None = None
    mail_port: int = 587
    mail_security: str = "starttls"
    mail_username: str | None = None
    mail_password: str | None = field(default=None, repr=False)
    mail_sender: str = ""
    mail_receivers: str = ""
    mail_ca_file: Path | None = None
    webhook_url: str | None = field(default=None, repr=False)
    webhook_token: str | None = field(default=None, repr=False)
    check_seconds: float = 60.0
    reminder_hours: float = 24.0
    waiting_minutes: float = 30.0
    certificate_days: int = 30
    min_free_bytes: int = 2 * GIB


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything; `folder` holds the documents, and the database unless it has a server."""

    organisation: Organisation
    archive: ArchiveSystem
    network: Network
    folder: Path = Path("data")
    listen: Listen = Listen()
    messages: Messages = Messages()
    database: DatabaseServer = DatabaseServer()
    mail: Mail | None = None
    trust: TrustedSigners = TrustedSigners()
    web: Web = Web()
    alerts: Alerts = Alerts()


_SECTIONS = {
    "organisation": Organisation,
    "archive": ArchiveSystem,
    "network": Network,
    "listen": Listen,
    "messages": Messages,
    "database": DatabaseServer,
    "mail": Mail,
    "trust": TrustedSigners,
    "web": Web,
    "alerts": Alerts,
}
_OPTIONAL = {"mail"}


def load_settings(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a ``gateway.toml``.

    A secret ``password`` may instead be given as ``password_file``, or in the
    environment as ``EDU_GATEWAY_<SECTION>_<KEY>``, which wins over the file. Relative
    paths are under the file's folder. Raises `ConfigurationError` naming every key that
    is missing, unknown or of the wrong type.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    problems: list[str] = []
    folder = raw.pop("folder", "data")
    values: dict[str, Any] = {"folder": path.parent / folder}
    for name, cls in _SECTIONS.items():
        if name in _OPTIONAL and name not in raw:
            continue
        section = raw.pop(name, {})
        if not isinstance(section, dict):
            problems.append(f"{name}: must be a table")
            continue
        values[name] = _section(name, cls, section, path.parent, environment, problems)
    problems += [f"{name}: not a known key" for name in raw]
    if values.get("network") is not None:
        problems += _network_problems(values["network"])
    if problems:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    if values["trust"].chain not in ("warn", "reject"):
        raise ConfigurationError(f"{path}: trust.chain: must be warn or reject")
    if values["archive"].dialect.lower() == "mail":
        if "mail" not in values:
            raise ConfigurationError(f"{path}: mail: missing, but archive.dialect is mail")
    elif not values["archive"].url:
        raise ConfigurationError(f"{path}: archive.url: missing")
    return Settings(**values)


def _network_problems(network: Network) -> list[str]:
    """What the chosen transport and source of addresses lack."""
    needed: set[str] = set()
    if network.addresses is None:
        needed |= {"token_url", "token_audience", "registry_url", "client_id"}
    if network.transport == "altinn3":
        needed |= {"token_url", "token_audience", "exchange_url", "broker_url", "client_id"}
    elif network.transport == "directory":
        needed.add("directory")
    else:
        return ["network.transport: must be altinn3 or directory"]
    missing = [one.name for one in fields(network) if one.name in needed]
    return [f"network.{key}: missing" for key in missing if not getattr(network, key)]


def _section(
    name: str,
    cls: Any,
    section: dict[str, Any],
    base: Path,
    environment: Mapping[str, str],
    problems: list[str],
) -> Any:
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for one in fields(cls):
        key = one.name
        given = section.pop(key, None)
        if f"{key}_file" in section:
            file = base / section.pop(f"{key}_file")
            try:
                given = file.read_text(encoding="utf-8").strip()
            except OSError as error:
                problems.append(f"{name}.{key}_file: {error.strerror}")
                continue
        given = environment.get(f"EDU_GATEWAY_{name}_{key}".upper(), given)
        if given is None:
            if one.default is MISSING and one.default_factory is MISSING:
                problems.append(f"{name}.{key}: missing")
            continue
        try:
            values[key] = _convert(hints[key], given, base)
        except (TypeError, ValueError) as error:
            problems.append(f"{name}.{key}: {error}")
    problems += [f"{name}.{key}: not a known key" for key in section]
    return None if problems else cls(**values)


def _convert(hint: Any, given: Any, base: Path) -> Any:
    text = str(hint)
    if "Path" in text:
        return base / str(given)
    if "Mapping" in text:
        if not isinstance(given, dict) or not all(isinstance(v, bool) for v in given.values()):
            raise TypeError("must be a table of true/false")
        return given
    if "bool" in text:
        if isinstance(given, str):
            given = {"true": True, "false": False}.get(given.lower(), given)
        if not isinstance(given, bool):
            raise TypeError("must be true or false")
        return given
    if "int" in text:
        return int(given)
    if "float" in text:
        return float(given)
    if not isinstance(given, str):
        raise TypeError("must be text")
    return given
