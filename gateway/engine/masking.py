"""Numbers that may be somebody's national identity number, made unreadable.

Eleven digits standing alone are masked wherever people look: pages, the CLI, mails.
"""

from __future__ import annotations

import re
from typing import Any

_ELEVEN_DIGITS = re.compile(r"(?<![0-9A-Za-z])\d{11}(?![0-9A-Za-z])")


def masked(text: str) -> str:
    """`text` with every eleven-digit number replaced by as many asterisks."""
    return _ELEVEN_DIGITS.sub("*" * 11, text)


def masked_values(value: Any) -> Any:
    """The same for every text in a structure of dicts, lists and tuples."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: masked_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(one) for one in value]
    return value
