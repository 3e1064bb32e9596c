"""Values of the predecessor's file, turned into ours.

Each converter returns our value and a remark, or raises ValueError with what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Value = str | int | float | bool

_SIZE = re.compile(r"(\d+)\s*([KMGT]?)B?", re.IGNORECASE)
TRUE = ("true", "on", "yes", "1")
FALSE = ("false", "off", "no", "0")


def _text(value: str) -> tuple[Value, str]:
    return value, ""


def _secret(value: str) -> tuple[Value, str]:
    if value.startswith("vault:"):
        raise ValueError("is kept in a vault, which we do not read")
    return value, "written to a file of its own"


def _file(value: str) -> tuple[Value, str]:
    if value.startswith(("classpath:", "vault:")):
        raise ValueError("is not a file; give a path")
    if any(character in value for character in "\t\f\r\n\b"):
        raise ValueError("has a control character: a backslash that was not doubled")
    return value.removeprefix("file:"), ""


def _orgnr(value: str) -> tuple[Value, str]:
    digits = value.removeprefix("0192:").replace(" ", "")
    if not re.fullmatch(r"[0-9]{9}", digits):
        raise ValueError("is not nine digits")
    return digits, ""


def _integer(value: str) -> tuple[Value, str]:
    if not value.isdigit():
        raise ValueError("is not a whole number")
    return int(value), ""


def _hours(value: str) -> tuple[Value, str]:
    return float(_integer(value)[0]), "hours"


def _size(value: str) -> tuple[Value, str]:
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError("is not a size such as 1GB")
    factor = 1024 ** " KMGT".index(found[2].upper() or " ")
    return int(found[1]) * factor, "bytes"


def _boolean(value: str) -> tuple[Value, str]:
    if value.lower() in TRUE:
        return True, ""
    if value.lower() in FALSE:
        return False, ""
    raise ValueError("is neither true nor false")


def _dialect(value: str) -> tuple[Value, str]:
    name = value.lower()
    if name not in ("p360", "ephorte", "websak", "mail"):
        raise ValueError("is none of p360, ephorte, websak, mail")
    return name, ""


def _registry(value: str) -> tuple[Value, str]:
    address = value.rstrip("/")
    moved = {
        "https://meldingsutveksling.difi.no/serviceregistry": "https://eformidling.no/adressetjeneste",
        "https://beta-meldingsutveksling.difi.no/serviceregistry": (
            "https://test.eformidling.no/adressetjeneste"
        ),
    }
    if address in moved:
        return moved[address], "the old host is gone; its new address was written"
    return address, ""


def _channel(value: str) -> tuple[Value, str]:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,25}", value):
        raise ValueError("is not 1 to 25 of A-Z, a-z, 0-9, - and _")
    return value, ""


CONVERT: Mapping[str, Callable[[str], tuple[Value, str]]] = {
    "text": _text,
    "secret": _secret,
    "file": _file,
    "orgnr": _orgnr,
    "integer": _integer,
    "hours": _hours,
    "size": _size,
    "boolean": _boolean,
    "dialect": _dialect,
    "registry": _registry,
    "channel": _channel,
}
