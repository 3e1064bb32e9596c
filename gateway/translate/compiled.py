"""Profiles compiled to steps: everything that can be decided once is decided here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import ConfigurationError
from gateway.model import Outcome
from gateway.record import Record
from gateway.translate.expressions import BadExpression, Field, Give, Language, Test
from gateway.translate.profile import Group, Line, Profile, type_at
from gateway.translate.scope import Scope
from gateway.translate.values import read_date, read_integer, repair_date


@dataclass(frozen=True, slots=True)
class Step:
    """Fills element `name`, inside `wrapper` if any, with what `give` gives."""

    wrapper: str | None
    name: str
    give: Give
    keep_wrapper: bool = False
    split: str | None = None


@dataclass(frozen=True, slots=True)
class OutPlan:
    """One kind of arkivmelding object and where it comes from."""

    name: str
    am: str
    xsi_type: str | None
    edu: str
    each: bool
    same_item: bool
    """The parent was made from the same source object."""
    primary: bool
    """The first group of its source: it decides which objects there are on the way back."""
    when: Test | None
    omit_empty: bool
    steps: tuple[Step, ...]
    children: tuple[OutPlan, ...]


@dataclass(frozen=True, slots=True)
class BackChain:
    """Melding objects that come from nested arkivmelding objects (description, file)."""

    edu: str
    names: tuple[str, ...]
    steps: tuple[tuple[Step, ...], ...]
    """For each of `names`, from the outside in."""
    others: tuple[BackOther, ...]


@dataclass(frozen=True, slots=True)
class BackOther:
    """A second arkivmelding object that feeds the same Melding objects (avskrivning)."""

    name: str
    am: str
    pair: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class BackPlan:
    """The way from arkivmelding to Melding."""

    singles: tuple[tuple[str, tuple[Step, ...]], ...]
    """Melding objects that exist once, in the order of the file."""
    chains: tuple[BackChain, ...]


def compile_out(profile: Profile, *, reading: bool = False) -> tuple[tuple[Step, ...], OutPlan]:
    """Steps for the root, and the plan of the case with all inside it.

    `reading` makes the plan that tells what of an arkivmelding a Melding holds: every
    line that names both sides counts, and nothing is filled in.
    """
    singles = {group.edu: group for group in profile.groups if not group.each}
    extra: dict[str, list[Step]] = {}
    own: dict[str, list[Step]] = {}
    for group in profile.groups:
        for line in group.lines:
            if line.am is None or not _wanted(line, reading, line.out):
                continue
            language = _language(profile, group, singles, out=True)
            step_at, name = target_of(line.am, group.am)
            with _place(line.at):
                give = _give_out(profile, language, line, reading)
            wrapper, _, leaf = name.rpartition("/")
            step = Step(wrapper or None, leaf, give, line.wrapper and not reading, line.split)
            place = own if step_at is None else extra
            place.setdefault(step_at if step_at is not None else group.am + "|" + group.edu, [])
            place[step_at if step_at is not None else group.am + "|" + group.edu].append(step)

    def plan(group: Group, parent: Group | None) -> OutPlan:
        language = _language(profile, group, singles, out=True)
        with _place(group.at):
            when = language.condition(group.when) if group.when else None
        inside = [other for other in profile.groups if other.am.rpartition("/")[0] == group.am]
        steps = own.get(group.am + "|" + group.edu, []) + extra.get(group.am, [])
        return OutPlan(
            group.am.rpartition("/")[2],
            group.am,
            group.xsi_type,
            group.edu,
            group.each,
            parent is not None and parent.each and parent.edu == group.edu,
            group is next(other for other in profile.groups if other.edu == group.edu),
            when,
            group.omit_empty or reading,
            tuple(steps),
            tuple(plan(other, group) for other in inside),
        )

    root_language = _language(profile, None, singles, out=True)
    root: list[Step] = []
    for line in profile.melding:
        with _place(line.at):
            root.append(Step(None, line.am or "", root_language.value(line.value or "")))
    top = next(group for group in profile.groups if "/" not in group.am)
    return tuple(root), plan(top, None)


def _wanted(line: Line, reading: bool, direction: bool) -> bool:
    if reading:
        return line.edu is not None and line.am is not None and line.value is None
    return direction


def compile_back(profile: Profile) -> BackPlan:
    """The plan from arkivmelding to Melding."""
    singles = {group.am: group for group in profile.groups if not group.each}
    targets: dict[str, list[Step]] = {}
    for group in profile.groups:
        if not group.each:
            targets.setdefault(group.edu, [])
    for group in profile.groups:
        for line in group.lines:
            if not line.back or line.edu is None or group.each:
                continue
            at, name = target_of(line.edu, group.edu)
            language = _language(profile, group, singles, out=False)
            with _place(line.at):
                give = _give_back(profile, language, line, targets, at or group.edu)
            targets[at or group.edu].append(Step(None, name, give))
    chains: list[BackChain] = []
    for edu in dict.fromkeys(group.edu for group in profile.groups if group.each):
        groups = [group for group in profile.groups if group.each and group.edu == edu]
        nested = [groups[0]]
        others: list[BackOther] = []
        for group in groups[1:]:
            if group.am.startswith(nested[-1].am + "/"):
                nested.append(group)
            else:
                others.append(
                    BackOther(
                        group.am.rpartition("/")[2],
                        group.am,
                        group.pair,
                        _back_steps(profile, group, singles),
                    )
                )
        chains.append(
            BackChain(
                edu,
                tuple(group.am.rpartition("/")[2] for group in nested),
                tuple(_back_steps(profile, group, singles) for group in nested),
                tuple(others),
            )
        )
    return BackPlan(tuple((edu, tuple(steps)) for edu, steps in targets.items()), tuple(chains))


def _back_steps(profile: Profile, group: Group, singles: Mapping[str, Group]) -> tuple[Step, ...]:
    steps: dict[str, list[Step]] = {group.edu: []}
    for line in group.lines:
        if line.back and line.edu is not None:
            language = _language(profile, group, singles, out=False)
            with _place(line.at):
                give = _give_back(profile, language, line, steps, group.edu)
            steps[group.edu].append(Step(None, line.edu, give))
    return tuple(steps[group.edu])


def target_of(name: str, own: str) -> tuple[str | None, str]:
    """Which object a name is on (None: the group's own), and its name there."""
    if not name.startswith("/"):
        return None, name
    parts = name[1:].split("/")
    cut = next((n for n in range(len(parts) - 1, 0, -1) if parts[n - 1] in _ONCE), len(parts) - 1)
    path, rest = "/".join(parts[:cut]), "/".join(parts[cut:])
    return (None, rest) if path == own else (path, rest)


_ONCE = frozenset({"mappe", "basisregistrering", "noarksak", "journpost"})
"""Objects that a message has once; names with a slash in front begin at one of them."""


def _language(
    profile: Profile, group: Group | None, singles: Mapping[str, Group], *, out: bool
) -> Language:
    def field(name: str) -> Field:
        _require_field(profile, group, name, out=out)
        if name.startswith("/"):
            path, leaf = target_of(name, "")
            return _from_object(path or "", leaf)
        if group is not None and not group.each:
            return _from_object(group.edu if out else group.am, name)
        wrapper, _, leaf = name.rpartition("/")
        if wrapper:
            return lambda scope: _inside(scope.item, wrapper, leaf)
        return lambda scope: scope.item.values.get(name)

    rules = profile.rules
    return Language(
        field, profile.lists, profile.file_types, rules.with_offset, rules.missing_dates
    )


def language_back(profile: Profile, group: Group) -> Language:
    """The language of a group's lines on the way back."""
    singles = {one.am: one for one in profile.groups if not one.each}
    return _language(profile, group, singles, out=False)


def _require_field(profile: Profile, group: Group | None, name: str, *, out: bool) -> None:
    own = "" if group is None else group.edu if out else group.am
    path = name[1:] if name.startswith("/") else f"{own}/{name}"
    schema = profile.edu_schema if out else profile.am_schema
    xsi_types = None if out else {one.am: one.xsi_type for one in profile.groups if one.xsi_type}
    found = type_at(schema, schema.root, path, xsi_types)
    if found is None or found in schema.types:
        raise BadExpression(f"there is no field {path!r} in the schema")


@contextmanager
def _place(at: str) -> Iterator[None]:
    """Says where in the mapping file an expression is wrong."""
    try:
        yield
    except BadExpression as error:
        raise ConfigurationError(f"{at}: {error}") from error


def _from_object(path: str, name: str) -> Field:
    wrapper, _, leaf = name.rpartition("/")
    if wrapper:
        return lambda scope: _inside(scope.objects[path], wrapper, leaf)
    return lambda scope: scope.objects[path].values.get(name)


def _inside(record: Record, wrapper: str, name: str) -> str | None:
    inner = record.group(wrapper)
    return None if inner is None else inner.values.get(name)


# --- out ------------------------------------------------------------------------------


def _give_out(profile: Profile, language: Language, line: Line, reading: bool) -> Give:
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


def _give_back(
    profile: Profile,
    language: Language,
    line: Line,
    earlier: Mapping[str, list[Step]],
    target: str,
) -> Give:
    if line.value is not None:
        give = language.value(line.value)
        name = line.edu or ""
        if any(step.name == name for step in earlier[target]):
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

        def integer(scope: Scope) -> str | None:
            value = get(scope)
            return None if value is None else read_integer(value.strip())

        return integer
    if line.kind == "date":
        return _date_back(get, line.am or "", profile.rules.missing_dates)
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
