"""What a check finds, and how checks that build on each other are carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.engine.masking import masked
from gateway.errors import GatewayError


class Grade(StrEnum):
    """How well it is."""

    OK = "OK"
    WARN = "WARN"
    """The gateway works, but a person should do something."""
    FAIL = "FAIL"
    SKIP = "SKIP"
    """Not tried, because something that it builds on failed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was seen, and what to do when it is not well. Neither holds a secret."""

    grade: Grade
    seen: str
    remedy: str = ""


def ok(seen: str) -> Verdict:
    """All is well."""
    return Verdict(Grade.OK, seen)


def warn(seen: str, remedy: str) -> Verdict:
    """Somebody should do something."""
    return Verdict(Grade.WARN, seen, remedy)


def fail(seen: str, remedy: str) -> Verdict:
    """It does not work."""
    return Verdict(Grade.FAIL, seen, remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to be examined. `name` never changes: monitors look for it.

    A `GatewayError` that `examine` raises is a failure, for which `remedy` is what to do.
    It is not tried when a check of the names in `needs` failed or was not tried itself;
    one that is not part of the run stands in nobody's way.
    """

    name: str
    examine: Callable[[], Verdict]
    remedy: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    grade: Grade
    seen: str
    remedy: str = ""


def for_organisation(checks: Iterable[Check], orgnr: str) -> Iterator[Check]:
    """The same for another organisation than our own: its number is added to each name.

    Needs that are not among `checks` are those of everybody.
    """
    theirs: dict[str, str] = {}
    for check in checks:
        theirs[check.name] = f"{check.name}-{orgnr}"
        needs = tuple(theirs.get(name, name) for name in check.needs)
        yield replace(check, name=theirs[check.name], needs=needs)


def carry_out(checks: Iterable[Check]) -> Iterator[Finding]:
    """Examine everything in order; each finding as soon as it is there."""
    causes: dict[str, str] = {}
    for check in checks:
        cause = next((causes[name] for name in check.needs if name in causes), None)
        if cause is not None:
            verdict = Verdict(Grade.SKIP, f"not tried because {cause} failed")
            causes[check.name] = cause
        else:
            verdict = _examined(check)
            if verdict.grade is Grade.FAIL:
                causes[check.name] = check.name
        yield Finding(check.name, verdict.grade, masked(verdict.seen), masked(verdict.remedy))


def _examined(check: Check) -> Verdict:
    try:
        return check.examine()
    except GatewayError as error:
        return fail(error.detail, check.remedy)
