"""The deadline of an outgoing letter: if it has not arrived by then, the archive is told.

The receiver never tells the sender about an expiry; each side decides alone from the
same time (registry-and-statuses 4).
"""

from __future__ import annotations

from datetime import timedelta

from gateway.engine.context import Context
from gateway.engine.ledger import Ledger
from gateway.engine.neighbours import last_problem
from gateway.errors import Expired, ExpiredUnsent, LetterEnded
from gateway.lifecycle import ARRIVED_STATES, Fact
from gateway.store import jobs, messages, overview
from gateway.store.jobs import Job, Task

_LOOK_AGAIN = timedelta(minutes=1)


class Deadline:
    """Carries out the job ``expire``."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._context = context
        self._ledger = ledger

    def check(self, job: Job) -> None:
        """Record an expiry, unless the letter has arrived or was given up before."""
        with self._ledger.entry() as entry:
            letter = messages.get(entry.tx, job.message)
            if letter.state not in ARRIVED_STATES and not self._context.is_over(letter.expires):
                jobs.defer(entry.tx, job, entry.now + _LOOK_AGAIN)
                return
            if not jobs.finish(entry.tx, job):
                return
            if letter.state not in ARRIVED_STATES:
                travels = overview.transfers(entry.tx, letter.row_id)
                if any(one.uploaded and not one.abandoned for one in travels):
                    told: LetterEnded = Expired()
                else:
                    told = ExpiredUnsent(last_problem(entry.tx, letter, Task.SEND))
                entry.record(letter, Fact.EXPIRED, told.account, told.receipt)
