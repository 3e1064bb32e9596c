"""Profiles compiled to steps: everything that can be decided once is decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import ConfigurationError
from gateway.record import Record
from gateway.translate.conversions import copies_back, copies_out, give_back, give_out
from gateway.translate.expressions import BadExpression, Field, Give, Language, Test
from gateway.translate.profile import Group, Line, Profile, type_at


@dataclass(frozen=True, slots=True)
class Step:
    """Fills element `name`, inside `wrapper` if any, with what `give` gives.

    `source` is the field of the current object when the step only copies it.
    """

    wrapper: str | None
    name: str
    give: Give
    keep_wrapper: bool = False
    split: str | None = None
    source: str | None = None


class Steps:
    """Steps for one object: plain copies apart from the rest, since most are."""

    __slots__ = ("all", "copies", "rules")

    def __init__(self, steps: Iterable[Step]) -> None:
        self.all = tuple(steps)
        filled = Counter((step.wrapper, step.name) for step in self.all)

        def copies(step: Step) -> bool:
            return step.source is not None and filled[step.wrapper, step.name] == 1

        self.copies = tuple((step.source or "", step.name) for step in self.all if copies(step))
        self.rules = tuple(step for step in self.all if not copies(step))


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
    steps: Steps
    children: tuple[OutPlan, ...]

    def all(self) -> Iterator[OutPlan]:
        """This one and those inside it."""
        yield self
        for child in self.children:
            yield from child.all()


@dataclass(frozen=True, slots=True)
class BackChain:
    """Melding objects that come from nested arkivmelding objects (description, file)."""

    edu: str
    names: tuple[str, ...]
    steps: tuple[Steps, ...]
    """For each of `names`, from the outside in."""
    others: tuple[BackOther, ...]


@dataclass(frozen=True, slots=True)
class BackOther:
    """A second arkivmelding object that feeds the same Melding objects (avskrivning)."""

    name: str
    am: str
    pair: bool
    steps: Steps


@dataclass(frozen=True, slots=True)
class BackPlan:
    """The way from arkivmelding to Melding."""

    singles: tuple[tuple[str, Steps], ...]
    """Melding objects that exist once, in the order of the file."""
    chains: tuple[BackChain, ...]


def compile_out(profile: Profile, *, reading: bool = False) -> tuple[Steps, OutPlan]:
    """Steps for the root, and the plan of the case with all inside it.

    `reading` makes the plan that tells what of an arkivmelding a Melding holds: every
    line that names both sides counts, and nothing is filled in.
    """
    singles = {group.edu: group for group in profile.groups if not group.each}
    extra: dict[str, list[Step]] = {}
    own: dict[tuple[str, str], list[Step]] = {}
    for group in profile.groups:
        for line in group.lines:
            if line.am is None or not _wanted(line, reading, line.out):
                continue
            language = _language(profile, group, singles, out=True)
            step_at, name = target_of(line.am, group.am)
            with _place(line.at):
                give = give_out(profile, language, line, reading)
            wrapper, _, leaf = name.rpartition("/")
            keep = line.wrapper and not reading
            copied = step_at is None and not wrapper and copies_out(profile, line, reading=reading)
            source = line.edu if copied else None
            step = Step(wrapper or None, leaf, give, keep, line.split, source)
            if step_at is None:
                own.setdefault((group.am, group.edu), []).append(step)
            else:
                extra.setdefault(step_at, []).append(step)

    def plan(group: Group, parent: Group | None) -> OutPlan:
        language = _language(profile, group, singles, out=True)
        with _place(group.at):
            when = language.condition(group.when) if group.when else None
        inside = [other for other in profile.groups if other.am.rpartition("/")[0] == group.am]
        steps = own.get((group.am, group.edu), []) + extra.get(group.am, [])
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
            Steps(steps),
            tuple(plan(other, group) for other in inside),
        )

    root_language = _language(profile, None, singles, out=True)
    root: list[Step] = []
    for line in profile.melding:
        with _place(line.at):
            root.append(Step(None, line.am or "", root_language.value(line.value or "")))
    top = next(group for group in profile.groups if "/" not in group.am)
    return Steps(root), plan(top, None)


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
                earlier = any(step.name == line.edu for step in targets[at or group.edu])
                give = give_back(profile, language, line, substitute=earlier)
            copied = at is None and group.am == ONCE[group.edu] and copies_back(profile, line)
            source = line.am if copied else None
            targets[at or group.edu].append(Step(None, name, give, source=source))
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
    return BackPlan(tuple((edu, Steps(steps)) for edu, steps in targets.items()), tuple(chains))


def _back_steps(profile: Profile, group: Group, singles: Mapping[str, Group]) -> Steps:
    steps: list[Step] = []
    for line in group.lines:
        if line.back and line.edu is not None:
            language = _language(profile, group, singles, out=False)
            with _place(line.at):
                earlier = any(step.name == line.edu for step in steps)
                give = give_back(profile, language, line, substitute=earlier)
            source = line.am if copies_back(profile, line) else None
            steps.append(Step(None, line.edu, give, source=source))
    return Steps(steps)


ONCE = {"noarksak": "mappe", "journpost": "mappe/basisregistrering"}
"""Melding objects that a message has once, and where they are in arkivmelding."""


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
