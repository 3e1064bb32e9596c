"""The threads that keep messages moving.

Each thread claims one job at a time with a lease, which is renewed while it works. A
process that dies takes nothing with it: its jobs are due again when the leases end.
Several nodes on one database share the jobs; one of them at a time polls for an
organisation. Each organisation is polled in a thread of its own, so that trouble with one
does not keep the others waiting.

Who has nothing to do sleeps until there is news. What becomes due by itself, or by the
doing of another process, is looked for once a second by one thread for all of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.context import Context
from gateway.engine.deadline import Deadline
from gateway.engine.delivery import Handover
from gateway.engine.held import Held
from gateway.engine.inbound import Inbound
from gateway.engine.ledger import Ledger
from gateway.engine.neighbours import Neighbours
from gateway.engine.outbound import Outbound
from gateway.engine.own_receipt import OwnReceipt
from gateway.errors import GatewayError
from gateway.store import due, jobs
from gateway.store.database import NODE
from gateway.store.jobs import Job, Task

log = logging.getLogger(__name__)

_LEASE = timedelta(minutes=1)
_LOOK_SECONDS = 1.0
_LONGEST_SLEEP = 60.0


class Workers:
    """Sends, polls and delivers until it is stopped.

    `poll_seconds` is the pause between two polls, in seconds; `per_task` how many
    threads send and how many deliver; `lease` how long a dead node's work lies still.
    """

    def __init__(
        self,
        context: Context,
        ledger: Ledger,
        *,
        poll_seconds: float = 15.0,
        per_task: int = 4,
        lease: timedelta = _LEASE,
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._inbound = Inbound(context, ledger)
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._polling: dict[str, tuple[datetime, str]] = {}
        self._held = Held(context, f"{NODE} {context.new_id()[:8]}", lease)
        self._neighbours = neighbours = Neighbours(context, ledger)
        tasks = (
            (Task.SEND, Outbound(context, ledger, neighbours).send, per_task),
            (Task.DELIVER, Handover(context, ledger, neighbours).deliver, per_task),
            (Task.EXPIRE, Deadline(context, ledger).check, 1),
            (Task.RECEIPT, OwnReceipt(context, ledger).check, 1),
        )
        self._sleepers = {task: threads for task, _, threads in tasks}
        self._threads = [
            threading.Thread(target=self._look_out, name="lookout", daemon=True),
            *(
                threading.Thread(
                    target=self._poll, args=(one.orgnr,), name=f"poll-{one.orgnr}", daemon=True
                )
                for one in context.policy.served
            ),
        ]
        for task, act, threads in tasks:
            for number in range(1, threads + 1):
                self._threads.append(
                    threading.Thread(
                        target=self._work, args=(task, act), name=f"{task}-{number}", daemon=True
                    )
                )

    @property
    def polling_problem(self) -> tuple[datetime, str] | None:
        """Since when polling fails, and why; None while it works."""
        failing = dict(self._polling)
        if not failing:
            return None
        problems = [f"{orgnr}: {problem}" for orgnr, (_, problem) in failing.items()]
        return min(since for since, _ in failing.values()), "; ".join(problems)

    def start(self) -> None:
        """Start every thread."""
        self._held.start()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 60.0) -> bool:
        """Let running jobs end; False when some needed longer than `timeout` seconds."""
        self._stopping.set()
        self._ledger.news.wake_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._held.stop()
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, task: Task, act: Callable[[Job], None]) -> None:
        claimed: list[Job] = []
        while not self._stopping.is_set():
            edition = self._ledger.news.edition(task)
            # After one job there is often another; only at rest is no write lock taken in vain.
            at_rest, claimed = not claimed, []
            try:
                claimed = self._claim(task, look_first=at_rest)
            except SQLAlchemyError as error:
                log.error("the database does not answer; tried again: %s", error)
            for job in claimed:
                self._run(job, act)
            if not claimed:
                self._ledger.news.wait(task, edition, _LONGEST_SLEEP)

    def _run(self, job: Job, act: Callable[[Job], None]) -> None:
        try:
            with self._held.job(job):
                act(job)
        except Exception as error:  # a defect in one letter must not stop the others
            log.exception("job %s failed in a way nobody foresaw", job.id)
            try:
                with self._ledger.entry() as entry:
                    again = self._context.retry_at(job.failures + 1)
                    jobs.postpone(entry.tx, job, again, type(error).__name__, unclear=True)
            except SQLAlchemyError:
                log.error("job %s is tried again when its lease ends", job.id)

    def _claim(self, task: Task, *, look_first: bool) -> list[Job]:
        now = self._context.now()
        if look_first:
            with self._context.database.read() as tx:
                if not jobs.any_due(tx, task, now):
                    return []
        with self._context.database.write() as tx:
            return jobs.claim(tx, task, now, lease=self._held.lease)

    def _look_out(self) -> None:
        """Wake those who sleep when a time has come: of a job, or to try a neighbour again."""
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                with self._context.database.read() as tx:
                    found = due.look(tx, self._context.now())
                if found.neighbours:
                    self._neighbours.wake()
                for task in found.tasks:
                    self._ledger.news.publish([task] * self._sleepers[task])
            except SQLAlchemyError as error:
                log.warning("nobody was woken: %s", type(error).__name__)
            except Exception:
                log.exception("nobody was woken, for a reason that nobody foresaw")

    def _poll(self, orgnr: str) -> None:
        turn = f"poll {orgnr}"
        while not self._stopping.is_set():
            try:
                if self._held.turn(turn):
                    self._inbound.poll(orgnr)
                self._polling.pop(orgnr, None)
            except GatewayError as error:
                log.warning("polling for %s failed: %s", orgnr, error.detail)
                self._note_polling(orgnr, error)
            except Exception as error:
                log.exception("polling for %s failed in a way nobody foresaw", orgnr)
                self._note_polling(orgnr, error)
            self._stopping.wait(self._poll_seconds)

    def _note_polling(self, orgnr: str, error: Exception) -> None:
        since, _ = self._polling.get(orgnr, (self._context.now(), ""))
        detail = error.detail if isinstance(error, GatewayError) else "see the log"
        self._polling[orgnr] = since, f"{type(error).__name__}: {detail}"
