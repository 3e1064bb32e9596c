"""The deadline of an outgoing letter: if it has not arrived by then, the archive is told.

The receiver never tells the sender about an expiry; each side decides alone from the
same time (registry-and-statuses 4).
"""

from __future__ import annotations

from gateway.engine.context import Context
from gateway.engine.ledger import Ledger
from gateway.lifecycle import ARRIVED_STATES, Fact
from gateway.store import jobs, messages
from gateway.store.jobs import Job

EXPIRED = "Levetiden for meldingen er utgått. Må sendes på nytt"


class Deadline:
    """Carries out the job ``expire``."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._ledger = ledger

    def check(self, job: Job) -> None:
        """Record an expiry, unless the letter has arrived or was given up before."""
        with self._ledger.entry() as entry:
            if not jobs.finish(entry.tx, job):
                return
            letter = messages.get(entry.tx, job.message)
            if letter.state not in ARRIVED_STATES:
                entry.record(letter, Fact.EXPIRED, EXPIRED)
