"""Java's properties files, as the predecessor read them (bestedu-soap 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Property:
    """One line: the key as written, the value after escapes, where it stood."""

    key: str
    value: str
    line: int


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def read_properties(data: bytes) -> tuple[list[Property], list[str]]:
    """The properties of a file as Java reads them, and remarks on what looks wrong.

    ISO-8859-1 with ``\\uXXXX``; white space at the end of values is taken away, which
    Java does not do: it is Digdir's first known error.
    """
    remarks: list[str] = []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("iso-8859-1")
    if _looks_like_utf8(data):
        remarks.append(
            "the file is UTF-8, but the predecessor read it as ISO-8859-1: look at æ, ø and å"
        )
    found: list[Property] = []
    number = 0
    lines = iter(re.split(r"\r\n|\r|\n", text))
    for line in lines:
        number += 1
        start = number
        line = line.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while _continues(line):
            number += 1
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        raw_key, raw_value = _split(line)
        key, value = _unescape(raw_key), _unescape(raw_value)
        if value != value.rstrip():
            remarks.append(f"line {start}: {key}: white space at the end was taken away")
        if any(character in value.rstrip() for character in "\t\f\r\n\b"):
            remarks.append(
                f"line {start}: {key}: a backslash was read as a control character; "
                "write paths with / or \\\\"
            )
        found.append(Property(key, value.rstrip(), start))
    return found, remarks


def _looks_like_utf8(data: bytes) -> bool:
    try:
        return not data.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split(line: str) -> tuple[str, str]:
    at = 0
    while at < len(line) and line[at] not in "=: \t\f":
        at += 2 if line[at] == "\\" else 1
    rest = line[at:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return line[:at], rest


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        escaped = match[1]
        if len(escaped) == 5:
            return chr(int(escaped[1:], 16))
        return _ESCAPES.get(escaped, escaped)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text)


def canonical(key: str) -> str:
    """The one name of a key that Spring accepts in many spellings."""
    if "." not in key and key.isupper():
        key = key.replace("_", ".")  # as an environment variable
    return re.sub(r"[-_]", "", key).lower()
