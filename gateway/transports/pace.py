"""Keeps calls within the network's limits (altinn-transport 1.3.5).

One `Pace` per Maskinporten client: share it between everything that uses the client.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from gateway.errors import NetworkUnavailable

_KINDS = ("initialize", "upload", "overview", "download", "confirm")


def limits(searches: int, others: int) -> Mapping[str, int]:
    """Calls per minute and client, by kind of call: of ``list``, and of each other."""
    return {**dict.fromkeys(_KINDS, others), "list": searches}


ALTINN_LIMITS = limits(10, 120)
"""What Altinn allows."""

_MINUTE = 60.0
_ON_THE_WAY = 1.0
"""Seconds that a call may travel: the network counts it when it arrives."""


class Pace:
    """A bucket of permits for each kind of call: each comes back a minute after its use,
    and a second more for the way.

    So no minute ever holds more calls than the limit. A kind without a limit is free.
    `clock` is monotonic, in seconds; a call waits `patience` seconds at most.
    """

    def __init__(
        self,
        limits: Mapping[str, int] | None = ALTINN_LIMITS,
        *,
        patience: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = dict(limits or {})
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._used: dict[str, deque[float]] = {kind: deque() for kind in self._limits}
        self._closed_until: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, kind: str, *, patience: float | None = None) -> None:
        """Use a permit, after a short wait if need be.

        Raises `NetworkUnavailable` with `retry_after` when the wait would be longer.
        """
        patience = self._patience if patience is None else patience
        deadline = self._clock() + patience
        while (wait := self._try(kind)) > 0:
            if self._clock() + wait > deadline:
                raise NetworkUnavailable(
                    f"our own limit for {kind} calls is reached", retry_after=wait
                )
            self._sleep(wait)

    def close(self, kind: str, seconds: float) -> None:
        """The network asked us to wait: nothing of this kind before then."""
        with self._lock:
            until = self._clock() + seconds
            self._closed_until[kind] = max(until, self._closed_until.get(kind, 0.0))

    def _try(self, kind: str) -> float:
        """0.0 when a permit was taken, else the seconds until one may be free."""
        with self._lock:
            now = self._clock()
            closed = self._closed_until.get(kind, 0.0) - now
            if closed > 0:
                return closed
            used = self._used.get(kind)
            if used is None:
                return 0.0
            while used and used[0] <= now - _MINUTE - _ON_THE_WAY:
                used.popleft()
            if len(used) < self._limits[kind]:
                used.append(now)
                return 0.0
            return used[0] + _MINUTE + _ON_THE_WAY - now


def poll_interval(
    organisations: int, shortest: float = 15.0, *, searches_per_minute: int = 9
) -> float:
    """Seconds between polls that keep within the search limit (altinn-transport 1.7).

    `organisations` are those polled through one client; every fourth round costs a
    second search. Never less than `shortest`.
    """
    return max(shortest, _MINUTE * organisations * 1.25 / searches_per_minute)
