"""The nouns of the field, as frozen values.

Nothing here does anything: no I/O, no clock, no XML parsing. Big content is never a
``bytes`` field; it is a `Content`, which knows its size and checksum and can be opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:
    from lxml import etree

MELDING_NAMESPACE = "http://www.arkivverket.no/Noark4-1-WS-WD/types"
EXCHANGE_NAMESPACE = "http://www.arkivverket.no/Noark/Exchange/types"


class Content(Protocol):
    """Bytes that lie somewhere else: a stored blob, a file, a zip entry."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, 64 lower-case hex digits."""

    def open(self) -> BinaryIO:
        """A new stream from the first byte; the caller closes it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file of a letter. `filename` is also its name in the package."""

    filename: str
    mime_type: str
    content: Content
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """Sender or receiver of a BEST/EDU envelope (``AddressType``).

    `orgnr` is nine digits on valid traffic, but kept as it came: empty, or None when
    the element was missing.
    """

    orgnr: str | None
    name: str | None = None
    email: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """``EnvelopeType`` of a PutMessage; everything that may be missing is None."""

    sender: Party | None
    receiver: Party | None
    conversation_id: str | None
    content_namespace: str | None = MELDING_NAMESPACE


@dataclass(frozen=True, slots=True)
class Melding:
    """A Noark 4 letter as a tree without the documents' content.

    In `root` every ``base64`` element is empty and carries the attribute ``ref``, a key
    of `contents`. A ``base64`` without ``ref`` had no usable content. Names are compared
    by local name: archives write children both with and without namespace.
    """

    root: etree._Element
    contents: Mapping[str, Content] = field(default_factory=dict)


CONTENT_REF = "ref"
"""Attribute of ``base64`` in `Melding.root` that names its content."""


class ReceiptType(StrEnum):
    """``AppReceiptType/@type``; also ``receiptType`` of an arkivmelding_kvittering."""

    OK = "OK"
    WARNING = "WARNING"
    ERROR = "ERROR"
    NOTSUPPORTED = "NOTSUPPORTED"

    @property
    def accepted(self) -> bool:
        """Whether the archive has filed the letter (registry-and-statuses 2.2)."""
        return self in (ReceiptType.OK, ReceiptType.WARNING)


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """One ``message`` of an AppReceipt. Texts may be long; they are never cut."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class AppReceipt:
    """What one archive says of a letter, or what PutMessage answers. Order is kept."""

    type: ReceiptType
    messages: tuple[StatusMessage, ...] = ()


OK = AppReceipt(ReceiptType.OK)


class Direction(StrEnum):
    """Seen from our archive."""

    OUTGOING = "OUTGOING"
    INCOMING = "INCOMING"


class Status(StrEnum):
    """The network's status vocabulary (registry-and-statuses 2.1)."""

    OPPRETTET = "OPPRETTET"
    SENDT = "SENDT"
    MOTTATT = "MOTTATT"
    LEVERT = "LEVERT"
    LEST = "LEST"
    FEIL = "FEIL"
    ANNET = "ANNET"
    INNKOMMENDE_MOTTATT = "INNKOMMENDE_MOTTATT"
    INNKOMMENDE_LEVERT = "INNKOMMENDE_LEVERT"
    LEVETID_UTLOPT = "LEVETID_UTLOPT"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a message, with its time and cause."""

    at: datetime
    status: Status
    description: str | None = None


class Outcome(StrEnum):
    """What became of a value in translation."""

    LOST = "lost"
    """It is not in the result at all."""
    CHANGED = "changed"
    """It is there, but the receiver sees something else."""
    DEFAULTED = "defaulted"
    """The result states something that the source did not say."""
    REPAIRED = "repaired"
    """The source could not be read as it stood; a sensible reading was used."""


class Loss(NamedTuple):
    """One value that the receiver does not see as it was sent.

    `path` is under the source's root, with 1-based positions where a group repeats
    (``journpost/avsmot[2]/amOrgnr``); `kind` says what the value is (``text``, ``code``,
    ``date``, ``integer``, ``group``), never the value itself, so that a loss may be
    logged; `home` is where profile ``rich`` would put it, None when nowhere.
    `value` is for reports that a person asked for; it is never logged.
    """

    path: str
    outcome: Outcome
    kind: str
    reason: str
    home: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """What the address registry says of one organisation in one process."""

    orgnr: str
    name: str | None
    service: str
    """``DPO``, ``DPV``, ``DPF`` …"""
    process: str
    certificate_pem: str | None = None
    security_level: int | None = None
