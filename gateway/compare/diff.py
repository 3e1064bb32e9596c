"""Two letters, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.compare.letter import CONTENT, Letter
from gateway.compare.names import Names
from gateway.compare.rules import Kind, Rule, RuleBook
from gateway.compare.same import SAME
from gateway.record import Record
from gateway.translate.codes import CodeList

WHOLE = "(hele meldingen)"
"""Field of a finding about a letter that only one side has."""

_UNKNOWN_TO_METADATA = frozenset({CONTENT, "veMimeType"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One field that is not simply equal.

    `field` has the positions (``avsmot[2].amNavn``: those of the left side, or of the
    right for what only the right has), `pattern` has none (``avsmot[].amNavn``). `rule`
    explains it; None means that nobody has.
    """

    field: str
    pattern: str
    kind: Kind
    left: str | None
    right: str | None
    rule: str | None = None

    @property
    def explained(self) -> bool:
        return self.rule is not None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair of letters. `equal` counts the fields that were alike as they stood."""

    left: Letter | None
    right: Letter | None
    findings: tuple[Finding, ...]
    equal: int = 0

    @property
    def unexplained(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.explained)

    @property
    def status(self) -> str:
        """``equal``, ``explained`` or ``different``."""
        if not self.findings:
            return "equal"
        return "different" if self.unexplained else "explained"

    @property
    def letter(self) -> Letter:
        """The left letter, or the right one where there is no left."""
        letter = self.left or self.right
        assert letter is not None
        return letter


def compare_letters(
    left: Letter | None, right: Letter | None, book: RuleBook, names: Names
) -> Comparison:
    """Compare a pair; one of the two may be missing, never both.

    Documents are compared only where both sides have them.
    """
    if left is None or right is None:
        return _alone(left, right, book)
    differ = _Differ(left, right, book, names)
    findings = tuple(differ.records(left.record, right.record, "", ""))
    return Comparison(left, right, findings, differ.equal)


def _alone(left: Letter | None, right: Letter | None, book: RuleBook) -> Comparison:
    letter = left or right
    assert letter is not None
    kind = Kind.LOST if left is not None else Kind.INVENTED
    rule = next(
        (
            rule.id
            for rule in book.of(WHOLE, letter.dialect)
            if kind in rule.accept and rule.fits(None, None, letter.record)
        ),
        None,
    )
    finding = Finding(
        WHOLE,
        WHOLE,
        kind,
        left.name if left is not None else None,
        right.name if right is not None else None,
        rule,
    )
    return Comparison(left, right, (finding,))


class _Differ:
    def __init__(self, left: Letter, right: Letter, book: RuleBook, names: Names) -> None:
        self._left = left
        self._book = book
        self._names = names
        self._dialect = left.dialect or right.dialect
        self._between = (left.kind, right.kind)
        self._ignored = (
            frozenset()
            if left.with_contents and right.with_contents
            else _UNKNOWN_TO_METADATA
            if left.kind != right.kind
            else frozenset({CONTENT})
        )
        self.equal = 0

    def records(self, left: Record, right: Record, field: str, pattern: str) -> Iterator[Finding]:
        for name in _union(left.values, right.values):
            if name in self._ignored:
                continue
            finding = self._value(
                field + name, pattern + name, left.values.get(name), right.values.get(name)
            )
            if finding is not None:
                yield finding
        for name in _union(left.groups, right.groups):
            yield from self._group(
                left.groups.get(name, ()), right.groups.get(name, ()), field + name, pattern + name
            )

    # --- one value --------------------------------------------------------------------

    def _value(
        self, field: str, pattern: str, left: str | None, right: str | None
    ) -> Finding | None:
        if left == right:
            self.equal += 1
            return None
        rules = self._book.of(pattern, self._dialect, self._between)
        same = self._same(rules, pattern, left, right)
        if same is not None:
            return Finding(field, pattern, Kind.AFTER_RULE, left, right, same.id)
        return self._found(field, pattern, self._kind(pattern, left, right), left, right)

    def _found(
        self, field: str, pattern: str, kind: Kind, left: str | None, right: str | None
    ) -> Finding:
        for rule in self._book.of(pattern, self._dialect, self._between):
            if kind in rule.accept and rule.fits(left, right, self._left.record):
                return Finding(field, pattern, kind, left, right, rule.id)
        return Finding(field, pattern, kind, left, right)

    def _same(
        self, rules: Sequence[Rule], pattern: str, left: str | None, right: str | None
    ) -> Rule | None:
        codes = self._names.codes.get(pattern)
        for rule in rules:
            if rule.same is None or not rule.fits(left, right, self._left.record):
                continue
            if rule.same != "empty" and (left is None or right is None):
                continue
            if SAME[rule.same](left or "", right or "", codes):
                return rule
        return None

    def _kind(self, pattern: str, left: str | None, right: str | None) -> Kind:
        said, answered = bool((left or "").strip()), bool((right or "").strip())
        standard = self._is_standard(pattern, right)
        codes = self._names.codes.get(pattern)
        if not said and not answered:
            return Kind.LOST if right is None else Kind.INVENTED
        if not said:
            return Kind.DEFAULTED if standard else Kind.INVENTED
        if not answered:
            return Kind.LOST
        if standard and codes is not None and not _known(codes, left or ""):
            return Kind.DEFAULTED
        if sorted((left or "").split("\n")) == sorted((right or "").split("\n")):
            return Kind.ORDER
        return Kind.DIFFERS

    def _is_standard(self, pattern: str, value: str | None) -> bool:
        if value is None:
            return False
        if value in self._book.defaults.get(pattern, ()):
            return True
        codes = self._names.codes.get(pattern)
        return codes is not None and value in (codes.to_am, codes.to_edu)

    # --- groups -----------------------------------------------------------------------

    def _group(
        self, left: Sequence[Record], right: Sequence[Record], field: str, pattern: str
    ) -> Iterator[Finding]:
        pairs = self._pairs(left, right, pattern)
        for at, other in pairs:
            yield from self.records(left[at], right[other], f"{field}[{at + 1}].", f"{pattern}[].")
        if [other for _, other in pairs] != sorted(other for _, other in pairs):
            yield self._found(
                field,
                pattern,
                Kind.ORDER,
                ", ".join(str(at + 1) for at, _ in pairs),
                ", ".join(str(other + 1) for _, other in pairs),
            )
        nothing = Record()
        paired = {at for at, _ in pairs}
        for at, record in enumerate(left):
            if at not in paired:
                yield from self._whole(record, nothing, f"{field}[{at + 1}]", f"{pattern}[]")
        paired = {other for _, other in pairs}
        for other, record in enumerate(right):
            if other not in paired:
                yield from self._whole(nothing, record, f"{field}[{other + 1}]", f"{pattern}[]")

    def _whole(self, left: Record, right: Record, field: str, pattern: str) -> Iterator[Finding]:
        """An item that only one side has: each thing that it says."""
        record = right if left.empty else left
        if not _says_something(record):
            kind = Kind.LOST if right.empty and record is left else Kind.INVENTED
            yield self._found(field, pattern, kind, *(("", None) if record is left else (None, "")))
            return
        for finding in self.records(left, right, f"{field}.", f"{pattern}."):
            if (finding.left or finding.right or "").strip():
                yield finding

    def _pairs(
        self, left: Sequence[Record], right: Sequence[Record], pattern: str
    ) -> list[tuple[int, int]]:
        """Which item on the left is which on the right: alike, then by key, then by place.

        In the order of the left side.
        """
        if len(left) == len(right) == 1:
            return [(0, 0)]
        free_left = list(range(len(left)))
        free_right = list(range(len(right)))
        pairs: list[tuple[int, int]] = []

        def take(marks: Sequence[object], others: Sequence[object]) -> None:
            for at in list(free_left):
                if marks[at] is None:
                    continue
                same = [other for other in free_right if others[other] == marks[at]]
                if same:
                    other = at if at in same else same[0]
                    pairs.append((at, other))
                    free_left.remove(at)
                    free_right.remove(other)

        take([_mark(one) for one in left], [_mark(one) for one in right])
        for key in self._book.keys.get(pattern, ()):
            take([_key(one, key) for one in left], [_key(one, key) for one in right])
        for at in list(free_left):
            likeness = [(_likeness(left[at], right[other]), -other) for other in free_right]
            # Two items that share nothing are two items, unless their number settles it.
            if likeness and (max(likeness)[0] > 0 or len(free_left) == len(free_right)):
                other = -max(likeness)[1]
                pairs.append((at, other))
                free_left.remove(at)
                free_right.remove(other)
        return sorted(pairs)


def _known(codes: CodeList, value: str) -> bool:
    return value in codes.texts or value in codes.codes


def _union(left: Mapping[str, object], right: Mapping[str, object]) -> list[str]:
    return [*left, *(name for name in right if name not in left)]


def _says_something(record: Record) -> bool:
    return any(value.strip() for _, value in record.leaves())


def _mark(record: Record) -> object:
    return tuple(sorted(record.leaves()))


def _key(record: Record, names: Sequence[str]) -> object:
    values = tuple(" ".join(record.values.get(name, "").split()) for name in names)
    return values if all(values) else None


def _likeness(left: Record, right: Record) -> int:
    """How many values of some weight the two share."""
    return sum(
        1
        for name, value in left.values.items()
        if value.strip() and right.values.get(name) == value
    )
