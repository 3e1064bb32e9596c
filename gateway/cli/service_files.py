"""Files that let an operating system run one installation as a service.

Least privilege everywhere: an account of its own, nothing writable but the folders that
the settings name, time to let running work end, a new start after a failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

from gateway.app import STOP_SECONDS
from gateway.settings import Settings

ACCOUNT = "edu-gateway"
CONTAINER_USER = 10001
SECRETS = "secrets.env"
_DATA = "/data"
_CONFIG = "/etc/edu-gateway"
_PORT = 9093
_HOMES = ("/home", "/root")


@dataclass(frozen=True, slots=True)
class Installation:
    """What is run: absolute paths as the machine writes them, and what it may write to."""

    python: PurePath
    config: PurePath
    folder: PurePath
    also_writable: tuple[PurePath, ...]
    also_read: tuple[PurePath, ...]
    host: str
    port: int
    orgnr: str
    version: str

    @classmethod
    def of(
        cls, settings: Settings, python: PurePath, config: PurePath, version: str
    ) -> Installation:
        """The installation that these settings describe."""
        overflow = settings.mail.overflow_folder if settings.mail else None
        others = (settings.network.directory, overflow)
        writable = tuple(one.absolute() for one in others if one is not None)
        folder = settings.folder.absolute()
        return cls(
            python,
            config,
            folder,
            writable,
            tuple(one for one in _paths(settings) if one not in (folder, *writable)),
            settings.listen.host,
            settings.listen.port,
            settings.organisation.orgnr,
            version,
        )

    @property
    def writable(self) -> tuple[PurePath, ...]:
        """Every folder that the gateway writes to."""
        return (self.folder, *self.also_writable)


def _paths(settings: Any) -> Iterator[Path]:
    """Every path that the settings name, made absolute."""
    for one in fields(settings):
        value = getattr(settings, one.name)
        for part in value if isinstance(value, tuple) else (value,):
            if is_dataclass(part):
                yield from _paths(part)
            elif isinstance(part, Path):
                yield part.absolute()


# --- systemd --------------------------------------------------------------------------


def systemd_unit(it: Installation) -> str:
    """A unit file for systemd 247 or newer."""
    secrets = it.config.with_name(SECRETS)
    command = " ".join(
        _unit_word(str(one)) for one in (it.python, "-m", "gateway", "run", "--config", it.config)
    )
    made = "\n".join(
        f"#   install -d -o {ACCOUNT} -g {ACCOUNT} -m 0700 {_unit_word(str(one))}"
        for one in it.writable
    )
    homes = any(
        str(one).startswith(f"{home}/")
        for one in (it.python, it.config, *it.writable)
        for home in _HOMES
    )
    low_port = 0 < it.port < 1024
    return f"""\
# edu-gateway {it.version}, organisation {it.orgnr}. As root:
#   useradd --system --no-create-home --shell /usr/sbin/nologin {ACCOUNT}
{made}
# Settings, keystore and files with secrets: owner root, group {ACCOUNT}, mode 0640. Then
#   edu-gateway service print systemd > /etc/systemd/system/edu-gateway.service
#   systemctl daemon-reload
#   systemctl enable --now edu-gateway
# Secrets that are not in files of their own may be in {secrets},
# one EDU_GATEWAY_<SECTION>_<KEY>=value a line; its mode 0600, its owner root.

[Unit]
Description=edu-gateway, BEST/EDU on eFormidling ({it.orgnr})
Wants=network-online.target
After=network-online.target time-sync.target postgresql.service

[Service]
Type=exec
User={ACCOUNT}
Group={ACCOUNT}
WorkingDirectory={_unit_path(it.config.parent)}
EnvironmentFile=-{_unit_path(secrets)}
Environment=PYTHONDONTWRITEBYTECODE=1
# Big requests wait there; /tmp is memory on many systems. PrivateTmp gives us our own.
Environment=TMPDIR=/var/tmp
ExecStart={command}
Restart=on-failure
RestartSec=10

# Running work may end; after that it is cut off, as by a power failure.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}

# Nothing is writable but:
ReadWritePaths={" ".join(_unit_word(str(one)) for one in it.writable)}
ProtectSystem=strict
ProtectHome={"read-only" if homes else "yes"}
PrivateTmp=yes
PrivateDevices=yes
UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet={"CAP_NET_BIND_SERVICE" if low_port else ""}
AmbientCapabilities={"CAP_NET_BIND_SERVICE" if low_port else ""}
LockPersonality=yes
MemoryDenyWriteExecute=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def _unit_path(path: PurePath) -> str:
    return str(path).replace("%", "%%")


def _unit_word(text: str) -> str:
    """One word of a line that systemd splits."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(one.isspace() or one == "'" for one in text) else text


# --- Windows --------------------------------------------------------------------------

_WINDOWS_ACCOUNT = ("NT AUTHORITY", "LocalService")


def winsw_xml(it: Installation) -> str:
    """The configuration of a WinSW 2 or 3 wrapper; it stops with Ctrl-C."""
    logs = it.config.parent / "logs"
    domain, user = _WINDOWS_ACCOUNT
    granted = [f'icacls "{it.config.parent}" /grant "{domain}\\{user}:(OI)(CI)RX"']
    granted += [
        f'icacls "{one}" /grant "{domain}\\{user}:(OI)(CI)M"' for one in (*it.writable, logs)
    ]
    service = ET.Element("service")
    service.append(
        _remark(
            [
                f"edu-gateway {it.version}. Save this as edu-gateway-service.xml beside WinSW's",
                "program, renamed to edu-gateway-service.exe. Make the folders below and let the",
                "service's account read the first and write to the others:",
                *(f"  {one}" for one in granted),
                "Then, as administrator: edu-gateway-service.exe install",
                "and: edu-gateway-service.exe start",
                "Secrets belong in files of their own (password_file), not in here. An archive",
                "that logs in the account of the process needs a managed account instead.",
            ]
        )
    )
    for tag, text in (
        ("id", "edu-gateway"),
        ("name", "edu-gateway"),
        ("description", f"BEST/EDU on eFormidling, organisation {it.orgnr}"),
        ("executable", str(it.python)),
        ("argument", "-m"),
        ("argument", "gateway"),
        ("argument", "run"),
        ("argument", "--config"),
        ("argument", str(it.config)),
        ("workingdirectory", str(it.config.parent)),
        ("startmode", "Automatic"),
        ("delayedAutoStart", "true"),
        ("stoptimeout", f"{STOP_SECONDS} sec"),
        ("stopparentprocessfirst", "true"),
        ("resetfailure", "1 hour"),
        ("logpath", str(logs)),
    ):
        ET.SubElement(service, tag).text = text
    ET.SubElement(service, "env", name="PYTHONUTF8", value="1")
    for delay in ("10 sec", "1 min"):
        ET.SubElement(service, "onfailure", action="restart", delay=delay)
    log = ET.SubElement(service, "log", mode="roll-by-size")
    ET.SubElement(log, "sizeThreshold").text = "10240"
    ET.SubElement(log, "keepFiles").text = "8"
    account = ET.SubElement(service, "serviceaccount")
    # WinSW 3 reads the first, WinSW 2 the other two.
    ET.SubElement(account, "username").text = f"{domain}\\{user}"
    ET.SubElement(account, "domain").text = domain
    ET.SubElement(account, "user").text = user
    ET.indent(service)
    # ASCII alone survives any code page between a Windows console and a file.
    return ET.tostring(service, encoding="us-ascii", xml_declaration=False).decode() + "\n"


def _remark(lines: Iterable[str]) -> ET.Element:
    text = "\n    ".join(lines).replace("--", "- -")
    return ET.Comment(f"\n    {text}\n  ")


# --- containers -----------------------------------------------------------------------

HEALTH_CHECK = (
    "import urllib.request; "
    f"urllib.request.urlopen('http://127.0.0.1:{_PORT}/manage/health/readiness', timeout=5)"
)


def compose_file(it: Installation) -> str:
    """A compose file for the image that the project's Dockerfile makes."""
    loopback = it.host in ("127.0.0.1", "localhost", "::1")
    published = f"{'127.0.0.1:' if loopback else ''}{it.port or _PORT}:{_PORT}"
    config = f"{_CONFIG}/{it.config.name}"
    outside = [one for one in it.also_read if not one.is_relative_to(it.config.parent)]
    mounts = [(str(it.config.parent), _CONFIG, True)]
    mounts += [(str(one), _in_container(it, one), False) for one in it.also_writable]
    mounts += [(str(one), str(one), True) for one in outside]
    bound = "\n".join(
        f"      - type: bind\n        source: {_yaml(source)}\n        target: {_yaml(target)}"
        + ("\n        read_only: true" if read_only else "")
        for source, target, read_only in mounts
    )
    return f"""\
# edu-gateway {it.version}, organisation {it.orgnr}.
# The image:  docker build -t edu-gateway:{it.version} .
# It runs as user {CONTAINER_USER}, who must be able to read the settings, the keystore and the
# files with secrets. Other secrets may be in {SECRETS} beside the settings.
# To take over the documents of an installation without container, copy the content of
# {it.folder}
# to the volume while both are stopped.
name: edu-gateway
services:
  gateway:
    image: {_yaml(f"edu-gateway:{it.version}")}
    command: ["run", "--config", {_yaml(config)}]
    environment:
      EDU_GATEWAY_FOLDER: {_yaml(_DATA)}
      EDU_GATEWAY_LISTEN_HOST: "0.0.0.0"
      EDU_GATEWAY_LISTEN_PORT: {_yaml(str(_PORT))}
    env_file:
      - path: {_yaml(str(it.config.with_name(SECRETS)))}
        required: false
    ports:
      - {_yaml(published)}
    volumes:
      - type: volume
        source: documents
        target: {_yaml(_DATA)}
{bound}
    user: {_yaml(f"{CONTAINER_USER}:{CONTAINER_USER}")}
    read_only: true
    cap_drop: ["ALL"]
    security_opt: ["no-new-privileges:true"]
    pids_limit: 200
    restart: unless-stopped
    stop_signal: SIGTERM
    stop_grace_period: {STOP_SECONDS}s
    healthcheck:
      test: ["CMD", "python", "-c", {_yaml(HEALTH_CHECK)}]
      interval: 30s
      timeout: 10s
      start_period: 60s
volumes:
  documents:
"""


def _in_container(it: Installation, path: PurePath) -> str:
    """Where the settings, mounted elsewhere, find a path that they name."""
    if path.is_relative_to(it.config.parent):
        return str(PurePosixPath(_CONFIG, path.relative_to(it.config.parent)))
    return str(path)


def _yaml(text: str) -> str:
    """A text for YAML, of which JSON's texts are a part; compose fills in what $ begins."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)
