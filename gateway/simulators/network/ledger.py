"""Transfers on disk, so that a simulator that is started again knows what was under way."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from .transfers import Change, RecipientChange, RecipientStatus, Resource, Status, Transfer


class Ledger:
    """One row a transfer. Survives a killed process, not a power cut."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("CREATE TABLE IF NOT EXISTS transfer (id TEXT PRIMARY KEY, body)")

    def save(self, transfer: Transfer) -> None:
        """Write it as it stands."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO transfer VALUES (?, ?)",
                (transfer.id, json.dumps(_to_json(transfer))),
            )

    def load(self, resources: Mapping[str, Resource]) -> list[Transfer]:
        """All transfers of these resources, oldest first."""
        with self._lock:
            rows = self._database.execute("SELECT body FROM transfer").fetchall()
        bodies = [json.loads(body) for (body,) in rows]
        found = [
            _from_json(body, resources[body["resource"]])
            for body in bodies
            if body["resource"] in resources
        ]
        return sorted(found, key=lambda transfer: transfer.created)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._database.execute("DELETE FROM transfer")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()


def _to_json(transfer: Transfer) -> dict[str, Any]:
    return {
        "id": transfer.id,
        "resource": transfer.resource.id,
        "filename": transfer.filename,
        "reference": transfer.reference,
        "sender": transfer.sender,
        "recipients": transfer.recipients,
        "properties": transfer.properties,
        "checksum": transfer.checksum,
        "virus_scan": transfer.virus_scan,
        "created": transfer.created.isoformat(),
        "size": transfer.size,
        "file": str(transfer.file) if transfer.file else None,
        "checksum_supplied": transfer.checksum_supplied,
        "computed_md5": transfer.computed_md5,
        "infected": transfer.infected,
        "scan_ends": transfer.scan_ends.isoformat() if transfer.scan_ends else None,
        "history": [[c.status, c.text, c.at.isoformat()] for c in transfer.history],
        "recipient_history": [
            [c.recipient, c.status, c.at.isoformat()] for c in transfer.recipient_history
        ],
        "last_ranged": {o: at.isoformat() for o, at in transfer.last_ranged.items()},
    }


def _from_json(body: dict[str, Any], resource: Resource) -> Transfer:
    moment = datetime.fromisoformat
    transfer = Transfer(
        resource,
        body["filename"],
        body["reference"],
        body["sender"],
        tuple(body["recipients"]),
        body["properties"],
        body["checksum"],
        body["virus_scan"],
        moment(body["created"]),
        id=body["id"],
        size=body["size"],
        file=Path(body["file"]) if body["file"] else None,
        checksum_supplied=body["checksum_supplied"],
        computed_md5=body["computed_md5"],
        infected=body["infected"],
        scan_ends=moment(body["scan_ends"]) if body["scan_ends"] else None,
        last_ranged={orgnr: moment(at) for orgnr, at in body["last_ranged"].items()},
    )
    transfer.history = [
        Change(Status(status), text, moment(at)) for status, text, at in body["history"]
    ]
    transfer.recipient_history = [
        RecipientChange(recipient, RecipientStatus(status), moment(at))
        for recipient, status, at in body["recipient_history"]
    ]
    return transfer
