"""Sending: package once, announce, upload, and watch until the network offers it.

A crash or a lost answer anywhere in between never makes a second package at the
receiver (altinn-transport 6.3): the transfer id is durable before the upload, and the
network is asked before anything is sent again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509

from gateway.engine.context import Context
from gateway.engine.ledger import Entry, Ledger
from gateway.engine.neighbours import Neighbours, last_problem, way_to_receiver
from gateway.errors import (
    CannotHandle,
    CertificateUnusable,
    DroppedByNetwork,
    ExpiredUnsent,
    GatewayError,
    NetworkRefused,
    Retry,
    TransferFailed,
    Unavailable,
)
from gateway.lifecycle import Circuit, Fact
from gateway.model import Document, Status
from gateway.package import Sbd, build_package
from gateway.package.sbd import MAIN_DOCUMENT
from gateway.ports import Parcel, TransferState
from gateway.store import circuits, jobs, messages
from gateway.store.blobs import Blob
from gateway.store.jobs import Job, Task
from gateway.store.messages import Kind, Message, Role

log = logging.getLogger(__name__)

_WATCH = tuple(timedelta(seconds=s) for s in (5, 15, 30, 60, 120, 300))
_DROPPED_OFTEN_ENOUGH = 3
"""Malware is found again each time (altinn-transport 6.1)."""
_DROPPED = TransferFailed("the network dropped the package")


@dataclass(frozen=True, slots=True)
class _Packed:
    """A package; one that is new is not in any row yet, and `notes` tell of its receiver."""

    parcel: Parcel
    is_new: bool = False
    notes: tuple[str, ...] = ()


class Outbound:
    """Carries out the job ``send``."""

    def __init__(self, context: Context, ledger: Ledger, neighbours: Neighbours) -> None:
        self._context = context
        self._ledger = ledger
        self._neighbours = neighbours

    def send(self, job: Job) -> None:
        """One attempt. Every outcome is recorded; raises nothing of `GatewayError`."""
        with self._context.database.read() as tx:
            message = messages.get(tx, job.message)
            sent = Status.SENDT in messages.statuses(tx, job.message)
            transfer = jobs.open_transfer(tx, job.message)
            circuit = circuits.find(tx, way_to_receiver(message))
        watching = sent and transfer is not None
        if not watching and self._context.is_over(message.expires):
            with self._context.database.read() as tx:
                told = ExpiredUnsent(last_problem(tx, message, Task.SEND))
            self._end(job, message, Fact.EXPIRED, told)
            return
        if not self._neighbours.may_try(job, message, way_to_receiver(message), circuit):
            return
        try:
            if watching and transfer is not None:
                self._watch(job, message, transfer, circuit)
            else:
                self._send(job, message, transfer, circuit)
        except GatewayError as error:
            self._failed(job, message, error, circuit)

    def _send(
        self, job: Job, message: Message, transfer: str | None, circuit: Circuit | None
    ) -> None:
        packed = self._package(message)
        transport = self._context.transport
        if transfer is not None:
            state = transport.outcome(transfer, message.sender)
            if state.uploaded:
                return self._sent(job, message, transfer, circuit)
            if state is TransferState.FAILED:
                with self._ledger.entry() as entry:
                    jobs.close_transfer(entry.tx, transfer, entry.now, uploaded=False)
                transfer = None
        if transfer is None:
            transfer = self._announce(job, message, packed)
        if transfer is None:
            return
        transport.upload(transfer, packed.parcel)
        self._sent(job, message, transfer, circuit)

    def _announce(self, job: Job, message: Message, packed: _Packed) -> str | None:
        """The transfer, durable as is the package; None when somebody else has the job.

        Whoever took it meanwhile does not know of this transfer, and sends one of its own;
        ours stays empty, and nobody ever sees it.
        """
        try:
            transfer = self._context.transport.announce(packed.parcel)
        except GatewayError:
            with self._ledger.entry() as entry:
                self._keep(entry, job, message, packed)
            raise
        with self._ledger.entry() as entry:
            if not self._keep(entry, job, message, packed):
                return None
            jobs.announce_transfer(entry.tx, message.row_id, transfer, entry.now)
        return transfer

    def _keep(self, entry: Entry, job: Job, message: Message, packed: _Packed) -> bool:
        """Remember a package that was just built; False when somebody else has the job."""
        ours = jobs.is_ours(entry.tx, job)
        if not packed.is_new:
            return ours
        parcel, notes = packed.parcel, packed.notes
        if not ours:
            self._context.blobs.discard(parcel.content)
            return False
        package = Document("sbd.zip", "application/zip", parcel.content)
        messages.add_documents(entry.tx, message.row_id, [package], Role.PACKAGE, md5=parcel.md5)
        if notes:
            log.warning("message_id=%s: %s", message.message_id, "; ".join(notes))
            known = messages.get(entry.tx, message.row_id).warnings
            new = [note for note in notes if note not in known]
            messages.change(entry.tx, message.row_id, warnings=[*known, *new])
        return True

    def _sent(self, job: Job, message: Message, transfer: str, circuit: Circuit | None) -> None:
        with self._ledger.entry() as entry:
            self._neighbours.there(entry, way_to_receiver(message), circuit)
            if jobs.defer(entry.tx, job, entry.now + _WATCH[0]):
                jobs.close_transfer(entry.tx, transfer, entry.now, uploaded=True)
                entry.record(message, Fact.SENT)

    def _watch(self, job: Job, message: Message, transfer: str, circuit: Circuit | None) -> None:
        """See that the network has let it through (altinn-transport 1.11)."""
        state = self._context.transport.outcome(transfer, message.sender)
        if state in (TransferState.ANNOUNCED, TransferState.UPLOADING):
            # The one before was dropped; this one, in its place, never got its bytes.
            return self._send(job, message, transfer, circuit)
        with self._ledger.entry() as entry:
            self._neighbours.there(entry, way_to_receiver(message), circuit)
            if state is TransferState.FAILED:
                jobs.close_transfer(entry.tx, transfer, entry.now, uploaded=False)
                if jobs.dropped_transfers(entry.tx, message.row_id) < _DROPPED_OFTEN_ENOUGH:
                    jobs.postpone(entry.tx, job, entry.now, _DROPPED.problem)
                elif jobs.finish(entry.tx, job):
                    told = DroppedByNetwork()
                    entry.record(message, Fact.UNSENDABLE, told.text, told.receipt)
            elif state is TransferState.PROCESSING:
                wait = _WATCH[min(job.attempt, len(_WATCH) - 1)]
                jobs.defer(entry.tx, job, entry.now + wait)
            else:
                jobs.finish(entry.tx, job)

    def _failed(
        self, job: Job, message: Message, error: GatewayError, circuit: Circuit | None
    ) -> None:
        if error.retry is Retry.NEVER:
            return self._end(job, message, Fact.UNSENDABLE, error)
        due = self._context.retry_at(job.failures + 1)
        if isinstance(error, Unavailable) and error.retry_after is not None:
            asked = self._context.now() + timedelta(seconds=error.retry_after)
            due = max(due, asked)
        if message.expires is not None and message.expires > self._context.now():
            due = min(due, message.expires + timedelta(seconds=1))
        with self._ledger.entry() as entry:
            jobs.postpone(entry.tx, job, due, error.problem)
            way = way_to_receiver(message)
            if not error.outage and isinstance(error, NetworkRefused):
                self._neighbours.there(entry, way, circuit)
            elif error.outage and self._neighbours.outage(entry, job, way, error):
                self._neighbours.wait(entry, job, message, way)

    def _end(self, job: Job, message: Message, fact: Fact, told: GatewayError) -> None:
        with self._ledger.entry() as entry:
            known = messages.get(entry.tx, message.row_id).state
            if jobs.finish(entry.tx, job) and known is not Status.LEVETID_UTLOPT:
                entry.record(message, fact, told.account, told.receipt)

    # --- packages ---------------------------------------------------------------------

    def _package(self, message: Message) -> _Packed:
        """The package of a message; built once, so that every attempt sends the same."""
        blobs = self._context.blobs
        with self._context.database.read() as tx:
            kept = messages.package(tx, message.row_id, blobs)
            if kept is None:
                documents = messages.documents(tx, message.row_id, blobs, Role.METADATA, Role.FILE)
        if kept is not None:
            return _Packed(_parcel(message, *kept))
        return self._build(message, documents)

    def _build(self, message: Message, documents: Sequence[Document]) -> _Packed:
        context = self._context
        # An avtalt may come without files, but never goes to somebody who is unknown.
        asked = documents or message.kind is Kind.OTHER
        certificate = self._receiver_certificate(message) if asked else None
        notes = context.vet_receiver(certificate) if certificate is not None else ()
        scratch = context.blobs.scratch()
        with ExitStack() as cleanup:
            cleanup.callback(scratch.unlink, missing_ok=True)
            with scratch.open("xb+") as target:
                built = build_package(
                    target,
                    self._sbd(message),
                    documents,
                    signer=context.identities[0],
                    receiver_certificate=certificate,
                )
            content = context.blobs.adopt(scratch, built.size, built.sha256)
        return _Packed(_parcel(message, content, built.md5), is_new=True, notes=tuple(notes))

    def _receiver_certificate(self, message: Message) -> x509.Certificate:
        recipient = self._context.addresses.find(message.receiver, message.process)
        if recipient.certificate_pem is None:
            raise CannotHandle(f"the registry has no certificate for {message.receiver}")
        try:
            return _certificate(recipient.certificate_pem)
        except ValueError as error:
            raise CertificateUnusable(
                f"the registry's certificate for {message.receiver} cannot be read"
            ) from error

    def _sbd(self, message: Message) -> Sbd:
        assert message.document_type is not None, "outgoing messages have a document type"
        return Sbd(
            type=message.document_type.rpartition("::")[2],
            sender_id=f"0192:{message.sender}",
            receiver_id=f"0192:{message.receiver}",
            message_id=message.message_id,
            conversation_id=message.conversation_id,
            process=message.process,
            created=self._context.now(),
            expires=message.expires,
            sender_ref=message.sender_ref,
            receiver_ref=message.receiver_ref,
            channel=message.channel,
            channel_id=message.channel_id,
            hoveddokument=MAIN_DOCUMENT if message.kind is Kind.LETTER else None,
            security_level=message.security_level,
            receipt=message.receipt,
            related_to_message_id=message.related_to if message.receipt else None,
            status=message.status_value,
            avtalt=self._business_message(message),
        )

    def _business_message(self, message: Message) -> dict[str, Any] | None:
        """What an avtalt says, for the two parties to understand."""
        if message.kind is not Kind.OTHER:
            return None
        with self._context.database.read() as tx:
            (content,) = messages.documents(tx, message.row_id, self._context.blobs, Role.BUSINESS)
        with content.content.open() as stream:
            said: dict[str, Any] = json.load(stream)
        return said


@lru_cache(maxsize=256)  # the same few receivers get most letters
def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _parcel(message: Message, content: Blob, md5: str) -> Parcel:
    assert message.transport_ref is not None, "outgoing messages have a reference"
    return Parcel(message.sender, message.receiver, message.transport_ref, content, md5)
