"""Values as TOML and the environment give them, checked against their key.

Everything raises ValueError with what the value must be; no message repeats a value that
may be a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.settings.description import Key

_TRUTHS = {"true": True, "false": False}


def from_environment(key: Key, text: str) -> object:
    """What the text of a variable would be in the file; unchanged when it is nothing."""
    if key.type is bool:
        return _TRUTHS.get(text.strip().lower(), text)
    if key.type is int and re.fullmatch(r"\s*-?[0-9]+\s*", text):
        return int(text)
    if key.type is float:
        try:
            return float(text)
        except ValueError:
            return text
    if key.type is Mapping:
        pairs = (one.partition("=") for one in text.split(","))
        return {name.strip(): _TRUTHS.get(value.strip().lower(), value) for name, _, value in pairs}
    return text


def checked(key: Key, given: object, base: Path) -> Any:
    """The value that the gateway works with; paths are under `base`."""
    value = _typed(key, given, base)
    _check_range(key, value)
    if key.about.rule is not None:
        key.about.rule(value)
    return value


def _typed(key: Key, given: object, base: Path) -> Any:
    if key.type is bool:
        if not isinstance(given, bool):
            raise ValueError("must be true or false, without quotes")
        return given
    if key.type is Mapping:
        if not isinstance(given, dict) or not all(isinstance(v, bool) for v in given.values()):
            raise ValueError("must be a table of true and false")
        return given
    if key.type in (int, float):
        return _number(key.type, given)
    if not isinstance(given, str):
        raise ValueError("must be text in quotes")
    if "\0" in given:
        raise ValueError("must not hold a NUL character")
    if key.choices and given not in key.choices:
        raise ValueError(f"must be one of {', '.join(key.choices)}; it is {given!r}")
    return base / given if key.type is Path else given


def _number(type_: type[int] | type[float], given: object) -> int | float:
    if type_ is int:
        if not isinstance(given, int) or isinstance(given, bool):
            raise ValueError("must be a whole number, without quotes")
        return given
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise ValueError("must be a number, without quotes")
    if not math.isfinite(given):
        raise ValueError("must be a number that is not infinite")
    return float(given)


def _check_range(key: Key, value: object) -> None:
    if not isinstance(value, int | float):
        return
    least, most = key.about.least, key.about.most
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"must be {allowed_range(key)}; it is {value}")


def allowed_range(key: Key) -> str:
    """The bounds of a number in words; empty when there are none."""
    least, most = key.about.least, key.about.most
    if most is not None:
        return f"{least if least is not None else 'anything'} to {most}"
    return "" if least is None else f"at least {least}"
