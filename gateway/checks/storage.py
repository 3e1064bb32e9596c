"""Where letters are kept: the disk and the database."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from gateway.checks.finding import Check, Verdict, fail, ok, warn
from gateway.parts import database_url
from gateway.settings import Settings
from gateway.store.probe import probe_database

_DISK = "Give the gateway's account a folder that it may write to, on a disk with room."


class Storage:
    """Checks that leave nothing behind, whether or not a gateway is running.

    `patience`: how many seconds a busy database is waited for.
    """

    def __init__(self, settings: Settings, patience: float) -> None:
        self._settings = settings
        self._patience = patience

    def checks(self) -> Iterator[Check]:
        """Disk, then database."""
        yield Check("disk", self._disk, _DISK)
        yield Check(
            "database",
            self._database,
            "See that the database is there, of this version, and writable for the gateway's "
            "account.",
            ("disk",) if self._settings.database.url is None else (),
        )

    def _disk(self) -> Verdict:
        folder = self._settings.folder
        incoming = folder / "blobs" / "incoming"
        place = next(one for one in (incoming, folder, *folder.parents) if one.exists())
        try:
            _write_and_remove(place / f".edu-gateway-check-{secrets.token_hex(8)}")
            free = shutil.disk_usage(place).free
        except OSError as error:
            return fail(f"{place}: cannot be written to: {error.strerror}", _DISK)
        least = self._settings.alerts.min_free_bytes
        seen = f"{folder}: written to and synced; {_gib(free)} free"
        if not folder.exists():
            seen = f"{folder}: will be made by the first start; {_gib(free)} free"
        if free < least:
            return warn(f"{seen}, less than {_gib(least)}", "Free some, or give it more room.")
        return ok(seen)

    def _database(self) -> Verdict:
        state = probe_database(database_url(self._settings), self._patience)
        if state.revision is None:
            return ok(f"{state.kind}: no tables yet; the first start makes them")
        if state.revision != state.newest:
            return warn(
                f"{state.kind}: revision {state.revision}; the next start of this version "
                f"brings it to {state.newest}",
                "Back it up, then start. A gateway of an older version must not run beside it.",
            )
        return ok(f"{state.kind}: opened and writable, revision {state.revision}")


def _write_and_remove(probe: Path) -> None:
    try:
        with probe.open("xb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
