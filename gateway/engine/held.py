"""What this node holds a lease on, kept while it works: jobs, and the turn to poll.

A third of the lease passes between two renewals, so a node that lives keeps what takes
long (an upload of a gigabyte), and what a dead one held is free when the lease ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.context import Context
from gateway.lifecycle import LONGEST_RETRY
from gateway.store import circuits, jobs, leases
from gateway.store.jobs import Job

log = logging.getLogger(__name__)

_NO_STEP = timedelta()


class Held:
    """The leases of one node called `node`; `lease` is how long each lasts."""

    def __init__(self, context: Context, node: str, lease: timedelta) -> None:
        self.lease = lease
        self._context = context
        self._node = node
        self._jobs: set[Job] = set()
        self._turns: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)

    def start(self) -> None:
        """Renew from now on."""
        try:
            self._pull_back()
        except SQLAlchemyError as error:
            log.warning("jobs were not looked through: %s", type(error).__name__)
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; turns are given back for others to take at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            turns, self._turns = self._turns, set()
        try:
            with self._context.database.write() as tx:
                for name in turns:
                    leases.release(tx, name, self._node)
        except SQLAlchemyError as error:
            log.warning("leases end by themselves: %s", type(error).__name__)

    @contextmanager
    def job(self, claimed: Job) -> Iterator[None]:
        """Keep a claimed job for the time of the block."""
        with self._lock:
            self._jobs.add(claimed)
        try:
            yield
        finally:
            with self._lock:
                self._jobs.discard(claimed)

    def turn(self, name: str) -> bool:
        """Whether it is this node's turn to do `name`; it stays so until `stop`."""
        if not self._context.database.shared:
            return True
        ours = self._acquire(name)
        with self._lock:
            (self._turns.add if ours else self._turns.discard)(name)
        return ours

    def _acquire(self, name: str) -> bool:
        now = self._context.now()
        with self._context.database.write() as tx:
            return leases.acquire(tx, name, self._node, now, now + self.lease)

    def _keep(self) -> None:
        while not self._stopping.wait(self.lease.total_seconds() / 3):
            clock = self._context.clock
            step = clock.step() if clock is not None else timedelta()
            try:
                self._renew(step)
                if clock is not None and step:
                    # What we hold is safe now, by the new time as by the old.
                    log.warning("the clock was set by %s, and others confirm it", step)
                    clock.follow()
                    self._pull_back()
            except SQLAlchemyError as error:
                log.warning("leases could not be renewed: %s", type(error).__name__)

    def _pull_back(self) -> None:
        """Nobody waits for a time that only a wrong clock can have meant."""
        furthest = max(LONGEST_RETRY * 1.2, self._context.policy.unclear_wait) + self.lease
        with self._context.database.write() as tx:
            now = self._context.now()
            if count := jobs.pull_back(tx, now + furthest, now):
                log.warning("%d jobs were due by a clock that was ahead; they are due now", count)
            circuits.pull_back(tx, now + furthest, now)

    def _renew(self, step: timedelta = _NO_STEP) -> None:
        with self._lock:
            held, turns = list(self._jobs), list(self._turns)
        if held:
            until = self._context.now() + max(step, _NO_STEP) + self.lease
            with self._context.database.write() as tx:
                for job in held:
                    jobs.renew(tx, job, until)
        for name in turns:
            self._acquire(name)
