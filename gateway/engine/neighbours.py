"""Neighbours that are away: one message at a time tries, the others wait for it.

Without this, ten thousand letters for a dead archive would each knock on their own, keep
the workers from those whose archives live, and trickle in for an hour when it is back.
The rule is `gateway.lifecycle.Circuit`; it is kept in the store, so all nodes obey it.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy.engine import Connection

from gateway.engine.context import Context
from gateway.engine.ledger import Entry, Ledger
from gateway.engine.masking import masked
from gateway.errors import GatewayError, Unavailable
from gateway.lifecycle import LONGEST_RETRY, Circuit, after_outage, may_try
from gateway.store import circuits, jobs, overview
from gateway.store.jobs import Job, Task
from gateway.store.messages import Message

log = logging.getLogger(__name__)

_A_MOMENT = timedelta(seconds=1)
_ARCHIVE = "archive "


def way_to_archive(message: Message) -> str:
    """The name of the circuit to the archive that `message` is for."""
    return _ARCHIVE + message.receiver


def is_archive(name: str) -> bool:
    """Whether a circuit of this name is one to an archive."""
    return name.startswith(_ARCHIVE)


def last_problem(tx: Connection, message: Message, task: Task) -> str | None:
    """What last came in the way of `message`, as `GatewayError.problem` noted it.

    Of one that waits for a neighbour that is away, that is what another one met.
    """
    way = way_to_receiver(message) if task is Task.SEND else way_to_archive(message)
    circuit = circuits.find(tx, way)
    if circuit is not None and circuit.open:
        return masked(circuits.problem(tx, way))
    tried = [one.problem for one in overview.work(tx, message.row_id) if one.task is task]
    return masked(tried[-1]) if tried and tried[-1] else None


def way_to_receiver(message: Message) -> str:
    """The name of the circuit for what goes out as `message` does.

    By sender as well: one organisation's missing rights are not another's outage.
    """
    return f"{message.sender} to {message.receiver}"


class Neighbours:
    """Decides who may try, and hears what came of it."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._context = context
        self._ledger = ledger

    def may_try(self, job: Job, message: Message, name: str, known: Circuit | None) -> bool:
        """Whether `job` may go to the neighbour now; if not, it waits from now on.

        `known` is what was read of the circuit with the message.
        """
        if known is None or not known.open:
            return True
        with self._ledger.entry() as entry:
            circuit = circuits.find(entry.tx, name, lock=True)
            if circuit is None or not circuit.open:
                return True
            if may_try(circuit, entry.now) and circuits.take_probe(entry.tx, name, job, entry.now):
                return True
            self.wait(entry, job, message, name)
        return False

    def outage(self, entry: Entry, job: Job, name: str, error: GatewayError) -> bool:
        """The neighbour was not there; whether everybody waits for it from now on."""
        context = self._context
        known = circuits.find(entry.tx, name, lock=True)
        circuit = after_outage(
            known,
            entry.now,
            probing=circuits.is_probe(entry.tx, name, job),
            first=context.policy.first_retry,
            asked=_asked(error),
            spread=context.spread(),
        )
        if circuit != known:
            circuits.record(entry.tx, name, circuit, error.problem)
        if circuit.open and not (known is not None and known.open):
            log.error("%s: away %d times in a row; one at a time tries", name, circuit.outages)
        return circuit.open

    def there(self, entry: Entry, name: str, known: Circuit | None) -> None:
        """The neighbour answered; what waited for it goes on."""
        if known is None:
            return
        waited = circuits.close(entry.tx, name, entry.now)
        if known.open:
            log.warning("%s: there again; %d messages go on", name, waited)

    def wait(self, entry: Entry, job: Job, message: Message, name: str) -> None:
        """Until the circuit closes. A look once an hour, and at the deadline."""
        due = entry.now + LONGEST_RETRY * (1 + self._context.spread() / 10)
        if message.expires is not None and message.expires > entry.now:
            due = min(due, message.expires + _A_MOMENT)
        jobs.park(entry.tx, job, due, name)

    def wake(self) -> None:
        """Let one message try for each circuit whose time has come."""
        with self._context.database.read() as tx:
            names = circuits.due(tx, self._context.now())
        if not names:
            return
        with self._ledger.entry() as entry:
            for name in names:
                if not circuits.wake_one(entry.tx, name, entry.now):
                    circuits.close(entry.tx, name, entry.now)  # nobody needs it any more


def _asked(error: GatewayError) -> timedelta:
    """How long the other side asked us to wait; never more than our own longest pause."""
    seconds = error.retry_after if isinstance(error, Unavailable) else None
    return min(timedelta(seconds=seconds or 0), LONGEST_RETRY)
