"""The engine's time: steady, whatever happens to the machine's clock.

Leases, retries and deadlines must not be decided by a clock that somebody set wrong for
an hour. So time goes on by the monotonic clock; a jump of the machine's clock is followed
only when another party confirms it, and nothing expires while it is in doubt.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(seconds=10)
"""Differences up to this are followed (NTP does that) and trouble nobody."""
_DOUBTFUL = timedelta(minutes=1)
_BELIEVED_AFTER = timedelta(hours=1)
_HEARD = 5


def _machine() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the clock can be trusted.

    `offset`: how much the machine's clock is ahead of what others say, or of where it
    should be. `problem` is None when all is well; `doubt`: nothing may expire.
    """

    offset: timedelta
    problem: str | None = None
    doubt: bool = False


class Clock:
    """Time for one process. Threads share it."""

    def __init__(
        self,
        machine: Callable[[], datetime] = _machine,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine = machine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._anchor = machine(), monotonic()
        # How much others were ahead of our time, newest last.
        self._others: deque[timedelta] = deque(maxlen=_HEARD)
        self._jumped: float | None = None
        self._confirmed = False

    def now(self) -> datetime:
        """The time that the engine goes by."""
        with self._lock:
            return self._now()

    def _now(self) -> datetime:
        since, started = self._anchor
        moment = self._monotonic()
        steady = since + timedelta(seconds=moment - started)
        machine = self.machine()
        if abs(machine - steady) <= TOLERANCE:
            self._anchor = machine, moment
            self._jumped, self._confirmed = None, False
            return machine
        if self._jumped is None:
            self._jumped = moment
        if not self._others and moment - self._jumped > _BELIEVED_AFTER.total_seconds():
            self._confirmed = True  # there is nobody to ask
        return steady

    def hear(self, said: datetime) -> None:
        """Another party has just said what time it is there, to the second."""
        with self._lock:
            steady = self._now()
            self._others.append(said - steady)
            if self._jumped is not None and abs(said - self.machine()) <= TOLERANCE:
                self._confirmed = True

    def step(self) -> timedelta:
        """The jump that may be followed; zero when there is none."""
        with self._lock:
            steady = self._now()
            return self.machine() - steady if self._confirmed else timedelta()

    def follow(self) -> None:
        """Go by the machine's clock as it is now."""
        with self._lock:
            self._anchor = self.machine(), self._monotonic()
            self._jumped, self._confirmed = None, False
            self._others.clear()

    def trust(self) -> Trust:
        """What is known of the clock now."""
        with self._lock:
            steady = self._now()
            offset = self.machine() - steady
            if self._jumped is not None:
                problem = (
                    f"the machine's clock jumped by {_spoken(offset)}; the gateway goes by the"
                    " time before, and nothing expires; set the clock, or restart if it is right"
                )
                return Trust(offset, problem, doubt=True)
            if not self._others:
                return Trust(offset)
            offset = -timedelta(seconds=statistics.median(x.total_seconds() for x in self._others))
            if abs(offset) <= TOLERANCE:
                return Trust(offset)
            doubt = abs(offset) > _DOUBTFUL
            problem = f"the machine's clock differs by {_spoken(offset)} from the network's"
            if doubt:
                problem += "; nothing expires until it is set right"
            return Trust(offset, problem, doubt)


def _spoken(offset: timedelta) -> str:
    sign = "-" if offset < timedelta() else "+"
    return f"{sign}{timedelta(seconds=round(abs(offset).total_seconds()))}"
