"""Addresses from a file, for exchange without any registry.

The file lists everybody that letters may be sent to, and ourselves::

    [[organisation]]
    orgnr = "910075918"
    name = "Skogland fylkeskommune"
    certificate_file = "skogland.pem"      # or certificate = the PEM text itself
    processes = ["urn:no:difi:…"]          # left out: every process
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import ConfigurationError, ReceiverUnknown
from gateway.model import Recipient

_ORGNR = re.compile(r"\d{9}", re.ASCII)
_KEYS = {"orgnr", "name", "certificate", "certificate_file", "processes"}


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    certificate_pem: str
    processes: frozenset[str]


class AddressBook:
    """Implements `ports.Addresses`; everybody in it is reached as one on DPO.

    Raises `ConfigurationError` with everything that is wrong with the file.
    """

    def __init__(self, path: Path, default_process: str) -> None:
        self._default_process = default_process
        self._entries = _read(path)

    def find(self, orgnr: str, process: str | None = None) -> Recipient:
        """See `ports.Addresses`."""
        entry = self._entry(orgnr)
        process = process or self._default_process
        if entry.processes and process not in entry.processes:
            raise ReceiverUnknown(f"the address book has no {process} for {orgnr}")
        return Recipient(
            orgnr=orgnr,
            name=entry.name,
            service="DPO",
            process=process,
            certificate_pem=entry.certificate_pem,
            security_level=None,
        )

    def name(self, orgnr: str) -> str | None:
        """See `ports.Addresses`."""
        entry = self._entries.get(orgnr)
        return entry.name if entry else None

    def published_certificate(self, orgnr: str) -> str:
        """What others encrypt for `orgnr` with, as PEM. Raises `ReceiverUnknown`."""
        return self._entry(orgnr).certificate_pem

    def _entry(self, orgnr: str) -> _Entry:
        entry = self._entries.get(orgnr)
        if entry is None:
            raise ReceiverUnknown(f"{orgnr} is not in the address book")
        return entry


def _read(path: Path) -> dict[str, _Entry]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    listed = raw.pop("organisation", None)
    problems = [f"{name}: not a known key" for name in raw]
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ConfigurationError(f"{path}: no [[organisation]] in it")
    entries: dict[str, _Entry] = {}
    for number, one in enumerate(listed, start=1):
        where = f"organisation {number}"
        orgnr = one.get("orgnr")
        if not isinstance(orgnr, str) or not _ORGNR.fullmatch(orgnr):
            problems.append(f"{where}: orgnr: must be nine digits in quotes")
            continue
        if orgnr in entries:
            problems.append(f"{where}: {orgnr} is listed twice")
        try:
            entries[orgnr] = _entry(one, path.parent)
        except (OSError, ValueError) as error:
            problems.append(f"{where} ({orgnr}): {error}")
    if problems:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    return entries


def _entry(one: dict[str, Any], folder: Path) -> _Entry:
    """Raises OSError and ValueError."""
    if unknown := set(one) - _KEYS:
        raise ValueError(f"{', '.join(sorted(unknown))}: not a known key")
    name, processes = one.get("name"), one.get("processes", [])
    if not isinstance(name, str) or not name:
        raise ValueError("name: missing")
    if not isinstance(processes, list) or not all(isinstance(p, str) for p in processes):
        raise ValueError("processes: must be a list of texts")
    if "certificate_file" in one:
        pem = (folder / str(one["certificate_file"])).read_bytes()
    else:
        pem = str(one.get("certificate", "")).encode()
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ValueError("certificate: not a certificate as PEM") from error
    return _Entry(name, certificate.public_bytes(Encoding.PEM).decode(), frozenset(processes))
