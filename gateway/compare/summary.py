"""What a whole comparison came to: counts only, so that memory does not grow with letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.compare.diff import WHOLE, Comparison
from gateway.compare.letter import CONTENT
from gateway.compare.names import Names
from gateway.compare.rules import Kind, RuleBook
from gateway.record import Record

UNKNOWN_DIALECT = "ukjent"
_MOST_CODES = 200
"""Distinct values kept per field; a code list is shorter, free text is longer."""

STATUSES = ("equal", "explained", "different", "failed")


@dataclass(slots=True)
class Summary:
    """Grows with fields, dialects and codes, never with letters."""

    statuses: Counter[str] = field(default_factory=Counter)
    dialects: Counter[str] = field(default_factory=Counter)
    cells: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """Field pattern, dialect, then kind (``lost``, ``lost!`` when nobody explained it)."""
    rules: Counter[str] = field(default_factory=Counter)
    seen: dict[str, Counter[str]] = field(default_factory=dict)
    """Field pattern, dialect: in how many letters it said something, as sent where known."""
    codes: dict[str, Counter[str]] = field(default_factory=dict)
    file_types: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    """``compared``, ``equal``, ``different``, ``not at hand``."""
    receipts: Counter[str] = field(default_factory=Counter)
    """``matched``, ``unmatched``."""
    alone: Counter[str] = field(default_factory=Counter)
    """``left``, ``right``: letters that only that side has."""
    bytes: int = 0
    largest: int = 0
    largest_name: str = ""
    fields_equal: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, comparison: Comparison, names: Names) -> None:
        """Count one pair."""
        letter = comparison.letter
        dialect = letter.dialect or UNKNOWN_DIALECT
        self.statuses[comparison.status] += 1
        self.dialects[dialect] += 1
        self.fields_equal += comparison.equal
        touched = set()
        for finding in comparison.findings:
            mark = f"{finding.kind}{'' if finding.explained else '!'}"
            touched.add((finding.pattern, mark))
            if finding.rule is not None:
                self.rules[finding.rule] += 1
        for pattern, mark in touched:
            cell = self.cells.setdefault(pattern, {}).setdefault(dialect, {})
            cell[mark] = cell.get(mark, 0) + 1
        self._sides(comparison)
        sent = next(
            (side.sent for side in (comparison.left, comparison.right) if side and side.sent),
            letter.record,
        )
        if letter.kind != "kvittering":
            self._cover(sent, dialect, names)
        size = max(side.size for side in (comparison.left, comparison.right) if side is not None)
        self.bytes += size
        if size > self.largest:
            self.largest, self.largest_name = size, letter.name

    def fail(self) -> None:
        """Count a file that could not be read or translated."""
        self.statuses["failed"] += 1

    def recorded(self, moment: datetime) -> None:
        """A letter was recorded then; the period grows to hold it."""
        self.first = moment if self.first is None else min(self.first, moment)
        self.last = moment if self.last is None else max(self.last, moment)

    @property
    def letters(self) -> int:
        return sum(self.statuses.values())

    def _sides(self, comparison: Comparison) -> None:
        left, right = comparison.left, comparison.right
        is_receipt = comparison.letter.kind == "kvittering"
        if left is None or right is None:
            self.alone["right" if left is None else "left"] += 1
        if is_receipt:
            self.receipts["matched" if left and right else "unmatched"] += 1
            return
        documents = len(comparison.letter.record.groups.get("dokument", ()))
        if left and right and left.with_contents and right.with_contents:
            wrong = sum(
                1
                for finding in comparison.findings
                if finding.pattern == f"dokument[].{CONTENT}" and finding.kind != Kind.AFTER_RULE
            )
            self.documents["compared"] += documents
            self.documents["different"] += wrong
            self.documents["equal"] += max(0, documents - wrong)
        else:
            self.documents["not at hand"] += documents

    def _cover(self, sent: Record, dialect: str, names: Names) -> None:
        found: set[str] = set()
        for pattern, value in _leaves(sent, ""):
            if not value.strip():
                continue
            found.add(pattern)
            if pattern in names.codes:
                values = self.codes.setdefault(pattern, Counter())
                if value in values or len(values) < _MOST_CODES:
                    values[value] += 1
            elif pattern == "dokument[].veFilnavn":
                ending = value.rpartition(".")[2].lower() if "." in value else "(ingen)"
                if ending in self.file_types or len(self.file_types) < _MOST_CODES:
                    self.file_types[ending] += 1
        for pattern in found:
            self.seen.setdefault(pattern, Counter())[dialect] += 1

    def as_data(self) -> dict[str, Any]:
        """For a JSON file."""
        data = {name: getattr(self, name) for name in _PLAIN}
        data["first"] = self.first.isoformat() if self.first else None
        data["last"] = self.last.isoformat() if self.last else None
        return data

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Summary:
        """The summary that `as_data` gave."""
        summary = Summary()
        for name in _PLAIN:
            value = data[name]
            if isinstance(getattr(summary, name), Counter):
                value = Counter(value)
            elif name in ("seen", "codes"):
                value = {key: Counter(inner) for key, inner in value.items()}
            setattr(summary, name, value)
        summary.first = datetime.fromisoformat(data["first"]) if data["first"] else None
        summary.last = datetime.fromisoformat(data["last"]) if data["last"] else None
        return summary


_PLAIN = (
    "statuses", "dialects", "cells", "rules", "seen", "codes", "file_types", "documents",
    "receipts", "alone", "bytes", "largest", "largest_name", "fields_equal",
)  # fmt: skip


def _leaves(record: Record, prefix: str) -> Iterable[tuple[str, str]]:
    for name, value in record.values.items():
        yield prefix + name, value
    for name, items in record.groups.items():
        for item in items:
            yield from _leaves(item, f"{prefix}{name}[].")


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the heat map: letters in which the field differed."""

    unexplained: int
    explained: int
    letters: int
    kinds: Mapping[str, int]

    @property
    def share(self) -> float:
        """Of the dialect's letters, how many have an unexplained difference here; 0 to 1."""
        return min(1.0, self.unexplained / self.letters) if self.letters else 0.0


def heat_map(summary: Summary) -> list[tuple[str, list[Cell]]]:
    """Fields with differences, worst first; the cells in the order of `summary.dialects`."""
    rows = []
    for pattern, by_dialect in summary.cells.items():
        cells = []
        for dialect, letters in summary.dialects.items():
            kinds = by_dialect.get(dialect, {})
            unexplained = sum(count for kind, count in kinds.items() if kind.endswith("!"))
            cells.append(Cell(unexplained, sum(kinds.values()) - unexplained, letters, kinds))
        rows.append((pattern, cells))
    rows.sort(
        key=lambda row: (
            -sum(cell.unexplained for cell in row[1]),
            -sum(cell.explained for cell in row[1]),
            row[0] != WHOLE,
            row[0],
        )
    )
    return rows


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the letters showed of what there is."""

    seen: tuple[tuple[str, int], ...]
    never: tuple[str, ...]
    codes: tuple[tuple[str, tuple[tuple[str, int], ...], tuple[str, ...], tuple[str, ...]], ...]
    """Field; codes seen with counts; codes of the list never seen; seen but not in the list."""
    file_types: tuple[tuple[str, int], ...]
    types_never: tuple[str, ...]


def coverage(summary: Summary, names: Names, file_types: Iterable[str]) -> Coverage:
    """Fields, codes and document types seen and never seen."""
    seen = {pattern: sum(counts.values()) for pattern, counts in summary.seen.items()}
    order = {pattern: number for number, pattern in enumerate(names.universe)}
    codes = []
    for pattern, known in names.codes.items():
        values = summary.codes.get(pattern, Counter())
        codes.append(
            (
                pattern,
                tuple(values.most_common()),
                tuple(
                    code
                    for code, text in known.texts.items()
                    if code not in values and text not in values
                ),
                tuple(v for v in values if v not in known.texts and v not in known.codes),
            )
        )
    return Coverage(
        tuple(sorted(seen.items(), key=lambda it: (order.get(it[0], 9999), it[0]))),
        tuple(pattern for pattern in names.universe if pattern not in seen),
        tuple(codes),
        tuple(summary.file_types.most_common()),
        tuple(sorted(set(file_types) - set(summary.file_types))),
    )


def unused_rules(summary: Summary, book: RuleBook) -> list[str]:
    """Rules that explained nothing in this run."""
    return [rule.id for rule in book.rules if not summary.rules[rule.id]]
