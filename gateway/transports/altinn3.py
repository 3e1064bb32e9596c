"""Transport ``altinn3``: packages over Altinn 3 Broker (altinn-transport 1, 4 and 6).

The rules that the broker makes necessary are here: which of the two lists is asked when,
what a repeated confirm means, how an interrupted download goes on, whose channel a
package is for.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import httpx

from gateway.errors import (
    DigestMismatch,
    GatewayError,
    NetworkUnavailable,
    OfferGone,
    TransferFailed,
    TransferUnclear,
    Unavailable,
)
from gateway.http import explain
from gateway.ports import Offer, Parcel, TransferState
from gateway.tokens import TokenSource
from gateway.transports.broker import BrokerCalls, Overview, Refusal, meaning
from gateway.transports.channel import Channel
from gateway.transports.pace import Pace

_log = logging.getLogger(__name__)

_PAGE = 100
_PAGES = 10
_DOWNLOADS = 3
_EVERY = 4
"""The list of begun downloads is asked for in every fourth round."""

_STATES = {
    "Initialized": TransferState.ANNOUNCED,
    "UploadStarted": TransferState.UPLOADING,
    "UploadProcessing": TransferState.PROCESSING,
    "Published": TransferState.AVAILABLE,
    "AllConfirmedDownloaded": TransferState.FETCHED,
    "Cancelled": TransferState.FAILED,
    "Failed": TransferState.FAILED,
}


@dataclass(slots=True)
class _Known:
    """What we learnt of an offered id, so that it is looked up once (P3, P4)."""

    offer: Offer | None
    """None when it is not for us."""
    changed: datetime | None


@dataclass(slots=True)
class _Inbox:
    """One organisation's polling."""

    rounds_since_started: int = _EVERY
    known: dict[str, _Known] = field(default_factory=dict)
    continue_from: dict[str, datetime] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Altinn3:
    """Implements `ports.Transport`. Threads may share it.

    `parties` maps the organisations that we act for to their system user's external
    reference. Without `channel`, packages for named channels of other installations are
    left alone (R6); `accept_any_reference` takes everything, for an installation that is
    the organisation's only receiver. `largest` is the resource's limit, in bytes.
    """

    name = "altinn3"

    def __init__(
        self,
        base_url: str,
        resource: str,
        tokens: TokenSource,
        *,
        parties: Mapping[str, str | None],
        http: httpx.Client,
        channel: str | None = None,
        accept_any_reference: bool = False,
        pace: Pace | None = None,
        largest: int | None = None,
    ) -> None:
        self.largest = largest
        self._resource = resource
        self._broker = BrokerCalls(base_url, tokens, parties, http=http, pace=pace or Pace())
        self._channel = Channel(channel or None, accept_any_reference)
        self._inboxes = {party: _Inbox() for party in parties}
        self._foreign: dict[str, int] = dict.fromkeys(parties, 0)
        self._confirmed_before: set[str] = set()

    # --- sending ----------------------------------------------------------------------

    def announce(self, parcel: Parcel) -> str:
        """See `ports.Transport`. Announcing again is harmless: what is never uploaded is
        never seen by anybody (6.3)."""
        body = {
            "fileName": parcel.filename,
            "resourceId": self._resource,
            "sendersFileTransferReference": parcel.reference,
            "sender": f"0192:{parcel.sender}",
            "recipients": [f"0192:{parcel.receiver}"],
            "propertyList": {},
            "checksum": parcel.md5,
        }
        try:
            return self._broker.initialize(parcel.sender, body)
        except Refusal as refusal:
            raise meaning(refusal) from refusal

    def upload(self, transfer_id: str, parcel: Parcel) -> None:
        """See `ports.Transport`. Raises `TransferFailed` when the id is spent and the
        package must be announced anew, `TransferUnclear` when only `outcome` can tell."""
        try:
            self._broker.upload(parcel.sender, transfer_id, parcel.content)
        except Refusal as refusal:
            if refusal.status == 409:
                self._uploaded_before(transfer_id, parcel.sender, refusal)
                return
            if refusal.status >= 500 and not refusal.code:
                raise TransferUnclear(str(refusal), retry_after=refusal.retry_after) from refusal
            raise meaning(refusal) from refusal

    def _uploaded_before(self, transfer_id: str, sender: str, refusal: Refusal) -> None:
        """A 409 says that there was an upload, not how it ended: the overview knows."""
        try:
            state = self.outcome(transfer_id, sender)
        except Unavailable as error:
            raise TransferUnclear(f"{refusal}; {error.detail}") from error
        if state == TransferState.FAILED:
            raise TransferFailed(str(refusal))
        if not state.uploaded:
            raise TransferUnclear(str(refusal))

    def outcome(self, transfer_id: str, sender: str) -> TransferState:
        """See `ports.Transport`. A transfer that the network does not know, or that it
        threw away before it was published, has failed."""
        try:
            overview = self._broker.overview(sender, transfer_id)
        except Refusal as refusal:
            if refusal.status == 404:
                return TransferState.FAILED
            raise meaning(refusal) from refusal
        if overview.status == "Purged":
            return TransferState.GONE if overview.published else TransferState.FAILED
        state = _STATES.get(overview.status)
        if state is None:
            raise NetworkUnavailable(f"overview: unknown status {overview.status[:40]!r}")
        if state == TransferState.FAILED:
            _log.warning("transfer %s failed: %s", transfer_id, overview.text[:300])
        return state

    # --- receiving --------------------------------------------------------------------

    def pending(self, party: str) -> list[Offer]:
        """See `ports.Transport`; the algorithm P1-P6 of altinn-transport 1.7.

        When limits or an outage cut a round short, what was found is returned; an error
        is raised only when nothing was found.
        """
        inbox = self._inboxes.setdefault(party, _Inbox())
        with inbox.lock:
            inbox.rounds_since_started += 1
            return _Round(self, party, inbox).run(inbox.rounds_since_started >= _EVERY)

    def skipped(self, party: str) -> int:
        """Packages left alone because they are for another installation (R8). They expire
        after 30 days if nobody takes them."""
        return self._foreign.get(party, 0)

    def fetch(self, offer: Offer, target: BinaryIO) -> int:
        """See `ports.Transport`. `target` is written from its start and must be seekable.

        An interrupted download goes on where it stopped. Raises `NetworkUnavailable`,
        `OfferGone` when the network no longer has it, `DigestMismatch` when three whole
        downloads had wrong content.
        """
        for _ in range(_DOWNLOADS):
            size, md5 = self._download(offer, target)
            if offer.md5 is not None and md5 != offer.md5.lower():
                _log.warning("transfer %s: checksum differs, fetched again", offer.transfer_id)
            elif offer.md5 is None and offer.size is not None and size != offer.size:
                _log.warning("transfer %s: length differs, fetched again", offer.transfer_id)
            else:
                return size
        raise DigestMismatch(f"transfer {offer.transfer_id}: content differs from its checksum")

    def _download(self, offer: Offer, target: BinaryIO) -> tuple[int, str]:
        """One whole file into `target`: its size and MD5. Goes on after interruptions as
        long as each brings us further."""
        digest = hashlib.md5(usedforsecurity=False)
        written = furthest = stalled = 0
        while True:
            try:
                with self._broker.download(offer.receiver, offer.transfer_id, written) as response:
                    if response.status_code != 206:  # not a part: the file from its start
                        target.seek(0)
                        target.truncate()
                        digest, written = hashlib.md5(usedforsecurity=False), 0
                    expected = response.headers.get("Content-Length", "")
                    whole = written + int(expected) if expected.isdigit() else None
                    for piece in response.iter_raw():
                        target.write(piece)
                        digest.update(piece)
                        written += len(piece)
                if whole is None or written == whole:
                    return written, digest.hexdigest()
                trouble = f"{written} of {whole} bytes"
            except httpx.HTTPError as error:
                trouble = explain(error)
            except Refusal as refusal:
                if refusal.code == "BRO-00029":
                    # Nothing is left after what we have: the file ended there.
                    return written, digest.hexdigest()
                raise _not_fetched(refusal) from refusal
            stalled = 0 if written > furthest else stalled + 1
            furthest = max(furthest, written)
            if stalled >= _DOWNLOADS:
                raise NetworkUnavailable(f"download of {offer.transfer_id}: {trouble}")
            _log.info("download of %s goes on at byte %d: %s", offer.transfer_id, written, trouble)

    def acknowledge(self, offer: Offer) -> None:
        """See `ports.Transport`; the confirm rules of altinn-transport 1.5.8 and 6.4."""
        first = offer.transfer_id not in self._confirmed_before
        self._confirmed_before.add(offer.transfer_id)
        self._confirm(offer, first)
        self._confirmed_before.discard(offer.transfer_id)

    def reject(self, offer: Offer, reason: str) -> None:
        """See `ports.Transport`. The broker knows no refusal: left alone the package would
        only be offered until it expires, so it is confirmed (6.4)."""
        self.acknowledge(offer)
        _log.warning("transfer %s is kept but not used: %s", offer.transfer_id, reason)

    def _confirm(self, offer: Offer, first: bool) -> None:
        try:
            self._broker.confirm(offer.receiver, offer.transfer_id)
            return
        except Refusal as refusal:
            if refusal.status == 404:
                return  # the network forgot it; we have it
            if refusal.code == "BRO-00019":
                self._begin_download(offer)
            elif refusal.code in ("BRO-00010", "BRO-00003"):
                if first and not offer.reoffered:
                    _log.warning(
                        "transfer %s was confirmed by somebody else: is another installation"
                        " consuming packages of %s?",
                        offer.transfer_id,
                        offer.receiver,
                    )
                self._confirmed_already(offer, refusal)
                return
            else:
                raise meaning(refusal) from refusal
        try:
            self._broker.confirm(offer.receiver, offer.transfer_id)
        except Refusal as refusal:
            raise meaning(refusal) from refusal

    def _begin_download(self, offer: Offer) -> None:
        """The network does not remember that we fetched it: let it see a download."""
        try:
            with self._broker.download(offer.receiver, offer.transfer_id, 0, 0) as response:
                response.read()
        except httpx.HTTPError as error:
            raise NetworkUnavailable(f"download: {explain(error)}") from error
        except Refusal as refusal:
            raise meaning(refusal) from refusal

    def _confirmed_already(self, offer: Offer, refusal: Refusal) -> None:
        """Harmless when the overview shows our confirmation, or that the file is gone."""
        try:
            overview = self._broker.overview(offer.receiver, offer.transfer_id)
        except Refusal as unknown:
            if unknown.status == 404:
                return
            raise meaning(unknown) from unknown
        confirmed = overview.recipients.get(offer.receiver) == "DownloadConfirmed"
        if confirmed or overview.status in ("AllConfirmedDownloaded", "Purged", "Failed"):
            return
        raise NetworkUnavailable(str(refusal))

    def check(self, party: str) -> None:
        """Whether credentials, rights and connection are in order for `party`.

        Raises what stands in the way; costs one search.
        """
        query = {"resourceId": self._resource, "status": "Published", "role": "recipient"}
        try:
            self._broker.list(party, query)
        except Refusal as refusal:
            raise meaning(refusal) from refusal


class _Round:
    """One poll of one organisation."""

    def __init__(self, transport: Altinn3, party: str, inbox: _Inbox) -> None:
        self._transport = transport
        self._broker = transport._broker
        self._party = party
        self._inbox = inbox
        self._trouble: GatewayError | None = None
        self._listing_ended = False
        self._lookups_ended = False

    def run(self, started_too: bool) -> list[Offer]:
        listed = dict.fromkeys(self._ids("Initialized"), False)
        whole = started_too and not self._listing_ended
        if whole:
            trouble = self._trouble
            listed |= dict.fromkeys(self._ids("DownloadStarted"), True)
            if self._listing_ended:
                # Asked for again in the next round; the first list has told its news.
                self._trouble, whole = trouble, False
            else:
                self._inbox.rounds_since_started = 0
        offers: list[Offer] = []
        for transfer_id, reoffered in listed.items():
            known = self._look_up(transfer_id, reoffered)
            if known is not None and known.offer is not None:
                offers.append(known.offer)
        if self._trouble is not None:
            if not offers:
                raise self._trouble
            _log.warning("polling for %s was cut short: %s", self._party, self._trouble.detail)
        elif whole and not self._inbox.continue_from:
            self._inbox.known = {i: k for i, k in self._inbox.known.items() if i in listed}
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(offers, key=lambda offer: offer.created or last)

    def _ids(self, recipient_status: str) -> list[str]:
        """All ids of one list, page by page (P6). A list too long for one round, or for
        the search budget, is continued in the next."""
        found: dict[str, None] = {}
        since = self._inbox.continue_from.pop(recipient_status, None)
        for _ in range(_PAGES):
            needed = recipient_status == "Initialized" and not found
            page = self._page(recipient_status, since, None if needed else 0.0)
            found.update(dict.fromkeys(page))
            if self._listing_ended:
                break
            if len(page) < _PAGE:
                return list(found)
            known = self._look_up(page[-1], recipient_status == "DownloadStarted")
            changed = known.changed if known is not None else None
            following = changed - timedelta(milliseconds=1) if changed is not None else None
            if following is None or following == since:
                return list(found)
            since = following
        if since is not None:
            self._inbox.continue_from[recipient_status] = since
        return list(found)

    def _page(
        self, recipient_status: str, since: datetime | None, patience: float | None
    ) -> list[str]:
        query = {
            "resourceId": self._transport._resource,
            "status": "Published",
            "recipientStatus": recipient_status,
            "orderAscending": "true",
        }
        if since is not None:
            query["from"] = since.isoformat()
        try:
            return self._broker.list(self._party, query, patience=patience)
        except Refusal as refusal:
            self._note(meaning(refusal))
        except GatewayError as error:
            self._note(error)
        self._listing_ended = True
        return []

    def _look_up(self, transfer_id: str, reoffered: bool) -> _Known | None:
        known = self._inbox.known.get(transfer_id)
        if known is not None:
            if known.offer is not None and known.offer.reoffered != reoffered:
                known.offer = _as_reoffered(known.offer, reoffered)
            return known
        if self._lookups_ended:
            return None
        try:
            overview = self._broker.overview(self._party, transfer_id, patience=0.0)
        except Refusal as refusal:
            if refusal.status == 404:
                self._inbox.known[transfer_id] = gone = _Known(None, None)
                return gone
            self._note(meaning(refusal))
            self._lookups_ended = refusal.status == 429
            return None
        except GatewayError as error:
            self._note(error)
            self._lookups_ended = True
            return None
        self._inbox.known[transfer_id] = known = self._decide(transfer_id, overview, reoffered)
        return known

    def _decide(self, transfer_id: str, overview: Overview, reoffered: bool) -> _Known:
        if overview.recipients.get(self._party) == "DownloadConfirmed":
            return _Known(None, overview.changed)
        if overview.status in ("Purged", "Failed", "Cancelled", "AllConfirmedDownloaded"):
            return _Known(None, overview.changed)
        if not self._transport._channel.takes(overview.reference):
            self._transport._foreign[self._party] = self._transport.skipped(self._party) + 1
            _log.info("transfer %s is for another installation; left alone", transfer_id)
            return _Known(None, overview.changed)
        offer = Offer(
            transfer_id=transfer_id,
            sender=overview.sender,
            receiver=self._party,
            reference=overview.reference,
            created=overview.created,
            size=overview.size,
            md5=overview.checksum,
            reoffered=reoffered,
        )
        return _Known(offer, overview.changed)

    def _note(self, error: GatewayError) -> None:
        self._trouble = self._trouble or error


def _as_reoffered(offer: Offer, reoffered: bool) -> Offer:
    return Offer(
        offer.transfer_id,
        offer.sender,
        offer.receiver,
        offer.reference,
        offer.created,
        offer.size,
        offer.md5,
        reoffered,
    )


def _not_fetched(refusal: Refusal) -> GatewayError:
    if refusal.status == 404 or refusal.code == "BRO-00007":
        return OfferGone(str(refusal))
    return meaning(refusal)
