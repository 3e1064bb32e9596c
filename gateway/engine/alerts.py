"""Calling a person: once for each cause, again while it lasts, and when it is over.

What was told is remembered in the store, so a restart does not tell it again, and of
several nodes one tells. How a notice travels is the business of the `Channel`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.context import Books
from gateway.engine.health import Finding, Health, Subject
from gateway.engine.masking import masked
from gateway.errors import GatewayError
from gateway.store.tables import alarm

log = logging.getLogger(__name__)

_WHEN_GROWN = timedelta(hours=1)


class Kind(StrEnum):
    """Why a notice is sent."""

    RAISED = "raised"
    REMINDER = "reminder"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person is told. `cause` is a stable name, `summary` English."""

    kind: Kind
    cause: str
    summary: str
    since: datetime
    at: datetime
    orgnr: str


class Channel(Protocol):
    """A way to reach a person."""

    name: str

    def tell(self, notice: Notice) -> None:
        """Hand it over. Raises a `GatewayError` leaf when that was not possible."""


class Alerts:
    """Examines the gateway now and then, and tells `channels` what changed."""

    def __init__(
        self,
        books: Books,
        health: Health,
        channels: Sequence[Channel],
        *,
        reminder: timedelta = timedelta(hours=24),
        every_seconds: float = 60.0,
    ) -> None:
        self._books = books
        self._health = health
        self._channels = channels
        self._reminder = reminder
        self._every = every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alerts", daemon=True)
        self._counts: dict[str, int] = {}
        # What was told while the database was away and could not remember it.
        self._unwritten: dict[str, datetime] = {}

    def start(self) -> None:
        """Begin to watch, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float = 60.0) -> None:
        """Stop watching."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def check(self) -> list[Notice]:
        """Examine once and tell; what was told."""
        findings = self._health.examine()
        try:
            notices = self._remember(findings)
        except SQLAlchemyError as error:
            log.warning("alarms cannot be remembered: %s", type(error).__name__)
            notices = self._without_memory(findings)
        for notice in notices:
            self._tell(notice)
        return notices

    def _remember(self, findings: Iterable[Finding]) -> list[Notice]:
        """Write what is wrong, and say what of it is news."""
        now = self._books.now()
        notices = []
        with self._books.database.write() as tx:
            known = {row.cause: row for row in tx.execute(sa.select(alarm).with_for_update())}
            for finding in findings:
                cause = finding.subject.value
                row = known.get(cause)
                told = self._unwritten.pop(cause, None)
                if finding.well:
                    if row is not None:
                        tx.execute(alarm.delete().where(alarm.c.cause == cause))
                    if row is not None or told is not None:
                        since = row.since if row is not None else told or now
                        notices.append(self._notice(Kind.RESOLVED, finding, since))
                elif row is None:
                    since = finding.since or told or now
                    tx.execute(
                        alarm.insert().values(
                            cause=cause, summary=finding.summary, since=since, told=now
                        )
                    )
                    if told is None:
                        notices.append(self._notice(Kind.RAISED, finding, since))
                elif now - row.told >= self._patience(finding):
                    tx.execute(
                        alarm.update()
                        .where(alarm.c.cause == cause)
                        .values(summary=finding.summary, told=now)
                    )
                    notices.append(self._notice(Kind.REMINDER, finding, row.since))
        return notices

    def _patience(self, finding: Finding) -> timedelta:
        """How long to be silent: shorter when there is more of it than was told."""
        count = finding.figures.get("count", 0)
        grown = count > self._counts.setdefault(finding.subject.value, count)
        return min(self._reminder, _WHEN_GROWN) if grown else self._reminder

    def _without_memory(self, findings: Iterable[Finding]) -> list[Notice]:
        """What keeps us from remembering; the rest is told, or was, when we can again."""
        now = self._books.now()
        notices = []
        for finding in findings:
            cause = finding.subject.value
            if finding.well or finding.subject not in (Subject.DATABASE, Subject.DISK):
                continue
            if cause not in self._unwritten:
                self._unwritten[cause] = now
                notices.append(self._notice(Kind.RAISED, finding, finding.since or now))
        return notices

    def _notice(self, kind: Kind, finding: Finding, since: datetime) -> Notice:
        self._counts[finding.subject.value] = finding.figures.get("count", 0)
        return Notice(
            kind,
            finding.subject.value,
            masked(finding.summary),
            since,
            self._books.now(),
            self._books.policy.own.orgnr,
        )

    def _tell(self, notice: Notice) -> None:
        level = logging.INFO if notice.kind is Kind.RESOLVED else logging.ERROR
        log.log(level, "alarm %s: %s: %s", notice.kind, notice.cause, notice.summary)
        for channel in self._channels:
            try:
                channel.tell(notice)
            except GatewayError as error:
                log.error("alarm not told by %s: %s", channel.name, error.detail)

    def _watch(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self.check()
            except Exception:
                log.exception("alarms were not checked; tried again")
