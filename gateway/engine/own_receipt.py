"""The archive's own AppReceipt: what is done when it never comes, and when it comes late.

Most archives send it before they answer PutMessage (bestedu-soap 5.9). One that took a
letter and then says nothing would leave the sender waiting for ever; after a while its
answer to PutMessage is passed on in the receipt's place (design, decision 8).
"""

from __future__ import annotations

from gateway.engine.context import Context
from gateway.engine.ledger import Entry, Ledger
from gateway.lifecycle import Fact
from gateway.model import OK, AppReceipt
from gateway.store import jobs, messages
from gateway.store.jobs import Job
from gateway.store.messages import Message

_OVERDUE = "Arkivet har ikke sendt egen kvittering. Avsender får arkivets svar ved avlevering: {}"
_LATE = "Arkivets egen kvittering er {}. Avsender hadde allerede fått {}{}"


class OwnReceipt:
    """Carries out the job ``receipt``."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._ledger = ledger

    def check(self, job: Job) -> None:
        """Answer the sender in the archive's place, unless it has its answer."""
        with self._ledger.entry() as entry:
            if not jobs.finish(entry.tx, job):
                return
            messages.lock(entry.tx, job.message)
            letter = messages.get(entry.tx, job.message)
            if entry.answered(letter) is None:
                answer = letter.receipt or OK
                said = _OVERDUE.format(answer.type)
                entry.record(letter, Fact.RECEIPT_OVERDUE, said, answer)


def record_late_receipt(
    entry: Entry, letter: Message, told: AppReceipt, receipt: AppReceipt
) -> None:
    """Record an AppReceipt that comes after the sender was `told` another.

    A refusal of what the sender believes to be filed needs a person. The other way round
    it is evidence: a person may have had a refused letter delivered once more.
    """
    said = "".join(f"; {one.code}: {one.text}" for one in receipt.messages)
    description = _LATE.format(receipt.type, told.type, said)
    if receipt.type.accepted or not told.type.accepted:
        entry.record(letter, Fact.RECEIPT_LATE, description)
        return
    entry.record(letter, Fact.ACCEPTANCE_REVOKED, description)
    messages.change(entry.tx, letter.row_id, handled=None)
