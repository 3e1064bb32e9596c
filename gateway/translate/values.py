"""Integers, dates and names of files: one text in, one text out. None: cannot be read."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import uuid
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

OSLO = ZoneInfo("Europe/Oslo")
_PROJECT = uuid.UUID("6b1f4f0e-3d2a-5c1b-9d0e-6f7e0a4c2b51").bytes
"""Namespace of the ids that we derive. Never change it: receivers recognise cases by it."""

_INTEGER = re.compile(r"([+-]?)(\d+)")
_PLAIN_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ZONE = r"(Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?"
_DATE = re.compile(r"(-?(?:[1-9][0-9]{3,}|0[0-9]{3}))-([0-9]{2})-([0-9]{2})" + _ZONE)
_DATE_TIME = re.compile(
    r"(-?(?:[1-9][0-9]{3,}|0[0-9]{3}))-([0-9]{2})-([0-9]{2})"
    r"T(?:([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?|(24):00:00(?:\.0+)?)" + _ZONE
)
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_DOTTED = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_HEX = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
GUID = re.compile(rf"{_HEX}|\{{{_HEX}\}}")


def read_integer(text: str) -> str | None:
    """Canonical form: no plus, no leading zeros, ASCII digits (mapping 3.2). No limit."""
    if text.isdigit() and text.isascii() and text[0] != "0":
        return text
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, digits = match.groups()
    if not digits.isascii():
        digits = "".join(str(unicodedata.digit(digit)) for digit in digits)
    digits = digits.lstrip("0")
    if not digits:
        return "0"
    return f"-{digits}" if sign == "-" else digits


def read_date(text: str) -> str | None:
    """Calendar date of an xs:date or xs:dateTime, its offset kept (mapping 3.3)."""
    if _PLAIN_DATE.fullmatch(text):
        try:
            date.fromisoformat(text)
        except ValueError:
            return None
        return text
    match = _DATE.fullmatch(text)
    if match is not None:
        year, month, day, _ = match.groups()
        return text if _exists(year, month, day) else None
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, _, midnight, zone = match.groups()
    if not _exists(year, month, day):
        return None
    if midnight:
        year, month, day = _next_day(year, month, day)
    return f"{year}-{month}-{day}{zone or ''}"


def repair_date(text: str) -> str | None:
    """``YYYYMMDD``, ``DD.MM.YYYY`` and surrounding blanks (mapping 7.2)."""
    text = text.strip()
    found = read_date(text)
    if found is not None:
        return found
    for pattern, order in ((_COMPACT, (1, 2, 3)), (_DOTTED, (3, 2, 1))):
        match = pattern.fullmatch(text)
        if match is not None:
            return read_date("-".join(match.group(group) for group in order))
    return None


def _exists(year: str, month: str, day: str) -> bool:
    number, m, d = int(year[-4:]), int(month), int(day)
    if not 1 <= m <= 12 or not 1 <= d <= _DAYS[m - 1] or not int(year.lstrip("-")[:4] or "0"):
        return False
    return m != 2 or d != 29 or _leap(number)


def _leap(year: int) -> bool:
    """From the last four digits: 10 000 years are a whole number of leap cycles."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _next_day(year: str, month: str, day: str) -> tuple[str, str, str]:
    if len(year) == 4 and year != "9999":
        following = date(int(year), int(month), int(day)) + timedelta(days=1)
        return f"{following.year:04}", f"{following.month:02}", f"{following.day:02}"
    return year, month, day


def midnight(day: str, *, with_offset: bool) -> str:
    """The xs:dateTime at which `day` (from `read_date`) begins.

    An offset of the date's own is kept. Without one it is local Oslo time, said aloud
    when `with_offset`.
    """
    match = _DATE.fullmatch(day)
    assert match is not None
    zone = match.group(4) or ""
    plain = day[: len(day) - len(zone)]
    if not zone and with_offset:
        zone = oslo_offset(plain)
    return f"{plain}T00:00:00{zone}"


def oslo_offset(day: str) -> str:
    """Oslo's offset from UTC at the beginning of `day`."""
    # Before railway time the offset has seconds, which xs:dateTime cannot say.
    if len(day) != 10 or day < "1900" or day.startswith("-"):
        return "+01:00"
    return datetime.fromisoformat(day).replace(tzinfo=OSLO).isoformat()[-6:]


@lru_cache(maxsize=64)
def moment(now: datetime) -> str:
    """xs:dateTime with milliseconds and Oslo's offset."""
    return now.astimezone(OSLO).isoformat(timespec="milliseconds")


def today(now: datetime) -> str:
    """Oslo's calendar date at `now`."""
    return now.astimezone(OSLO).date().isoformat()


def derived_id(name: str) -> str:
    """The UUID (version 5) that we make from `name`: the same for the same name, always."""
    digits = hashlib.sha1(_PROJECT + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def extension(filename: str) -> str:
    """What follows the last dot, in lower case; empty when there is none."""
    stem, dot, ending = filename.rpartition(".")
    return ending.lower() if dot and stem else ""
