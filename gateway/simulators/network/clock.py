"""The simulator's time: real, plus an offset that a test moves."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """Rules expiry, scans and purges. Token life follows the real clock, because the
    gateways' own clocks do; use `Maskinporten.expire_tokens` for that."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Aware, UTC."""
        with self._lock:
            return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        with self._lock:
            self._offset += timedelta(seconds=seconds)


def timestamp(moment: datetime | None) -> str | None:
    """ISO 8601 with offset and 0-7 fraction digits, as .NET writes them."""
    if moment is None:
        return None
    fraction = f"{moment.microsecond:06d}{moment.microsecond * 7 % 10}".rstrip("0")
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction}+00:00" if fraction else f"{text}+00:00"
