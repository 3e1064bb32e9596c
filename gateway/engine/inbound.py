"""Taking in what the network offers: letters, receipts, statuses and the rest.

The order is fetch, verify, store, and only then acknowledge (altinn-transport 6.4), so
that nothing is lost by dying in between; what was stored is recognised when it is
offered again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from gateway.engine.context import Context
from gateway.engine.ledger import LETTER_TYPE, RECEIPT_PROCESS, Entry, Ledger
from gateway.errors import (
    BadSbd,
    DigestMismatch,
    ExpiredOnArrival,
    GatewayError,
    OfferGone,
    PackageError,
)
from gateway.lifecycle import Fact
from gateway.model import Direction, Document, Status
from gateway.package import Opened, Sbd, open_package, read_sbd_only
from gateway.ports import Offer
from gateway.store import arrivals, messages
from gateway.store.arrivals import ArrivalState
from gateway.store.messages import Duplicate, Kind, Message, Role
from gateway.store.tables import message as messages_table

log = logging.getLogger(__name__)

_BROKEN_FETCHES = 3


class Inbound:
    """Polls for an organisation and stores what comes."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._context = context
        self._ledger = ledger

    def poll(self, orgnr: str) -> int:
        """Take in everything that waits for `orgnr`; how many packages that was.

        Raises `GatewayError` when the network cannot be asked; one package that fails
        does not stop the others.
        """
        offers = self._context.transport.pending(orgnr)
        taken = 0
        for offer in offers:
            try:
                taken += self._handle(offer)
            except PackageError as error:  # the package itself: never retried in vain
                log.error("package %s cannot be used: %s", offer.transfer_id, error.detail)
            except GatewayError as error:
                log.warning("package %s is tried again: %s", offer.transfer_id, error.detail)
        return taken

    def _handle(self, offer: Offer) -> int:
        with self._context.database.read() as tx:
            known = arrivals.state(tx, offer.transfer_id)
        if known in (None, ArrivalState.SEEN):
            try:
                self._take_in(offer)
            except OfferGone as error:
                log.error("package %s was gone before we had it: %s", offer.transfer_id, error)
                with self._ledger.entry() as entry:
                    self._mark(entry, offer, ArrivalState.GONE)
                return 0
        self._context.transport.acknowledge(offer)
        with self._ledger.entry() as entry:
            if arrivals.state(entry.tx, offer.transfer_id) is not ArrivalState.QUARANTINED:
                self._mark(entry, offer, ArrivalState.CONFIRMED)
        return 1

    def _mark(self, entry: Entry, offer: Offer, state: ArrivalState) -> None:
        arrivals.record(entry.tx, offer.transfer_id, offer.receiver, state, entry.now)

    def _take_in(self, offer: Offer) -> None:
        context = self._context
        scratch = context.blobs.scratch()
        with ExitStack() as cleanup:
            cleanup.callback(scratch.unlink, missing_ok=True)
            with scratch.open("xb+") as file:
                self._fetch(offer, file)
                file.seek(0)
                try:
                    opened = open_package(
                        file,
                        identities=context.identities,
                        spool=context.blobs.bundle(),
                    )
                    warnings = self._vet(offer, opened)
                except PackageError as error:
                    problem = error
                else:
                    self._store(offer, opened, warnings)
                    return
            self._quarantine(offer, scratch, problem)

    def _vet(self, offer: Offer, opened: Opened) -> tuple[str, ...]:
        """What is odd about a sound package; raises when it must not be handed on."""
        try:
            if opened.sbd.receiver != offer.receiver:
                raise BadSbd(f"receiver {opened.sbd.receiver}, but it was sent to {offer.receiver}")
            problems = self._context.vet_signer(opened)
            self._refuse_namesake(opened)
        except PackageError:
            self._context.blobs.release(one.content for one in opened.documents)
            raise
        return (*opened.notes, *problems)

    def _refuse_namesake(self, opened: Opened) -> None:
        """A message id that came before with other content is somebody's mistake, or worse
        (altinn-transport 6.5): nothing is delivered, and a person looks at it."""
        with self._context.database.read() as tx:
            known = messages.find(tx, messages_table.c.duplicate_key == _key(opened.sbd))
        if known is not None and known.content_hash not in (None, _content_hash(opened)):
            raise BadSbd(f"message {known.message_id} came before with other content")

    def _fetch(self, offer: Offer, file: BinaryIO) -> None:
        """Download; what never agrees with its checksum is opened, and then found broken."""
        try:
            self._context.transport.fetch(offer, file)
        except DigestMismatch as error:
            with self._ledger.entry() as entry:
                times = arrivals.failed(
                    entry.tx, offer.transfer_id, offer.receiver, entry.now, error.detail
                )
            if times < _BROKEN_FETCHES:
                raise

    def _store(self, offer: Offer, opened: Opened, warnings: tuple[str, ...]) -> None:
        self._context.blobs.keep(one.content for one in opened.documents)
        with self._ledger.entry() as entry:
            match opened.sbd.type:
                case "status":
                    self._status(entry, opened.sbd)
                case "arkivmelding_kvittering":
                    self._receipt(entry, offer, opened.sbd)
                case "arkivmelding":
                    self._letter(entry, offer, opened, Kind.LETTER, warnings)
                case _:
                    self._letter(entry, offer, opened, Kind.OTHER, warnings)
            self._mark(entry, offer, ArrivalState.STORED)

    # --- what an SBD means ------------------------------------------------------------

    def _letter(
        self,
        entry: Entry,
        offer: Offer,
        opened: Opened,
        kind: Kind,
        warnings: tuple[str, ...],
    ) -> None:
        sbd = opened.sbd
        new = self._message(
            entry,
            offer,
            sbd,
            kind,
            document_type=sbd.standard or (LETTER_TYPE if kind is Kind.LETTER else sbd.type),
            signature=None if opened.signature is None else asdict(opened.signature),
            warnings=warnings,
            content_hash=_content_hash(opened),
            duplicate_key=_key(sbd),
        )
        if kind is Kind.LETTER and self._context.is_over(sbd.expires):
            told = ExpiredOnArrival()
            begins = (Fact.EXPIRED, told.text, told.receipt)
        else:
            begins = (Fact.ARRIVED, None, None)
        try:
            letter = entry.begin(new, *begins)
        except Duplicate:
            self._repeat_status(entry, new)
            for one in opened.documents:  # the first time's are kept, these are not needed
                self._context.blobs.discard(one.content)
            return
        metadata = next(
            (one for one in opened.documents if one.filename == "arkivmelding.xml"), None
        )
        files = [one for one in opened.documents if one is not metadata]
        messages.add_contents(entry.tx, [(letter.row_id, metadata, files)])
        said = sbd.unknown if sbd.avtalt is None else sbd.avtalt
        if said is not None:
            content = self._business_message(said, "melding" if sbd.avtalt is None else "avtalt")
            messages.add_documents(entry.tx, letter.row_id, [content], Role.BUSINESS)

    def _business_message(self, said: Mapping[str, Any], name: str) -> Document:
        """What lies outside the files of a message, for whoever picks it up."""
        writer = self._context.blobs.create()
        try:
            writer.write(json.dumps(said, ensure_ascii=False, indent=2).encode())
            content = writer.commit()
        finally:
            writer.discard()
        self._context.blobs.keep([content])
        return Document(f"{name}.json", "application/json", content)

    def _receipt(self, entry: Entry, offer: Offer, sbd: Sbd) -> None:
        letter = self._original(entry, sbd)
        if letter is not None and letter.receiver != sbd.sender:
            log.error(
                "a receipt for message_id=%s came from %s and not from its receiver; ignored",
                letter.message_id,
                sbd.sender,
            )
            return
        if letter is None:
            log.warning("a receipt from %s is for a letter that we did not send", sbd.sender)
        receipt = sbd.receipt
        assert receipt is not None, "read_sbd gives every kvittering its receipt"
        earlier = letter and entry.answered(letter)
        new = self._message(
            entry,
            offer,
            sbd,
            Kind.RECEIPT,
            document_type=sbd.standard,
            receipt=receipt,
            related_to=letter.message_id if letter else sbd.related_to_message_id,
            duplicate_key=_key(sbd),
        )
        if letter is not None and letter.archive_conversation_id is not None:
            new = _with(new, archive_conversation_id=letter.archive_conversation_id)
        try:
            stored = messages.add(entry.tx, new)
        except Duplicate:
            self._repeat_status(entry, new)
            return
        if letter is not None:
            fact = Fact.KVITTERING_ACCEPTED if receipt.type.accepted else Fact.KVITTERING_REFUSED
            entry.record(letter, fact, f"ArkivmeldingKvittering: {receipt.type}")
        if letter is None or (earlier is not None and self._told(entry, letter)):
            # Its archive has had its one answer from us; keep this one as evidence.
            entry.send_status(stored, Status.MOTTATT)
            return
        entry.record(stored, Fact.ARRIVED)

    def _told(self, entry: Entry, letter: Message) -> bool:
        columns = messages_table.c
        return (
            messages.find(
                entry.tx, columns.related_to == letter.message_id, columns.kind == Kind.NOTICE
            )
            is not None
        )

    def _original(self, entry: Entry, sbd: Sbd) -> Message | None:
        """The letter that a receipt is for (registry-and-statuses 2.3)."""
        columns = messages_table.c
        ours = (
            columns.direction == Direction.OUTGOING,
            columns.kind == Kind.LETTER,
            columns.sender == sbd.receiver,
        )
        if sbd.related_to_message_id:
            found = messages.find(
                entry.tx, *ours, columns.message_id == sbd.related_to_message_id.lower()
            )
            if found is not None:
                return found
        same = messages.select(
            entry.tx, *ours, columns.conversation_id == sbd.conversation_id, limit=2
        )
        return same[0] if len(same) == 1 else None

    def _status(self, entry: Entry, sbd: Sbd) -> None:
        facts = {"MOTTATT": Fact.REPORTED_MOTTATT, "LEVERT": Fact.REPORTED_LEVERT}
        fact = facts.get((sbd.status or "").upper())
        original = messages.find(
            entry.tx,
            messages_table.c.direction == Direction.OUTGOING,
            messages_table.c.kind.in_((Kind.LETTER, Kind.RECEIPT, Kind.OTHER)),
            messages_table.c.message_id == sbd.message_id,
            messages_table.c.sender == sbd.receiver,
        )
        if original is None or fact is None:
            log.warning("status %s for %s has no message here", sbd.status, sbd.message_id)
            return
        if original.receiver != sbd.sender:
            log.error(
                "status for message_id=%s came from %s, not from its receiver; ignored",
                original.message_id,
                sbd.sender,
            )
            return
        known = set(messages.statuses(entry.tx, original.row_id))
        if Status((sbd.status or "").upper()) not in known:
            entry.record(original, fact)

    def _message(
        self, entry: Entry, offer: Offer, sbd: Sbd, kind: Kind, **columns: object
    ) -> Message:
        new = Message(
            direction=Direction.INCOMING,
            kind=kind,
            message_id=sbd.message_id,
            conversation_id=sbd.conversation_id,
            archive_conversation_id=sbd.conversation_id,
            sender=sbd.sender,
            receiver=sbd.receiver,
            sender_ref=sbd.sender_ref,
            receiver_ref=sbd.receiver_ref,
            process=sbd.process or RECEIPT_PROCESS,
            channel=sbd.channel,
            channel_id=sbd.channel_id,
            transport_ref=offer.reference,
            created=entry.now,
            expires=sbd.expires,
        )
        return _with(new, **columns)

    def _repeat_status(self, entry: Entry, again: Message) -> None:
        """A message that we have already: say again how far it has come (decision 11)."""
        original = messages.find(entry.tx, messages_table.c.duplicate_key == again.duplicate_key)
        assert original is not None
        delivered = original.state is Status.INNKOMMENDE_LEVERT
        log.info("message_id=%s was offered again; not delivered twice", original.message_id)
        entry.send_status(original, Status.LEVERT if delivered else Status.MOTTATT)

    # --- what cannot be used ----------------------------------------------------------

    def _quarantine(self, offer: Offer, scratch: Path, problem: PackageError) -> None:
        """Keep the original for the operator, and tell the sender when we can."""
        context = self._context
        try:
            with scratch.open("rb") as file:
                sbd = read_sbd_only(file)
        except PackageError:
            sbd = None
        kept = context.blobs.adopt(scratch, scratch.stat().st_size, "")
        with self._ledger.entry() as entry:
            arrivals.record(
                entry.tx,
                offer.transfer_id,
                offer.receiver,
                ArrivalState.QUARANTINED,
                entry.now,
                problem=problem.problem,
                quarantine=kept.key,
            )
            if sbd is None or sbd.type != "arkivmelding" or sbd.receiver != offer.receiver:
                return
            unusable = self._message(
                entry,
                offer,
                sbd,
                Kind.LETTER,
                document_type=sbd.standard,
                warnings=(problem.detail,),
                duplicate_key=_key(sbd),
            )
            try:
                letter = messages.add(entry.tx, unusable)
            except Duplicate:
                return
            entry.record(letter, Fact.UNDELIVERABLE, problem.text, problem.receipt)


def _key(sbd: Sbd) -> str:
    """What makes two messages the same (altinn-transport 6.5)."""
    return f"in|{sbd.receiver}|{sbd.sender}|{sbd.type}|{sbd.message_id}"


def _content_hash(opened: Opened) -> str:
    """The same for two packages with the same files, in whatever order."""
    digest = hashlib.sha256()
    for line in sorted(f"{one.content.sha256} {one.filename}\n" for one in opened.documents):
        digest.update(line.encode())
    return digest.hexdigest()


def _with(message: Message, **columns: object) -> Message:
    return replace(message, **columns)  # type: ignore[arg-type]
