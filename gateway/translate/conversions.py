"""What one line of a mapping gives: its field read, converted and noted where need be."""

from __future__ import annotations

import re

from gateway.model import Outcome
from gateway.translate.expressions import Field, Give, Language
from gateway.translate.profile import Line, Profile
from gateway.translate.scope import Scope
from gateway.translate.values import read_date, read_integer, repair_date


def copies_out(profile: Profile, line: Line, *, reading: bool) -> bool:
    """Whether the line does no more than copy a text of its own object."""
    return _plain(profile, line, line.edu) and (
        reading or (line.otherwise is None and line.when is None)
    )


def copies_back(profile: Profile, line: Line) -> bool:
    """Whether the line does no more than copy a text of its own object."""
    return _plain(profile, line, line.am) and line.join is None and line.always is None


def _plain(profile: Profile, line: Line, source: str | None) -> bool:
    keeps = (line.empty or profile.rules.text_empty) in ("keep", "default")
    return (
        line.kind == "text"
        and line.value is None
        and keeps
        and line.split is None
        and source is not None
        and "/" not in source
    )


# --- out ------------------------------------------------------------------------------


def give_out(profile: Profile, language: Language, line: Line, reading: bool) -> Give:
    """What the line puts into its arkivmelding element; `reading` as in `compile_out`."""
    if line.edu is None:
        give = language.value(line.value or "")
    elif line.value is not None:
        give = language.value(line.value)
    else:
        give = _convert_out(profile, language.field(line.edu), line)
        if line.otherwise is not None and not reading:
            give = _with_fallback(give, language.value(line.otherwise), line)
    if line.when is None or reading:
        return give
    test = language.condition(line.when)
    return lambda scope: give(scope) if test(scope) else None


def _always(give: Give, text: str) -> Give:
    def get(scope: Scope) -> str | None:
        value = give(scope)
        return text if value is None else value

    return get


def _with_fallback(give: Give, fallback: Give, line: Line) -> Give:
    name, am = line.edu or "", line.am

    def get(scope: Scope) -> str | None:
        value = give(scope)
        if value is not None:
            return value
        value = fallback(scope)
        if value:
            scope.note(
                name,
                Outcome.DEFAULTED,
                line.kind,
                f"missing or no usable value; {am} is filled in by rule",
                value,
            )
        return value

    return get


def _convert_out(profile: Profile, get: Field, line: Line) -> Give:
    if line.kind == "integer":
        return _integer_out(get)
    if line.kind == "date":
        return _date_out(get, line.edu or "", profile.rules.missing_dates)
    if line.kind == "code":
        return _code_out(profile, get, line)
    if line.kind == "file":
        return lambda scope: scope.filenames[scope.position - 1]
    return _text(get, line.empty or profile.rules.text_empty)


def _text(get: Field, empty: str) -> Give:
    if empty == "omit blank":
        return lambda scope: _present(get(scope))
    if empty == "omit":
        return lambda scope: get(scope) or None
    return get


def _present(value: str | None) -> str | None:
    return value if value is not None and value.strip() else None


def _integer_out(get: Field) -> Give:
    def give(scope: Scope) -> str | None:
        value = get(scope)
        return read_integer(value) if value else None

    return give


def _date_out(get: Field, name: str, missing: frozenset[str]) -> Give:
    def give(scope: Scope) -> str | None:
        value = get(scope)
        if not value:
            return None
        day = read_date(value)
        if day is None:
            day = repair_date(value)
            if day is not None:
                scope.note(
                    name, Outcome.REPAIRED, "date", "not an xs:date; read as a plain one", value
                )
        return None if day in missing else day

    return give


def _code_out(profile: Profile, get: Field, line: Line) -> Give:
    codes = profile.lists[line.codes or ""]
    texts, unknown = codes.texts, codes.to_am or None
    empty = line.empty or profile.rules.code_empty
    omit_empty, omit_blank = empty.startswith("omit"), empty == "omit blank"

    def give(scope: Scope) -> str | None:
        value = get(scope)
        if value is None:
            return None
        text = texts.get(value)
        if text is not None:
            return text or None
        if (omit_empty and not value) or (omit_blank and value.isspace()):
            return None
        return unknown

    return give


# --- back -----------------------------------------------------------------------------


def give_back(
    profile: Profile,
    language: Language,
    line: Line,
    *,
    substitute: bool,
) -> Give:
    """What the line puts into its EDU element; `substitute`: when an earlier line gave none."""
    if line.value is not None:
        give = language.value(line.value)
        if substitute:
            return _noted(give, line)
        if line.truth is not None:
            return _differing(give, language.value(line.truth), line)
        return give
    assert line.am is not None
    give = _convert_back(profile, language.field(line.am), line)
    if line.join is not None:
        give = _joined(language, line, give)
    if line.always is not None:
        return _always(give, line.always)
    return give


def _noted(give: Give, line: Line) -> Give:
    name, am = line.edu or "", (line.am or line.edu or "")

    def get(scope: Scope) -> str | None:
        value = give(scope)
        if value is not None:
            scope.note(
                am, Outcome.DEFAULTED, line.kind, f"missing; {name} is filled in by rule", value
            )
        return value

    return get


def _differing(give: Give, truth: Give, line: Line) -> Give:
    name = line.am or ""

    def get(scope: Scope) -> str | None:
        value, true = give(scope), truth(scope)
        if value != true:
            scope.note(
                name,
                Outcome.CHANGED,
                "text",
                f"{line.edu} is always {value!r}; the file name says otherwise",
                true,
            )
        return value

    return get


def _joined(language: Language, line: Line, give: Give) -> Give:
    assert line.am is not None
    name, separator = line.am, line.join or ""

    def get(scope: Scope) -> str | None:
        several = scope.item.repeats.get(name)
        return give(scope) if several is None else separator.join(several)

    return get


def _convert_back(profile: Profile, get: Field, line: Line) -> Give:
    if line.kind == "integer":
        omit_zero = line.empty == "omit zero back"

        def integer(scope: Scope) -> str | None:
            value = get(scope)
            number = None if value is None else read_integer(value.strip())
            return None if omit_zero and number == "0" else number

        return integer
    if line.kind == "date":
        give = _date_back(get, line.am or "", profile.rules.missing_dates)
        return _without_offset(give) if profile.rules.plain_back else give
    if line.kind == "code":
        return _code_back(profile, get, line)
    return _text(get, line.empty or profile.rules.text_empty)


def _date_back(get: Field, name: str, missing: frozenset[str]) -> Give:
    def give(scope: Scope) -> str | None:
        value = get(scope)
        if value is None:
            return None
        day = read_date(value.strip())
        if day is None:
            day = repair_date(value)
            if day is not None:
                scope.note(
                    name, Outcome.REPAIRED, "date", "not an xs:date; read as a plain one", value
                )
        return None if day in missing else day

    return give


def _without_offset(give: Give) -> Give:
    def plain(scope: Scope) -> str | None:
        day = give(scope)
        return None if day is None else _OFFSET.sub("", day)

    return plain


_OFFSET = re.compile(r"(Z|[+-][0-9]{2}:[0-9]{2})$")


def _code_back(profile: Profile, get: Field, line: Line) -> Give:
    codes = profile.lists[line.codes or ""]
    known, unknown = codes.codes, codes.to_edu or None
    name = line.am or ""

    def give(scope: Scope) -> str | None:
        value = get(scope)
        code = None if value is None else known.get(value.strip())
        if code is not None:
            return code or None
        if unknown is not None:
            reason = "missing" if value is None else "not a known text"
            scope.note(name, Outcome.DEFAULTED, "code", f"{reason}; {line.edu} is filled in", value)
        return unknown

    return give
