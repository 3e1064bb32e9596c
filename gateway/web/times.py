"""Times as Norwegian operators read and write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

OSLO = ZoneInfo("Europe/Oslo")


def read_time(given: str, *, end_of_day: bool = False) -> datetime:
    """ISO 8601; without offset it is Norwegian time. Raises ValueError.

    A date alone is its first moment, or with `end_of_day` the first of the next day.
    A plus sign that became a blank in the query is understood.
    """
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", given.strip())
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=OSLO)
    if end_of_day and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        moment += timedelta(days=1)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(given) from error


def show_time(at: datetime | None) -> str:
    """``24.11.2026 04:38:17``, Norwegian time."""
    return "" if at is None else at.astimezone(OSLO).strftime("%d.%m.%Y %H:%M:%S")


def show_elapsed(start: datetime, at: datetime) -> str:
    """How much later: ``0,4 s``, ``3 min 5 s``, ``2 t 7 min``, ``4 d 3 t``."""
    seconds = max(0.0, (at - start).total_seconds())
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".", ",")
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} t {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} t"


def show_size(size: int) -> str:
    """``312 B``, ``4,2 kB``, ``1,3 GB``."""
    if size < 1000:
        return f"{size} B"
    amount, units = size / 1000, ["GB", "MB", "kB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop()
    return f"{amount:.1f} {units[-1]}".replace(".", ",")
