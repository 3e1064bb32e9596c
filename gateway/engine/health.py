"""How the gateway is: what a lamp shows, a monitor asks and an alarm is made of."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.context import Books
from gateway.engine.masking import masked
from gateway.engine.neighbours import is_archive
from gateway.model import Status
from gateway.package import Identity
from gateway.store import circuits, leases, messages, overview
from gateway.store.circuits import Trouble
from gateway.store.database import NODE
from gateway.store.jobs import Task
from gateway.store.overview import COUNTED_WAITING, Waiting
from gateway.store.search import Count, Filter, count, search

log = logging.getLogger(__name__)


class Subject(StrEnum):
    """What is examined; also the stable name of the alarm."""

    DATABASE = "database"
    DISK = "disk"
    CLOCK = "clock"
    CERTIFICATE = "certificate"
    PUBLISHED = "published certificate"
    REVOCATION = "revocation lists"
    FOREIGN = "left for other installations"
    ARCHIVE = "archive"
    NETWORK = "network"
    RECEIVERS = "receivers"
    OLDEST = "oldest waiting"
    DEAD = "dead letters"
    PICKUP = "waiting for pick-up"
    QUARANTINE = "quarantine"


VITAL = (
    Subject.DATABASE,
    Subject.DISK,
    Subject.CLOCK,
    Subject.CERTIFICATE,
    Subject.ARCHIVE,
    Subject.NETWORK,
)
"""What makes the whole DOWN; the rest needs a person, but the gateway works."""

# How a job's problem begins when the archive, and not the message, is the cause.
_ARCHIVE_TROUBLE = "Archive"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One subject. `summary` is English and says what to do when it is not well."""

    subject: Subject
    well: bool
    summary: str
    since: datetime | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """When something is not well any more."""

    free_bytes: int = 2 * 1024**3
    certificate_days: int = 30
    waiting: timedelta = timedelta(minutes=30)


class Health:
    """Examines one gateway. `network_problem` is what polling last ran into, if anything;
    `others` give what somebody else has found out, once that is known."""

    def __init__(
        self,
        books: Books,
        identities: Sequence[Identity] = (),
        limits: Limits | None = None,
        network_problem: Callable[[], tuple[datetime, str] | None] = lambda: None,
        others: Sequence[Callable[[], Finding | None]] = (),
    ) -> None:
        self._books = books
        self._identities = identities
        self._limits = limits or Limits()
        self._network_problem = network_problem
        self._others = others

    def examine(self) -> list[Finding]:
        """Every subject; those that need the database are left out when it is away."""
        found = [self._disk(), *self._clock(), *self._certificate()]
        found += [one for ask in self._others if (one := ask()) is not None]
        try:
            with self._books.database.read() as tx:
                sending = overview.waiting(tx, Task.SEND)
                delivering = overview.waiting(tx, Task.DELIVER)
                dead = count(tx, Filter(attention=True), count_to=COUNTED_WAITING)
                expired = _last_expired(tx) if dead.number else None
                pickup = count(tx, Filter(waiting=True), count_to=COUNTED_WAITING)
                quarantine = len(overview.quarantined(tx))
                troubles = circuits.troubles(tx)
        except SQLAlchemyError as error:
            log.warning("the database does not answer: %s", type(error).__name__)
            away = "the database does not answer; letters are refused until it does"
            return [Finding(Subject.DATABASE, False, away), *found]
        return [
            self._database(),
            *found,
            _archive(delivering, [one for one in troubles if is_archive(one.name)]),
            self._network(sending),
            _receivers([one for one in troubles if not is_archive(one.name)]),
            self._oldest(sending, delivering),
            _dead(dead, expired),
            Finding(
                Subject.PICKUP,
                pickup.number == 0,
                f"{pickup} messages that are not for the archive wait for pick-up"
                if pickup.number
                else "none",
                figures=_figures("count", pickup),
            ),
            Finding(
                Subject.QUARANTINE,
                quarantine == 0,
                f"{quarantine} packages could not be used" if quarantine else "none",
                figures={"count": quarantine},
            ),
        ]

    def alive(self) -> bool:
        """Whether the database takes writes; for probes."""
        return self._database().well

    def _database(self) -> Finding:
        """Reading is not enough: a server that has become a replica still answers."""
        now = self._books.now()
        try:
            with self._books.database.write() as tx:
                leases.acquire(tx, "health", NODE, now, now)
        except SQLAlchemyError as error:
            log.warning("the database takes no writes: %s", type(error).__name__)
            told = "the database takes no writes; letters are refused until it does"
            return Finding(Subject.DATABASE, False, told)
        return Finding(Subject.DATABASE, True, "answers")

    def _disk(self) -> Finding:
        folder = self._books.blobs.folder
        try:
            free = shutil.disk_usage(folder).free
            writable = os.access(folder, os.W_OK)
        except OSError as error:
            return Finding(Subject.DISK, False, f"the documents' folder: {error.strerror}")
        well = writable and free >= self._limits.free_bytes
        summary = f"{free / 1024**3:.1f} GiB free for documents"
        if not well:
            summary += "; free some, or letters will be refused"
        if not writable:
            summary = "the documents' folder cannot be written to"
        return Finding(Subject.DISK, well, summary, figures={"free_bytes": free})

    def _clock(self) -> list[Finding]:
        if self._books.clock is None:
            return []
        trust = self._books.clock.trust()
        summary = trust.problem or "agrees with the network's as far as is known"
        figures = {"offset_seconds": round(trust.offset.total_seconds(), 1)}
        return [Finding(Subject.CLOCK, trust.problem is None, summary, figures=figures)]

    def _certificate(self) -> list[Finding]:
        if not self._identities:
            return []
        current = self._identities[0]
        days = current.days_left(self._books.now())
        well = days > self._limits.certificate_days
        summary = (
            f"our certificate has expired {-days} days ago"
            if days < 0
            else f"our certificate is valid for {days} more days"
        )
        if not well:
            summary += "; order a new one and configure it beside the old one"
        return [Finding(Subject.CERTIFICATE, well, summary, figures={"days": days})]

    def _network(self, sending: Waiting) -> Finding:
        figures = _figures("waiting", sending.count)
        polling = self._network_problem()
        if polling is not None:
            since, problem = polling
            return Finding(Subject.NETWORK, False, f"polling fails: {problem}", since, figures)
        return Finding(Subject.NETWORK, True, f"{sending.count} messages wait", figures=figures)

    def _oldest(self, *queues: Waiting) -> Finding:
        waiting = [(one.oldest, one.problem) for one in queues if one.oldest is not None]
        if not waiting:
            return Finding(Subject.OLDEST, True, "nothing waits", figures={"seconds": 0})
        oldest, problem = min(waiting, key=lambda one: one[0])
        age = self._books.now() - oldest
        well = age <= self._limits.waiting
        minutes = age.total_seconds() / 60
        summary = f"the message that waits longest has waited for {minutes:.0f} minutes"
        if problem:
            summary += f"; what came in its way: {masked(problem)}"
        return Finding(
            Subject.OLDEST,
            well,
            summary,
            oldest,
            {"seconds": max(0, int(age.total_seconds()))},
        )


def _figures(name: str, count: Count) -> dict[str, Any]:
    """With ``more`` when there are more than were counted."""
    return {name: count.number} | ({"more": True} if count.more else {})


def _archive(delivering: Waiting, away: Sequence[Trouble]) -> Finding:
    figures = _figures("waiting", delivering.count) | {"circuits": len(away)}
    if away:
        return Finding(Subject.ARCHIVE, False, _told(away), away[0].circuit.since, figures)
    if (delivering.problem or "").startswith(_ARCHIVE_TROUBLE):
        summary = f"{delivering.count} messages cannot be delivered: {delivering.problem}"
        return Finding(Subject.ARCHIVE, False, summary, delivering.oldest, figures)
    return Finding(Subject.ARCHIVE, True, f"{delivering.count} messages wait", figures=figures)


def _last_expired(tx: Connection) -> str | None:
    """What the timeline says of the message that expired last and needs a person."""
    expired = Filter(attention=True, states=(Status.LEVETID_UTLOPT,))
    for one in search(tx, expired, limit=1, count_to=1).messages:
        for event in reversed(messages.events(tx, one.row_id)):
            if event.status is Status.LEVETID_UTLOPT:
                return f"{one.message_id}: {event.description}"
    return None


def _dead(count: Count, expired: str | None) -> Finding:
    summary = f"{count} messages failed and are not marked as handled" if count.number else "none"
    if expired is not None:
        summary += f"; the last one that expired: {masked(expired)}"
    return Finding(Subject.DEAD, count.number == 0, summary, figures=_figures("count", count))


def _receivers(away: Sequence[Trouble]) -> Finding:
    figures = {"count": len(away), "waiting": sum(one.waiting for one in away)}
    if not away:
        return Finding(Subject.RECEIVERS, True, "all that we write to are reached", figures=figures)
    return Finding(Subject.RECEIVERS, False, _told(away), away[0].circuit.since, figures)


def _told(away: Sequence[Trouble]) -> str:
    """Who is away, how often that was seen, what waits, and when the next attempt is made."""
    told = [
        f"{one.name} was not there {one.circuit.outages} times in a row, {one.waiting} messages"
        f" wait, next attempt at {one.circuit.probe_at:%H:%M:%S} UTC: {one.problem}"
        for one in away[:_SHOWN]
    ]
    more = len(away) - _SHOWN
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")
