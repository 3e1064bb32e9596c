"""Transport ``directory``: packages through a shared folder, without any network.

For trials, and for carrying packages by hand to an installation that is not connected.
Each organisation has a folder named by its number, where others put packages for it::

    <orgnr>/<id>.announced      a package will come
    <orgnr>/<id>.part           it is being written
    <orgnr>/<id>.zip            it is ready
    <orgnr>/<id>.json           who sent it, its reference, size and MD5
    <orgnr>/<id>.zip.accepted   the receiver has it durably
    <orgnr>/<id>.zip.rejected   the receiver cannot use it …
    <orgnr>/<id>.zip.err        … because of this

A zip that somebody puts there without a ``.json`` is taken too, when it is named
``something.zip`` after it was written (copy it under another name, then rename it).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from gateway.errors import (
    ConfigurationError,
    DigestMismatch,
    NetworkUnavailable,
    OfferGone,
    TransferFailed,
)
from gateway.ports import Offer, Parcel, TransferState
from gateway.transports.channel import Channel

_log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_ID = re.compile(r"[\w][\w.-]{0,199}")
_ORGNR = re.compile(r"\d{9}", re.ASCII)


class Directory:
    """Implements `ports.Transport`. Several processes and machines may share `folder`.

    `clock` gives the time that is written into announcements.
    """

    name = "directory"
    largest = None

    def __init__(
        self,
        folder: Path,
        *,
        channel: str | None = None,
        accept_any_reference: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._channel = Channel(channel or None, accept_any_reference)
        self._clock = clock

    # --- sending ----------------------------------------------------------------------

    def announce(self, parcel: Parcel) -> str:
        """See `ports.Transport`."""
        transfer_id = f"{parcel.receiver}.{uuid.uuid4().hex}"
        description = {
            "sender": parcel.sender,
            "receiver": parcel.receiver,
            "reference": parcel.reference,
            "size": parcel.content.size,
            "md5": parcel.md5,
            "created": self._clock().isoformat(),
        }
        inbox = self._inbox(parcel.receiver)
        with _trouble("announce"):
            inbox.mkdir(parents=True, exist_ok=True)
            _write(inbox / f"{transfer_id}.announced", description)
        return transfer_id

    def upload(self, transfer_id: str, parcel: Parcel) -> None:
        """See `ports.Transport`. What is already there is left as it is."""
        state = self.outcome(transfer_id, parcel.sender)
        if state.uploaded:
            return
        if state == TransferState.FAILED:
            raise TransferFailed(f"{transfer_id} is not announced, or was rejected")
        place = self._inbox(parcel.receiver)
        part = place / f"{transfer_id}.part"
        digest = hashlib.md5(usedforsecurity=False)
        with _trouble("upload"):
            with parcel.content.open() as source, part.open("wb") as target:
                while piece := source.read(_CHUNK):
                    target.write(piece)
                    digest.update(piece)
                target.flush()
                os.fsync(target.fileno())
            if digest.hexdigest() != parcel.md5:
                part.unlink()
                raise TransferFailed("the package differs from what was announced")
            announced = place / f"{transfer_id}.announced"
            if announced.exists():
                announced.replace(place / f"{transfer_id}.json")
            part.replace(place / f"{transfer_id}.zip")

    def outcome(self, transfer_id: str, sender: str) -> TransferState:
        """See `ports.Transport`. A rejected package has failed; its ``.err`` says why."""
        receiver = transfer_id.partition(".")[0]
        base = self._path(receiver, transfer_id)
        with _trouble("outcome"):
            for ending, state in (
                (".zip", TransferState.AVAILABLE),
                (".zip.accepted", TransferState.FETCHED),
                (".zip.rejected", TransferState.FAILED),
                (".part", TransferState.UPLOADING),
                (".announced", TransferState.ANNOUNCED),
                (".json", TransferState.GONE),
            ):
                if base.with_name(base.name + ending).exists():
                    return state
        return TransferState.FAILED

    # --- receiving --------------------------------------------------------------------

    def pending(self, party: str) -> list[Offer]:
        """See `ports.Transport`."""
        inbox = self._inbox(party)
        offers = []
        with _trouble("pending"):
            if not self._folder.is_dir():
                raise NetworkUnavailable(f"the shared folder {self._folder} is not there")
            if not inbox.is_dir():
                return []
            for path in inbox.glob("*.zip"):
                if path.is_symlink() or not _ID.fullmatch(path.stem):
                    _log.warning("a file in the inbox of %s has an unusable name", party)
                    continue
                with contextlib.suppress(FileNotFoundError):  # taken meanwhile
                    offers.append(self._offer(party, path))
        ours = [offer for offer in offers if self._channel.takes(offer.reference)]
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(ours, key=lambda offer: (offer.created or last, offer.transfer_id))

    def _offer(self, party: str, path: Path) -> Offer:
        status = path.stat()
        described = _read(path.with_suffix(".json"))
        size, md5 = described.get("size"), described.get("md5")
        return Offer(
            transfer_id=path.stem,
            sender=str(described.get("sender") or ""),
            receiver=party,
            reference=str(described["reference"]) if described.get("reference") else None,
            created=_moment(described.get("created"))
            or datetime.fromtimestamp(status.st_mtime, UTC),
            size=size if isinstance(size, int) else status.st_size,
            md5=str(md5) if md5 else None,
        )

    def fetch(self, offer: Offer, target: BinaryIO) -> int:
        """See `ports.Transport`. A package that differs from its MD5 is rejected, and
        `DigestMismatch` raised; `OfferGone` when it is not there any more."""
        path = self._zip(offer)
        digest = hashlib.md5(usedforsecurity=False)
        written = 0
        with _trouble("fetch"):
            try:
                source = path.open("rb")
            except FileNotFoundError as error:
                raise OfferGone(f"{path.name} is not there any more") from error
            with source:
                while piece := source.read(_CHUNK):
                    target.write(piece)
                    digest.update(piece)
                    written += len(piece)
        if offer.md5 is not None and digest.hexdigest() != offer.md5.lower():
            self.reject(offer, "The content differs from the MD5 in the .json file.")
            raise DigestMismatch(f"{path.name}: content differs from its checksum")
        return written

    def acknowledge(self, offer: Offer) -> None:
        """See `ports.Transport`: the file is renamed to ``.zip.accepted``."""
        path = self._zip(offer)
        with _trouble("acknowledge"), contextlib.suppress(FileNotFoundError):
            path.replace(path.with_name(path.name + ".accepted"))

    def reject(self, offer: Offer, reason: str) -> None:
        """See `ports.Transport`: the file is renamed to ``.zip.rejected``, and ``.zip.err``
        explains (UTF-8). What was accepted before stays accepted."""
        path = self._zip(offer)
        with _trouble("reject"), contextlib.suppress(FileNotFoundError):
            path.replace(path.with_name(path.name + ".rejected"))
            path.with_name(path.name + ".err").write_text(reason.rstrip() + "\n", "utf-8")

    def check(self, party: str) -> None:
        """Whether packages of `party` can be read and written. Raises what is in the way.

        Leaves nothing behind; the inbox itself is made by the first package.
        """
        inbox = self._inbox(party)
        with _trouble("check"):
            if not self._folder.is_dir():
                raise NetworkUnavailable(f"the shared folder {self._folder} is not there")
            place = inbox if inbox.is_dir() else self._folder
            probe = place / f".{uuid.uuid4().hex}.probe"
            probe.touch()
            probe.unlink()

    # --- paths ------------------------------------------------------------------------

    def _inbox(self, orgnr: str) -> Path:
        if not _ORGNR.fullmatch(orgnr):
            raise ConfigurationError("transport directory: not an organisation number")
        return self._folder / orgnr

    def _path(self, orgnr: str, transfer_id: str) -> Path:
        if not _ID.fullmatch(transfer_id):
            raise ConfigurationError("transport directory: not one of its transfer ids")
        return self._inbox(orgnr) / transfer_id

    def _zip(self, offer: Offer) -> Path:
        base = self._path(offer.receiver, offer.transfer_id)
        return base.with_name(base.name + ".zip")


@contextlib.contextmanager
def _trouble(operation: str) -> Iterator[None]:
    """What the file system refuses may pass by itself: a share that is away, a full disk."""
    try:
        yield
    except OSError as error:
        raise NetworkUnavailable(f"{operation}: {error.strerror or error}") from error


def _write(path: Path, value: Mapping[str, object]) -> None:
    with path.open("x", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> dict[str, Any]:
    """The description; empty when there is none that can be read."""
    try:
        value = json.loads(path.read_bytes()[: 1 << 16])
    except FileNotFoundError:
        return {}
    except ValueError:
        _log.warning("%s cannot be read; the package is taken without it", path.name)
        return {}
    return value if isinstance(value, dict) else {}


def _moment(value: object) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
