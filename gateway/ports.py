"""The contracts that really vary: networks, archives, and where addresses come from.

The engine knows only these. Times-out, retries inside one call and protocol details are
the adapter's; what a failure means for a letter is in the error it raises
(`gateway.errors`): every method raises only `GatewayError` leaves for trouble outside
the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Protocol

from gateway.model import AppReceipt, Content, Envelope, Melding, Recipient


class Spool(Protocol):
    """Where content goes while it arrives, before anybody knows what it is."""

    def create(self) -> SpoolWriter:
        """A new, private, empty piece of content."""

    def release(self, contents: Iterable[Content], /) -> None:
        """Delete committed content that nobody has claimed; repeating it is harmless."""


class ContentStore(Protocol):
    """Where messages keep their content: a spool for each."""

    def bundle(self) -> Spool:
        """A new spool for what belongs to one message."""

    def release(self, contents: Iterable[Content], /) -> None:
        """As `Spool.release`."""


class SpoolWriter(Protocol):
    """One piece of content being written."""

    def write(self, data: bytes, /) -> object:
        """Append; raises `StorageFull` when the disk or quota is."""

    def commit(self) -> Content:
        """What was written, complete. When it is durable is for the spool to say."""

    def discard(self) -> None:
        """Forget it; harmless after `commit` was not reached, and when repeated."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One package ready to travel. `content` is the finished Altinn zip.

    `reference` is the transport reference (altinn-transport 4: R1-R8) and stays the same
    for every attempt. `md5` is 32 lower-case hex digits over the same bytes.
    """

    sender: str
    receiver: str
    reference: str
    content: Content
    md5: str
    filename: str = "sbd.zip"


class TransferState(StrEnum):
    """Where a transfer that we announced stands."""

    ANNOUNCED = "announced"
    UPLOADING = "uploading"
    PROCESSING = "processing"
    AVAILABLE = "available"
    FETCHED = "fetched"
    FAILED = "failed"
    GONE = "gone"

    @property
    def uploaded(self) -> bool:
        """The network has all bytes and has not refused them."""
        return self in (
            TransferState.PROCESSING,
            TransferState.AVAILABLE,
            TransferState.FETCHED,
            TransferState.GONE,
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """A package waiting for us. `reoffered`: its download was begun before."""

    transfer_id: str
    sender: str
    receiver: str
    reference: str | None
    created: datetime | None
    size: int | None = None
    md5: str | None = None
    reoffered: bool = False


class Transport(Protocol):
    """A network that carries packages between organisations.

    Parties are nine-digit organisation numbers.
    """

    name: str
    largest: int | None
    """Bytes of the largest package that it carries; None when it has no limit of its own."""

    def announce(self, parcel: Parcel) -> str:
        """Tell the network that a package will come; its transfer id.

        The caller stores the id durably before it calls `upload`, so that a crash in
        between never makes a second package (altinn-transport 6.3).
        """

    def upload(self, transfer_id: str, parcel: Parcel) -> None:
        """Send the bytes. Raises `TransferUnclear` when only `outcome` can tell."""

    def outcome(self, transfer_id: str, sender: str) -> TransferState:
        """What the network says of a transfer that `sender` announced."""

    def check(self, party: str) -> None:
        """See cheaply that connection, credentials and rights of `party` are in order.

        Changes nothing; raises what stands in the way.
        """

    def pending(self, party: str) -> list[Offer]:
        """Packages waiting for `party`, oldest first, foreign channels left out."""

    def fetch(self, offer: Offer, target: BinaryIO) -> int:
        """Write the package to `target`; bytes written. Verified against `offer.md5`."""

    def acknowledge(self, offer: Offer) -> None:
        """Tell the network that we have it durably. Repeating is harmless."""

    def reject(self, offer: Offer, reason: str) -> None:
        """Tell the network that we keep it but cannot use it, and why, as far as the
        network can be told. It is not offered again. Repeating is harmless."""


class Addresses(Protocol):
    """The address registry."""

    def find(self, orgnr: str, process: str | None = None) -> Recipient:
        """The one record that decides how `orgnr` is reached.

        Without `process`, as BEST/EDU asks: the default process (registry 1.7).
        Raises `ReceiverUnknown` when there is none, `RegistryUnavailable` or
        `RegistryRefused` when nobody can say.
        """

    def name(self, orgnr: str) -> str | None:
        """The organisation's name; None when it cannot be found. Never raises."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A PutMessage for an archive."""

    envelope: Envelope
    payload: Melding | AppReceipt


class Archive(Protocol):
    """An archive that takes letters and receipts."""

    name: str

    def put_message(self, delivery: Delivery) -> AppReceipt | None:
        """Hand it over; the archive's answer, None when it answered without a result.

        Raises `ArchiveUnreachable` (nothing was handed over), `ArchiveUnclear` (it may
        have been filed: time-out, connection lost, unreadable answer) or
        `ArchiveFault` (a SOAP Fault or an HTTP error status).
        """
