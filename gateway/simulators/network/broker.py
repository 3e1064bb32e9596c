"""Altinn 3 Broker as a client sees it (altinn-transport 1.3-1.9 and 5.3)."""

from __future__ import annotations

import hashlib
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .clock import Clock, timestamp
from .exchange import CHUNK, Disconnected, FilePart, Refused, Reply, Request, problem
from .form import form_of
from .ledger import Ledger
from .maskinporten import Caller, Maskinporten
from .parameters import listing, quoted, span, validated
from .transfers import EICAR, RecipientStatus, Resource, Status, Transfer

READ, WRITE = "altinn:broker.read", "altinn:broker.write"


@dataclass
class ScanPolicy:
    """How long scans take, in seconds: one figure, or (shortest, longest).

    ``inf`` means that the scan never ends.
    """

    delay: float | tuple[float, float] = 0.0

    def seconds(self) -> float:
        """For one file."""
        return random.uniform(*self.delay) if isinstance(self.delay, tuple) else self.delay


@dataclass
class Broker:
    """Transfers and the rules for them. Metadata in memory, bytes in `folder`."""

    folder: Path
    maskinporten: Maskinporten
    clock: Clock
    resources: dict[str, Resource] = field(default_factory=dict)
    scan: ScanPolicy = field(default_factory=ScanPolicy)
    denied: set[tuple[str, str, str]] = field(default_factory=set)
    """(orgnr, resource, ``read`` or ``write``) that the policy refuses."""
    transfers: dict[str, Transfer] = field(default_factory=dict)
    publish_event: Callable[[str, Transfer, str, str], None] = lambda *_: None
    """Called with event name, transfer, party and role."""
    ledger: Ledger | None = None
    """Where transfers are kept over restarts."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        if self.ledger is not None:
            for transfer in self.ledger.load(self.resources):
                self.transfers[transfer.id] = transfer

    def keep(self, transfer: Transfer) -> None:
        """Write the transfer down as it stands."""
        if self.ledger is not None:
            self.ledger.save(transfer)

    # --- who may -----------------------------------------------------------------------

    def _caller(self, request: Request, *scopes: str) -> Caller:
        accept = request.headers.get("Accept")
        if request.call != "download" and not (
            accept is None or accept.strip() == "*/*" or "application/json" in accept
        ):
            raise Refused(Reply.text("The media type that is asked for is not made here", 406))
        caller = self.maskinporten.caller(request)
        if not caller.scopes.intersection(scopes):
            raise Refused(Reply.empty(403))
        return caller

    def _permits(self, caller: Caller, resource: str, action: str) -> bool:
        return (
            resource in self.resources
            and self.maskinporten.approved(caller)
            and (caller.orgnr, resource, action) not in self.denied
        )

    def _find(self, request: Request) -> Transfer:
        identifier = request.arguments["id"]
        try:
            key = str(uuid.UUID(identifier))
        except ValueError:
            raise problem(
                400,
                "One or more validation errors occurred.",
                errors={"fileTransferId": [f"The value '{identifier[:64]}' is not valid."]},
            ) from None
        transfer = self.transfers.get(key)
        if transfer is None:
            raise problem(404, "Not Found", "No such file transfer", code="BRO-00001")
        self._settle(transfer)
        request.resource = transfer.resource.id
        return transfer

    def _settle(self, transfer: Transfer) -> None:
        with self.lock:
            reached = transfer.settle(self.clock.now())
            if reached:
                self.keep(transfer)
        for status in reached:
            if status == Status.Published:
                self._tell_everybody("published", transfer)
            elif status == Status.Failed:
                self._tell("uploadfailed", transfer, transfer.sender_orgnr, "Sender")
            elif status == Status.Purged:
                name = "filepurged" if transfer.all_confirmed else "fileneverconfirmeddownloaded"
                self._tell(name, transfer, transfer.sender_orgnr, "Sender")

    def _tell(self, name: str, transfer: Transfer, orgnr: str, role: str) -> None:
        self.publish_event(f"no.altinn.broker.{name}", transfer, orgnr, role)

    def _tell_everybody(self, name: str, transfer: Transfer) -> None:
        self._tell(name, transfer, transfer.sender_orgnr, "Sender")
        for orgnr in transfer.recipient_orgnrs:
            self._tell(name, transfer, orgnr, "Recipient")

    # --- initialize ------------------------------------------------------------------------

    def initialize(self, request: Request) -> Reply:
        """POST /filetransfer."""
        caller = self._caller(request, WRITE)
        media = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if media != "application/json":
            raise Refused(Reply.empty(415))
        transfer = self.announce(request, caller, request.json())
        return Reply.json({"fileTransferId": transfer.id})

    def announce(self, request: Request, caller: Caller, body: Any) -> Transfer:
        """Check the fields and rights in the broker's order; the new transfer."""
        fields = validated(body)
        request.resource = fields["resourceid"]
        sender = fields["sender"].split(":")[-1]
        if caller.orgnr != sender or not self._permits(caller, fields["resourceid"], "write"):
            raise _no_access()
        resource = self.resources[fields["resourceid"]]
        if not resource.configured:
            raise problem(400, "Bad Request", "The resource is not configured", code="BRO-00025")
        if fields["disablevirusscan"] and not resource.scan_may_be_disabled:
            raise problem(400, "Bad Request", "Scanning may not be disabled", code="BRO-00020")
        self._ready(resource)
        recipients = tuple(f"0192:{item.split(':')[-1]}" for item in fields["recipients"])
        if resource.access_list is not None and any(
            item.split(":")[-1] not in resource.access_list for item in recipients
        ):
            raise problem(400, "Bad Request", "Not on the access list", code="BRO-00028")
        with self.lock:
            transfer = Transfer(
                resource,
                fields["filename"],
                fields["sendersfiletransferreference"],
                fields["sender"],
                recipients,
                fields["propertylist"],
                fields["checksum"],
                not fields["disablevirusscan"],
                self.clock.now(),
                checksum_supplied=fields["checksum"] is not None,
            )
            self.transfers[transfer.id] = transfer
            self.keep(transfer)
        self._tell("filetransferinitialized", transfer, sender, "Sender")
        return transfer

    def _ready(self, resource: Resource) -> None:
        if not resource.storage_ready:
            raise problem(503, "Service Unavailable", "Storage is not ready", code="BRO-00021")
        if not resource.registered:
            raise problem(403, "Forbidden", "The resource has no owner", code="BRO-00005")

    # --- upload ----------------------------------------------------------------------------

    def upload(self, request: Request) -> Reply:
        """POST /filetransfer/{id}/upload, streamed to disk."""
        caller = self._caller(request, WRITE)
        if request.headers.get("Content-Type", "").strip().lower() != "application/octet-stream":
            raise Refused(Reply.empty(415))
        transfer = self._find(request)
        if caller.orgnr != transfer.sender_orgnr or not self._permits(
            caller, transfer.resource.id, "write"
        ):
            raise _no_access()
        self.store(request, transfer)
        return Reply.json({"fileTransferId": transfer.id})

    def store(self, request: Request, transfer: Transfer) -> None:
        """Take the bytes of the request's body for the transfer."""
        self._not_yet_uploaded(transfer)
        self._ready(transfer.resource)
        if request.length is not None and request.length > transfer.resource.max_size:
            raise problem(400, "Bad Request", "The file is too large", code="BRO-00016")
        with self.lock:
            if transfer.status == Status.Initialized:
                transfer.set(Status.UploadStarted, self.clock.now())
                self.keep(transfer)
        part = self.folder / f"{transfer.id}.{uuid.uuid4().hex}.part"
        try:
            size, md5, infected = _receive(request, part)
        except (Disconnected, OSError):
            part.unlink(missing_ok=True)
            raise
        with self.lock:
            try:
                self._not_yet_uploaded(transfer)
            except Refused:
                part.unlink()
                raise
            transfer.file = part.rename(self.folder / transfer.id)
            transfer.size, transfer.computed_md5, transfer.infected = size, md5, infected
            now = self.clock.now()
            if transfer.checksum_supplied and transfer.checksum != md5:
                transfer.set(Status.Failed, now, "Upload failed: checksum mismatch")
                transfer.remove_bytes()
                self.keep(transfer)
                self._tell("uploadfailed", transfer, transfer.sender_orgnr, "Sender")
                raise problem(400, "Bad Request", "MD5 differs", code="BRO-00009")
            if not transfer.virus_scan:
                transfer.checksum = transfer.checksum or md5
                transfer.set(Status.Published, now)
                self.keep(transfer)
                self._tell_everybody("published", transfer)
                return
            transfer.set(Status.UploadProcessing, now)
            self._tell("uploadprocessing", transfer, transfer.sender_orgnr, "Sender")
            seconds = self.scan.seconds()
            if seconds != float("inf"):
                transfer.scan_ends = now + timedelta(seconds=seconds)
            self.keep(transfer)
            self._settle(transfer)

    def _not_yet_uploaded(self, transfer: Transfer) -> None:
        if transfer.status > Status.UploadStarted:
            raise problem(
                409, "Conflict", "The file has been uploaded, or it was tried", code="BRO-00004"
            )

    def initialize_and_upload(self, request: Request) -> Reply:
        """POST /filetransfer/upload: both at once, as a form."""
        caller = self._caller(request, WRITE)
        media = request.headers.get("Content-Type", "")
        if not media.lower().startswith("multipart/form-data"):
            raise Refused(Reply.empty(415))
        with form_of(request, media) as (fields, file):
            if file is None:
                raise problem(
                    400,
                    "One or more validation errors occurred.",
                    errors={"FileTransfer": ["The FileTransfer field is required."]},
                )
            transfer = self.announce(request, caller, fields)
            size = file.seek(0, 2)
            file.seek(0)
            self.store(replace(request, read=file.read, length=size), transfer)
        return Reply.json({"fileTransferId": transfer.id})

    # --- looking ---------------------------------------------------------------------------

    def overview(self, request: Request) -> Reply:
        """GET /filetransfer/{id}."""
        transfer = self._visible(request)
        with self.lock:
            return Reply.json(self._describe(transfer))

    def details(self, request: Request) -> Reply:
        """GET /filetransfer/{id}/details."""
        transfer = self._visible(request)
        with self.lock:
            body = self._describe(transfer)
            del body["published"]
            body["fileTransferStatusHistory"] = [
                {
                    "fileTransferStatus": change.status.name,
                    "fileTransferStatusText": change.text,
                    "fileTransferStatusChanged": timestamp(change.at),
                }
                for change in transfer.history
            ]
            body["recipientFileTransferStatusHistory"] = [
                {
                    "recipient": change.recipient,
                    "recipientFileTransferStatusCode": change.status.name,
                    "recipientFileTransferStatusText": change.status.name,
                    "recipientFileTransferStatusChanged": timestamp(change.at),
                }
                for change in transfer.recipient_history
            ]
        return Reply.json(body)

    def _visible(self, request: Request) -> Transfer:
        caller = self._caller(request, READ, WRITE)
        transfer = self._find(request)
        resource = transfer.resource.id
        as_sender = caller.orgnr == transfer.sender_orgnr and self._permits(
            caller, resource, "write"
        )
        as_recipient = caller.orgnr in transfer.recipient_orgnrs and self._permits(
            caller, resource, "read"
        )
        if not as_sender and not as_recipient:
            raise _no_access()
        return transfer

    def _describe(self, transfer: Transfer) -> dict[str, Any]:
        return {
            "fileTransferId": transfer.id,
            "resourceId": transfer.resource.id,
            "fileName": transfer.filename,
            "sendersFileTransferReference": transfer.reference,
            "checksum": transfer.checksum,
            "useVirusScan": transfer.virus_scan,
            "fileTransferSize": transfer.size,
            "fileTransferStatus": transfer.status.name,
            "fileTransferStatusText": transfer.text,
            "fileTransferStatusChanged": timestamp(transfer.changed),
            "created": timestamp(transfer.created),
            "expirationTime": timestamp(transfer.expires),
            "sender": transfer.sender,
            "recipients": [
                {
                    "recipient": change.recipient,
                    "currentRecipientFileTransferStatusCode": change.status.name,
                    "currentRecipientFileTransferStatusText": change.status.name,
                    "currentRecipientFileTransferStatusChanged": timestamp(change.at),
                }
                for change in map(transfer.highest, transfer.recipient_orgnrs)
            ],
            "propertyList": transfer.properties,
            "published": timestamp(transfer.entered(Status.Published)),
        }

    def list(self, request: Request) -> Reply:
        """GET /filetransfer: ids only, 100 at most (altinn-transport 1.7)."""
        caller = self._caller(request, READ, WRITE)
        query = request.query
        request.resource = query.get("resourceId")
        wanted = listing(query)
        resource = query["resourceId"]
        if not (
            self._permits(caller, resource, "read") and self._permits(caller, resource, "write")
        ):
            raise _no_access()
        found: list[tuple[datetime, str]] = []
        with self.lock:
            for transfer in self.transfers.values():
                if transfer.resource.id != resource:
                    continue
                self._settle(transfer)
                moment = wanted.time(transfer, caller.orgnr)
                if moment is not None:
                    found.append((moment, transfer.id))
        found.sort(key=lambda item: item[0], reverse=not wanted.ascending)
        return Reply.json([identifier for _, identifier in found[:100]])

    # --- download and confirm ----------------------------------------------------------------

    def _as_recipient(self, request: Request) -> tuple[Transfer, Caller]:
        caller = self._caller(request, READ)
        transfer = self._find(request)
        if caller.orgnr not in transfer.recipient_orgnrs or not self._permits(
            caller, transfer.resource.id, "read"
        ):
            raise _no_access()
        return transfer, caller

    def download(self, request: Request) -> Reply:
        """GET /filetransfer/{id}/download, whole or one range."""
        transfer, caller = self._as_recipient(request)
        if transfer.file is None or transfer.status not in (
            Status.Published,
            Status.AllConfirmedDownloaded,
        ):
            raise problem(
                403, "Forbidden", f"Not downloadable in {transfer.status.name}", code="BRO-00007"
            )
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'attachment; filename="{quoted(transfer.filename)}"',
        }
        piece = span(request.headers.get("Range"), transfer.size)
        now = self.clock.now()
        with self.lock:
            last = transfer.last_ranged.get(caller.orgnr)
            if piece is None or last is None or now - last >= timedelta(minutes=5):
                transfer.record(caller.orgnr, RecipientStatus.DownloadStarted, now)
            if piece is not None:
                transfer.last_ranged[caller.orgnr] = now
            self.keep(transfer)
        kind = "application/octet-stream"
        if piece is None:
            return Reply(200, FilePart(transfer.file, 0, transfer.size), kind, headers)
        start, end = piece
        headers["Content-Range"] = f"bytes {start}-{end}/{transfer.size}"
        return Reply(206, FilePart(transfer.file, start, end - start + 1), kind, headers)

    def confirm(self, request: Request) -> Reply:
        """POST /filetransfer/{id}/confirmdownload; the table of altinn-transport 1.5.8."""
        transfer, caller = self._as_recipient(request)
        with self.lock:
            if transfer.status != Status.Published:
                never_stored = transfer.file is None and transfer.computed_md5 is None
                if never_stored:
                    raise problem(400, "Bad Request", "Nothing is uploaded", code="BRO-00003")
                raise problem(
                    400,
                    "Bad Request",
                    "Download can be confirmed only while the transfer is published",
                    code="BRO-00010",
                )
            reached = transfer.highest(caller.orgnr).status
            if reached == RecipientStatus.Initialized:
                raise problem(400, "Bad Request", "Download it first", code="BRO-00019")
            if reached == RecipientStatus.DownloadStarted:
                now = self.clock.now()
                transfer.record(caller.orgnr, RecipientStatus.DownloadConfirmed, now)
                self._tell("downloadconfirmed", transfer, transfer.sender_orgnr, "Sender")
                self._tell("downloadconfirmed", transfer, caller.orgnr, "Recipient")
                if transfer.all_confirmed:
                    transfer.set(Status.AllConfirmedDownloaded, now)
                    self._tell_everybody("allconfirmeddownloaded", transfer)
                self.keep(transfer)
        return Reply.empty(204)


def _no_access() -> Refused:
    return problem(401, "Unauthorized", "No access to the resource", code="BRO-00006")


def _receive(request: Request, target: Path) -> tuple[int, str, bool]:
    """Stream the body to `target`: size, MD5, and whether EICAR is in it."""
    digest = hashlib.md5(usedforsecurity=False)
    size, tail, infected = 0, b"", False
    with target.open("xb") as file:
        while piece := request.read(CHUNK):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
            infected = infected or EICAR in tail + piece
            tail = piece[-len(EICAR) :]
    return size, digest.hexdigest(), infected
