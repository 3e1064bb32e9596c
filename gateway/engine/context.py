"""What the rooms of the engine share."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509

from gateway.engine.clock import Clock
from gateway.errors import ConfigurationError
from gateway.lifecycle import FIRST_RETRY, retry_after
from gateway.model import Event
from gateway.package import Identity, Opened
from gateway.ports import Addresses, Archive, Transport
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.messages import Message
from gateway.translate import Mapping as Translation


@dataclass(frozen=True, slots=True)
class Served:
    """An organisation that we send and receive for, and the habits of its archive.

    `parties_original`: the archive writes its AppReceipts with the parties of the
    letter, so they have to be swapped (P360, bestedu-soap 3.6).
    `archive_sends_receipts`: False for a mailbox, for which we answer the sender.
    """

    orgnr: str
    system: str
    parties_original: bool = False
    archive_sends_receipts: bool = True
    ok_on_empty_payload: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices of one installation.

    `served`: our own organisation, whose certificate signs, and then those that we act
    on behalf of (dpo-packaging 2.3).
    """

    served: tuple[Served, ...]
    process: str
    fallback_sender: str = "999999999"
    max_letter_bytes: int = 1024**3
    time_to_live: timedelta = timedelta(hours=24)
    channel: str | None = None
    first_retry: timedelta = FIRST_RETRY
    unclear_wait: timedelta = timedelta(minutes=10)
    """How long an archive's own AppReceipt is waited for when its answer was lost."""
    deadline_grace: timedelta = timedelta(minutes=10)
    """How much later than its deadline a letter's statuses may still come."""
    receipt_wait: timedelta | None = timedelta(hours=24)
    """How long the AppReceipt of an archive that took a letter is waited for; None: for ever."""

    @property
    def own(self) -> Served:
        """The organisation that runs the gateway."""
        return self.served[0]

    def find(self, orgnr: str | None) -> Served | None:
        """The organisation with this number, when it is one of ours."""
        return next((one for one in self.served if one.orgnr == orgnr), None)

    def acting(self, orgnr: str | None) -> Served:
        """The one with this number; our own when it is none of ours."""
        return self.find(orgnr) or self.own


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The store and the policy: what it takes to keep a `gateway.engine.ledger.Ledger`.

    `observers` are told of every event once it is durable. `clock` is where `now` comes
    from in a gateway that runs.
    """

    database: Database
    blobs: BlobStore
    policy: Policy
    vet_signer: Callable[[Opened], Sequence[str]] = lambda opened: ()
    """What speaks against a package's signer; raises `SignerUntrusted` to refuse it."""
    now: Callable[[], datetime] = _now
    clock: Clock | None = None
    new_id: Callable[[], str] = _new_id
    observers: list[Callable[[Message, Event], None]] = field(default_factory=list)

    def is_over(self, deadline: datetime | None) -> bool:
        """Whether a deadline has certainly passed: nothing expires by a doubtful clock."""
        if deadline is None or self.now() <= deadline:
            return False
        return self.clock is None or not self.clock.trust().doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Books):
    """The books and the neighbours.

    `archives`: the archive of each organisation that we serve, by its number.
    `identities`: our keys, the current one first, so that packages for an older
    certificate still open.
    """

    transport: Transport
    addresses: Addresses
    archives: Mapping[str, Archive]
    identities: Sequence[Identity]
    mapping: Translation
    vet_receiver: Callable[[x509.Certificate], Sequence[str]] = lambda certificate: ()
    """What speaks against a receiver's certificate; raises `CertificateUnusable` to refuse it."""
    spread: Callable[[], float] = random.random

    def archive_of(self, orgnr: str) -> Archive:
        """Whom letters to `orgnr` are handed to. Raises `ConfigurationError`."""
        archive = self.archives.get(orgnr)
        if archive is None:
            raise ConfigurationError(f"{orgnr} is not served here any more")
        return archive

    def retry_at(self, failures: int) -> datetime:
        """When to try again after the `failures`-th failure."""
        return self.now() + retry_after(failures, self.policy.first_retry, self.spread())
