"""Writes docs/translation.md from the mapping files: ``python -m gateway.translate.document``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gateway.translate.loading import load_profile
from gateway.translate.profile import Group, Line, Profile

_HEAD = """# The translation, field by field

This page is made from the files in `mappings/` by `python -m gateway.translate.document`;
a test keeps it true. Change the files, not the page.

`→` is from EDU (Noark 4, BEST/EDU) to arkivmelding (Noark 5), `←` the other way, `↔` both.
Where several lines fill the same field, the first that gives a value wins. The order of
elements in the result is the schema's. What is not in a table is not carried over in that
profile and stands in the loss report of each message.

"""
_ARROWS = {(True, True): "↔", (True, False): "→", (False, True): "←"}


def page() -> str:
    """The whole page in Markdown."""
    return _HEAD + "\n".join(
        line
        for name in ("faithful", "rich")
        for line in _profile(load_profile(name), load_profile(name, None, _all_on(name)))
    ) + "\n"  # fmt: skip


def _all_on(name: str) -> dict[str, bool]:
    return dict.fromkeys(load_profile(name).switches, True)


def _profile(profile: Profile, corrected: Profile) -> Iterator[str]:
    yield f"## Profile {profile.name}\n"
    if profile.carry_rest:
        yield "What has no home travels in `virksomhetsspesifikkeMetadata`.\n"
    yield "| switch | at the start |\n|---|---|"
    for name, on in profile.switches.items():
        yield f"| `{name}` | {'on' if on else 'off'} |"
    yield "\n### The message\n\n| arkivmelding | | value |\n|---|---|---|"
    for line in profile.melding:
        yield f"| {line.am} | → | {_code(line.value)} |"
    for group, other in zip(profile.groups, corrected.groups, strict=True):
        yield from _group(group, other)
    lists = sorted({line.codes for group in corrected.groups for line in group.lines if line.codes})
    for name in lists:
        yield from _code_list(corrected, name)


def _group(group: Group, corrected: Group) -> Iterator[str]:
    each = "each " if group.each else ""
    yield f"\n### {each}{group.edu} ↔ {group.am}\n"
    if group.when:
        yield f"Towards arkivmelding only when {_code(group.when)}.\n"
    yield "| EDU | | arkivmelding | kind | rule |\n|---|---|---|---|---|"
    for line in group.lines:
        gone = "" if line in corrected.lines else " (replaced by a switch)"
        yield _row(line) + f"{gone} |"
    for line in corrected.lines:
        if line not in group.lines:
            yield _row(line) + " (with a switch) |"


def _row(line: Line) -> str:
    rules = [
        ("", _code(line.value)),
        ("when ", _code(line.when)),
        ("else ", _code(line.otherwise)),
        ("on the way back at least ", _code(line.always)),
        ("several joined by ", _code(line.join)),
        ("split at ", _code(line.split)),
        ("empty: ", line.empty or ""),
        ("", "surrounding element always there" if line.wrapper else ""),
    ]
    rule = "; ".join(intro + text for intro, text in rules if text)
    kind = f"code {line.codes}" if line.codes else line.kind
    arrow = _ARROWS[(line.out, line.back)]
    return f"| {line.edu or ''} | {arrow} | {line.am or ''} | {kind} | {rule}"


def _code(text: str | None) -> str:
    if text is None:
        return ""
    return f"`{text}`".replace("\n", "\\n").replace("|", "\\|") if text else "empty"


def _code_list(profile: Profile, name: str) -> Iterator[str]:
    codes = profile.lists[name]
    yield f"\n### Codes: {name}\n\n| EDU | | arkivmelding |\n|---|---|---|"
    pairs = dict.fromkeys([*codes.texts.items(), *((c, t) for t, c in codes.codes.items())])
    for code, text in pairs:
        out, back = codes.texts.get(code) == text, codes.codes.get(text) == code
        yield f"| {code or '(left out)'} | {_ARROWS[(out, back)]} | {text} |"
    yield f"| empty or unknown | → | {codes.to_am or '(left out)'} |"
    yield f"| {codes.to_edu or '(left out)'} | ← | missing or unknown |"


if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode())
