"""Ways in which two values that are written differently say the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date

from gateway.compare.rules import Same
from gateway.translate.codes import CodeList

_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*|Z|[+-]\d{2}:\d{2})?", re.DOTALL)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_NORWEGIAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_INTEGER = re.compile(r"[+-]?\d+")


def _day(text: str) -> date | None:
    text = text.strip()
    found = _ISO.fullmatch(text) or _COMPACT.fullmatch(text)
    if found is not None:
        year, month, day = map(int, found.groups())
    elif (found := _NORWEGIAN.fullmatch(text)) is not None:
        day, month, year = map(int, found.groups())
    else:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _same_date(left: str, right: str, codes: CodeList | None) -> bool:
    """The same calendar day; time and zone are not looked at (mapping 2.4)."""
    day = _day(left)
    return day is not None and day == _day(right)


def _same_integer(left: str, right: str, codes: CodeList | None) -> bool:
    one, other = left.strip(), right.strip()
    if not (_INTEGER.fullmatch(one) and _INTEGER.fullmatch(other)):
        return False
    # Compared as digits: Python limits how long a number it reads.
    return _digits(one) == _digits(other)


def _digits(text: str) -> tuple[bool, str]:
    digits = text.lstrip("+-").lstrip("0")
    return (text.startswith("-") and bool(digits), digits)


def _same_code(left: str, right: str, codes: CodeList | None) -> bool:
    """A code and its text, or two codes of the same text."""
    if codes is None:
        return False
    one, other = (codes.texts.get(value, value) for value in (left, right))
    return one == other


def _same_space(left: str, right: str, codes: CodeList | None) -> bool:
    """Different only in white space: line ends, doubled blanks, at either end."""
    return left.split() == right.split()


def _same_characters(left: str, right: str, codes: CodeList | None) -> bool:
    """Composed and decomposed letters: å as one character or as two."""
    return unicodedata.normalize("NFC", left) == unicodedata.normalize("NFC", right)


def _same_case(left: str, right: str, codes: CodeList | None) -> bool:
    return left.casefold() == right.casefold()


def _both_empty(left: str, right: str, codes: CodeList | None) -> bool:
    """Absent, empty and blank mean the same: nothing is said."""
    return not left.strip() and not right.strip()


SAME: Mapping[str, Same] = {
    "date": _same_date,
    "integer": _same_integer,
    "code": _same_code,
    "space": _same_space,
    "characters": _same_characters,
    "case": _same_case,
    "empty": _both_empty,
}
"""Names that `same` in a rule may have."""
