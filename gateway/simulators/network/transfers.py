"""A file transfer, its status machine, and what time does to it (altinn-transport 1.6)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class Status(IntEnum):
    """The numeric order matters: an upload is refused when later than UploadStarted."""

    Initialized = 0
    UploadStarted = 1
    UploadProcessing = 2
    Published = 3
    Cancelled = 4
    AllConfirmedDownloaded = 5
    Purged = 6
    Failed = 7


TEXTS = {
    Status.Initialized: "Ready for upload",
    Status.UploadStarted: "Upload started",
    Status.UploadProcessing: "Processing upload",
    Status.Published: "Ready for download",
    Status.Cancelled: "FileTransfer cancelled",
    Status.AllConfirmedDownloaded: "All downloaded",
    Status.Purged: "FileTransfer has been purged",
    Status.Failed: "Upload failed",
}


class RecipientStatus(IntEnum):
    """What a recipient has done."""

    Initialized = 0
    DownloadStarted = 1
    DownloadConfirmed = 2


@dataclass(frozen=True)
class Change:
    """One line of the transfer's history."""

    status: Status
    text: str
    at: datetime


@dataclass(frozen=True)
class RecipientChange:
    """One line of a recipient's history."""

    recipient: str
    status: RecipientStatus
    at: datetime


@dataclass
class Resource:
    """A broker resource and its rules."""

    id: str
    max_size: int = 1 << 30
    time_to_live: timedelta = timedelta(days=30)
    purge_after_confirm: bool = True
    grace: timedelta = timedelta(hours=24)
    access_list: frozenset[str] | None = None
    scan_may_be_disabled: bool = False
    storage_ready: bool = True
    configured: bool = True
    registered: bool = True


@dataclass
class Transfer:
    """One announced package. Recipients are always in ``0192:`` form; the sender is as it
    came, which is why a URN sender does not find its own transfers (F12)."""

    resource: Resource
    filename: str
    reference: str
    sender: str
    recipients: tuple[str, ...]
    properties: dict[str, str]
    checksum: str | None
    virus_scan: bool
    created: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    size: int = 0
    file: Path | None = None
    checksum_supplied: bool = False
    computed_md5: str | None = None
    infected: bool = False
    scan_ends: datetime | None = None
    history: list[Change] = field(default_factory=list)
    recipient_history: list[RecipientChange] = field(default_factory=list)
    last_ranged: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.set(Status.Initialized, self.created)
        for recipient in self.recipients:
            self.recipient_history.append(
                RecipientChange(recipient, RecipientStatus.Initialized, self.created)
            )

    @property
    def status(self) -> Status:
        """The current one."""
        return self.history[-1].status

    @property
    def text(self) -> str:
        """The current status' text."""
        return self.history[-1].text

    @property
    def changed(self) -> datetime:
        """When the current status was reached."""
        return self.history[-1].at

    @property
    def sender_orgnr(self) -> str:
        """Nine digits."""
        return self.sender.split(":")[-1]

    @property
    def recipient_orgnrs(self) -> tuple[str, ...]:
        """Nine digits each."""
        return tuple(recipient.split(":")[-1] for recipient in self.recipients)

    @property
    def expires(self) -> datetime:
        """When the network gives it up."""
        return self.created + self.resource.time_to_live

    def entered(self, status: Status) -> datetime | None:
        """When `status` was (last) reached."""
        return next((c.at for c in reversed(self.history) if c.status == status), None)

    def set(self, status: Status, at: datetime, text: str | None = None) -> None:
        """Write history."""
        self.history.append(Change(status, text or TEXTS[status], at))

    def latest(self, orgnr: str) -> RecipientChange | None:
        """The last recorded status of a recipient: what the list filters by (F10)."""
        return next(
            (c for c in reversed(self.recipient_history) if c.recipient.endswith(f":{orgnr}")),
            None,
        )

    def highest(self, orgnr: str) -> RecipientChange:
        """The furthest status of a recipient: what the overview shows (F10)."""
        own = [c for c in self.recipient_history if c.recipient.endswith(f":{orgnr}")]
        return max(own, key=lambda change: change.status)

    def record(self, orgnr: str, status: RecipientStatus, at: datetime) -> None:
        """Write the recipient's history."""
        self.recipient_history.append(RecipientChange(f"0192:{orgnr}", status, at))

    @property
    def all_confirmed(self) -> bool:
        """Every recipient has confirmed."""
        return all(
            self.highest(orgnr).status == RecipientStatus.DownloadConfirmed
            for orgnr in self.recipient_orgnrs
        )

    def remove_bytes(self) -> None:
        """Delete the file; the metadata stays."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)
            self.file = None

    def settle(self, now: datetime) -> list[Status]:
        """Let everything happen that is due at `now`; the statuses that were reached."""
        reached: list[Status] = []
        while (step := self._next_due(now)) is not None:
            status, at, text = step
            self.set(status, at, text)
            if status in (Status.Purged, Status.Failed):
                self.remove_bytes()
            reached.append(status)
        return reached

    def _next_due(self, now: datetime) -> tuple[Status, datetime, str | None] | None:
        status = self.status
        if status in (Status.Purged, Status.Failed, Status.Cancelled):
            return None
        if status == Status.UploadProcessing and self.scan_ends and self.scan_ends <= now:
            if self.infected:
                text = "Upload failed: malware scan failed. Details: EICAR-Test-File"
                return Status.Failed, self.scan_ends, text
            self.checksum = self.checksum or self.computed_md5
            return Status.Published, self.scan_ends, None
        stuck = self.changed + timedelta(hours=24)
        if status == Status.UploadStarted and stuck <= now:
            return Status.Failed, stuck, "Upload failed: stuck in UploadStarted"
        if status == Status.AllConfirmedDownloaded and self.resource.purge_after_confirm:
            confirmed = self.entered(Status.AllConfirmedDownloaded)
            assert confirmed is not None
            due = min(confirmed + self.resource.grace, self.expires)
            return (Status.Purged, due, None) if due <= now else None
        return (Status.Purged, self.expires, None) if self.expires <= now else None
