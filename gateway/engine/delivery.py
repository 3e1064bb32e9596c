"""Handing letters and receipts to the archive, and understanding what it answers.

No transaction and no lock is held while the archive works: real archives send their
AppReceipt to us before they answer (bestedu-soap 5.9; design, decision 12).
"""

from __future__ import annotations

import logging
from datetime import datetime

from gateway.arkivmelding import read_arkivmelding
from gateway.engine.context import Context
from gateway.engine.ledger import Entry, Ledger
from gateway.engine.neighbours import Neighbours, last_problem, way_to_archive
from gateway.errors import (
    ArchiveFault,
    ArchiveSilent,
    ArchiveUnclear,
    ExpiredUndelivered,
    FileMissing,
    GatewayError,
    MessageRefused,
    PackageError,
    Retry,
    Undelivered,
)
from gateway.lifecycle import Circuit, Fact
from gateway.model import AppReceipt, Envelope, Loss, Melding, Party
from gateway.ports import Delivery
from gateway.store import circuits, jobs, messages
from gateway.store.jobs import Job, Task
from gateway.store.messages import Kind, Message, Role
from gateway.translate import Facts, to_melding

log = logging.getLogger(__name__)

_FAULTS_UNTIL_PERMANENT = 3
_SILENCES_UNTIL_PERMANENT = 3


class Handover:
    """Carries out the job ``deliver``."""

    def __init__(self, context: Context, ledger: Ledger, neighbours: Neighbours) -> None:
        self._context = context
        self._ledger = ledger
        self._neighbours = neighbours

    def deliver(self, job: Job) -> None:
        """One attempt. Every outcome is recorded; raises nothing of `GatewayError`."""
        with self._context.database.read() as tx:
            message = messages.get(tx, job.message)
            circuit = circuits.find(tx, way_to_archive(message))
        now = self._context.now()
        if job.unclear is not None and self._settled_or_waiting(job, message, job.unclear):
            return
        if message.kind is Kind.LETTER and self._context.is_over(message.expires):
            with self._context.database.read() as tx:
                told = ExpiredUndelivered(last_problem(tx, message, Task.DELIVER))
            self._end(job, message, Fact.EXPIRED, told.account, told.receipt)
            return
        if not self._neighbours.may_try(job, message, way_to_archive(message), circuit):
            return
        try:
            archive = self._context.archive_of(message.receiver)
            payload = self._payload(message)
            delivery = Delivery(self._envelope(message), payload)
            with self._ledger.entry() as entry:
                if not jobs.begin(entry.tx, job, now):
                    return
                if job.unclear is not None:
                    self._mark_possible_duplicate(entry, message)
            answer = archive.put_message(delivery)
            if answer is None and message.kind is Kind.LETTER:
                raise ArchiveSilent("the archive answered a letter without a result")
        except (MessageRefused, PackageError) as error:  # it cannot be made into EDU
            self._end(job, message, Fact.UNDELIVERABLE, error.text, error.receipt)
        except ArchiveUnclear as error:
            self._unclear(job, message, error, circuit)
        except GatewayError as error:
            self._failed(job, message, error, circuit)
        else:
            self._answered(job, message, answer, circuit)

    def _answered(
        self, job: Job, message: Message, answer: AppReceipt | None, circuit: Circuit | None
    ) -> None:
        """Decision 9: OK, WARNING and silence to a receipt mean that it has it."""
        said = None
        if answer is not None and answer.messages:
            said = "; ".join(f"{one.code}: {one.text}" for one in answer.messages)
        if answer is None or answer.type.accepted:
            self._end(job, message, Fact.FILED, said, answer, circuit)
        else:
            self._end(job, message, Fact.REJECTED, said or str(answer.type), answer, circuit)

    # --- when nobody knows whether the archive has it ---------------------------------

    def _settled_or_waiting(self, job: Job, message: Message, since: datetime) -> bool:
        """Whether an earlier attempt without outcome means that nothing is done now.

        The archive's own receipt settles it; it is waited for, and only then is the
        letter handed over again, marked as a possible duplicate (issue E). Nothing
        answers a receipt, so a receipt is marked and handed over again at once.
        """
        with self._ledger.entry() as entry:
            if message.kind is Kind.LETTER:
                receipt = entry.answered(message)
                if receipt is not None:
                    if jobs.finish(entry.tx, job):
                        fact = Fact.FILED if receipt.type.accepted else Fact.REJECTED
                        entry.record(message, fact, "seen from the archive's own receipt")
                    return True
                again = since + self._context.policy.unclear_wait
                if entry.now < again:
                    jobs.defer(entry.tx, job, again)
                    return True
        return False

    def _mark_possible_duplicate(self, entry: Entry, message: Message) -> None:
        note = f"possible duplicate: handed over again at {entry.now.isoformat()}"
        messages.change(entry.tx, message.row_id, warnings=[*message.warnings, note])

    def _unclear(
        self, job: Job, message: Message, error: ArchiveUnclear, circuit: Circuit | None
    ) -> None:
        if isinstance(error, ArchiveSilent) and job.failures + 1 >= _SILENCES_UNTIL_PERMANENT:
            # It says nothing whatever we do; more copies would only make more duplicates.
            told = Undelivered(message.receiver)
            self._end(job, message, Fact.UNDELIVERABLE, told.text, told.receipt, circuit)
            return
        log.warning("message_id=%s: outcome unknown: %s", message.message_id, error.detail)
        waits = message.kind is Kind.LETTER
        with self._ledger.entry() as entry:
            # The receipt may have come while we still waited for the answer.
            known = waits and entry.answered(message) is not None
            wait = self._context.policy.unclear_wait
            due = entry.now if known else self._context.retry_at(job.failures + 1)
            if waits and not known:
                due = max(due, entry.now + wait)
            self._hear(entry, job, message, error, circuit)
            jobs.postpone(entry.tx, job, due, error.problem, unclear=True)

    # --- when it certainly has not ----------------------------------------------------

    def _failed(
        self, job: Job, message: Message, error: GatewayError, circuit: Circuit | None
    ) -> None:
        permanent = error.retry is Retry.NEVER or (
            isinstance(error, ArchiveFault)
            and error.fault_code == "Client"
            and job.failures + 1 >= _FAULTS_UNTIL_PERMANENT
        )
        if permanent:
            told = Undelivered(message.receiver)
            self._end(job, message, Fact.UNDELIVERABLE, told.text, told.receipt, circuit)
            return
        log.warning("message_id=%s not delivered yet: %s", message.message_id, error.detail)
        with self._ledger.entry() as entry:
            away = self._hear(entry, job, message, error, circuit)
            due = self._context.retry_at(job.failures + 1)
            jobs.postpone(entry.tx, job, due, error.problem)
            if away:
                self._neighbours.wait(entry, job, message, way_to_archive(message))

    def _hear(
        self,
        entry: Entry,
        job: Job,
        message: Message,
        error: GatewayError,
        circuit: Circuit | None,
    ) -> bool:
        """What a failure says of the archive; whether everybody waits for it now."""
        if error.outage:
            return self._neighbours.outage(entry, job, way_to_archive(message), error)
        if isinstance(error, ArchiveFault | ArchiveSilent):
            self._neighbours.there(entry, way_to_archive(message), circuit)
        return False

    def _end(
        self,
        job: Job,
        message: Message,
        fact: Fact,
        description: str | None = None,
        answer: AppReceipt | None = None,
        circuit: Circuit | None = None,
    ) -> None:
        """`circuit`: what was known of the archive's, when the archive has answered."""
        with self._ledger.entry() as entry:
            self._neighbours.there(entry, way_to_archive(message), circuit)
            if jobs.finish(entry.tx, job):
                entry.record(message, fact, description, answer)

    # --- what the archive gets --------------------------------------------------------

    def _envelope(self, message: Message) -> Envelope:
        """The envelope of bestedu-soap 5.5; a name that cannot be found is left out."""
        name = self._context.addresses.name
        return Envelope(
            sender=Party(message.sender, name(message.sender), ref=message.sender_ref),
            receiver=Party(message.receiver, name(message.receiver), ref=message.receiver_ref),
            conversation_id=message.archive_conversation_id,
        )

    def _payload(self, message: Message) -> Melding | AppReceipt:
        if message.kind is not Kind.LETTER:
            assert message.receipt is not None, "receipts and notices carry a receipt"
            return message.receipt
        return self._melding(message)

    def _melding(self, message: Message) -> Melding:
        context = self._context
        with context.database.read() as tx:
            metadata = messages.documents(tx, message.row_id, context.blobs, Role.METADATA)
            files = messages.documents(tx, message.row_id, context.blobs, Role.FILE)
        if not metadata:
            raise FileMissing("the package has no arkivmelding.xml")
        facts = Facts(
            conversation_id=message.conversation_id,
            system=context.policy.acting(message.receiver).system,
            now=context.now(),
            sender_orgnr=message.sender,
        )
        with metadata[0].content.open() as stream:
            root = read_arkivmelding(stream)
        translated = to_melding(root, {one.filename: one for one in files}, facts, context.mapping)
        self._note_losses(message, translated.losses)
        return translated.melding

    def _note_losses(self, message: Message, losses: tuple[Loss, ...]) -> None:
        if losses != message.losses:
            with self._ledger.entry() as entry:
                messages.note_losses(entry.tx, message.row_id, losses)
