"""The report as web pages that need nothing but themselves.

Written for a records manager: Norwegian, field names of BEST/EDU with what they mean,
both sides beside each other. No script, no request to anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.compare.names import Names
from gateway.compare.rules import RuleBook
from gateway.compare.summary import STATUSES, Cell, Summary, coverage, heat_map, unused_rules

COMPARISON, COVERAGE, CUTOVER = "index.html", "dekning.html", "overgang.html"
PAGES = ((COMPARISON, "Sammenligning"), (COVERAGE, "Dekning"), (CUTOVER, "Overgangserklæring"))

MOST_MESSAGES = 200
MOST_EXAMPLES = 8
MOST_CHANGES = 100
_MOST_PLACES = 3
_MOST_TEXT = 2_000
_MOST_XML = 40_000

KINDS = {
    "equal": "lik",
    "equal after rule": "lik etter regel",
    "defaulted": "standardverdi satt inn",
    "lost": "tapt",
    "invented": "lagt til",
    "order only": "bare rekkefølge",
    "content differs": "ulikt innhold",
    "failed": "kunne ikke leses",
}


def write_pages(
    targets: Mapping[str, TextIO],
    facts: Mapping[str, Any],
    results: Iterable[Mapping[str, Any]],
    changes: Iterable[Mapping[str, Any]] | None,
    book: RuleBook,
    names: Names,
    file_types: Iterable[str],
) -> None:
    """Write the three pages to `targets`, by file name.

    `results` and `changes` are the lines of a run; only the first messages with
    unexplained differences are shown, so that the page stays readable.
    """
    summary = Summary.from_data(facts["summary"])
    chosen = _chosen(results)
    rows = heat_map(summary)
    by_id = {rule.id: rule for rule in book.rules}
    counts = {status: summary.statuses.get(status, 0) for status in STATUSES}
    alone = sum(summary.alone.values())
    reasons = _reasons(counts, summary)
    view = {
        "pages": PAGES,
        "left": facts["left"],
        "right": "vår oversettelse" if facts["right"] == "translate" else facts["right"],
        "made": _moment(facts["made"]),
        "counts": counts,
        "total": summary.letters,
        "dialects": list(summary.dialects.items()),
        "rows": rows,
        "numbers": {pattern: number for number, (pattern, _) in enumerate(rows, 1)},
        "examples": {name: list(found.values()) for name, found in chosen.examples.items()},
        "more": chosen.more,
        "unexplained_kinds": {pattern: _kinds_of(cells) for pattern, cells in rows},
        "messages": chosen.messages,
        "failures": facts["failures"][:50],
        "changes": _changes(facts["changes"], changes),
        "rules_used": [
            (by_id[rule], count) for rule, count in summary.rules.most_common() if rule in by_id
        ],
        "rules_unused": unused_rules(summary, book),
        "coverage": coverage(summary, names, file_types),
        "seen": summary.seen,
        "ready": not reasons,
        "reasons": reasons,
        "period": _period(summary),
        "bytes": summary.bytes,
        "largest": summary.largest,
        "largest_name": summary.largest_name,
        "receipts": {name: summary.receipts.get(name, 0) for name in ("matched", "unmatched")},
        "documents": {
            name: summary.documents.get(name, 0) for name in ("compared", "equal", "not at hand")
        },
        "alone": alone,
    }
    environment = _environment(book)
    for file, template in (
        (COMPARISON, "comparison.html"),
        (COVERAGE, "coverage.html"),
        (CUTOVER, "cutover.html"),
    ):
        targets[file].writelines(environment.get_template(template).generate(**view, here=file))


def _environment(book: RuleBook) -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.compare", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(
        against=against,
        breakable=lambda name: Markup(str(escape(name)).replace("].", "].<wbr>")),
        kind=lambda kind: KINDS.get(kind, kind),
        kinds=_kinds,
        label=lambda pattern: book.labels.get(pattern, ""),
        heat=_heat,
        tall=lambda number: f"{number:,}".replace(",", "\u00a0"),
        størrelse=_size,
    )
    return environment


def against(text: str, other: str | None) -> list[tuple[str, bool]]:
    """`text` in pieces, those that `other` does not have marked; cut when very long."""
    if other is None or text == other or not other:
        return [(_cut(text), False)]
    start = 0
    while start < min(len(text), len(other)) and text[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(text), len(other)) - start and text[-1 - end] == other[-1 - end]:
        end += 1
    middle = text[start : len(text) - end]
    visible = middle if middle.strip() else middle.replace(" ", "·").replace("\n", "↵\n")
    pieces = [
        (_cut(text[:start]), False),
        (_cut(visible), True),
        (_cut(text[-end:] if end else ""), False),
    ]
    return [(piece, marked) for piece, marked in pieces if piece]


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} … ({len(text)} tegn)"


def _kinds(kinds: Mapping[str, int]) -> str:
    parts = []
    for kind, count in kinds.items():
        known = kind.removesuffix("!")
        note = " (uforklart)" if kind.endswith("!") else ""
        parts.append(f"{KINDS.get(known, known)}: {count}{note}")
    return ", ".join(parts)


def _kinds_of(cells: Sequence[Cell]) -> str:
    total: Counter[str] = Counter()
    for cell in cells:
        total.update(
            {kind.removesuffix("!"): n for kind, n in cell.kinds.items() if kind.endswith("!")}
        )
    return ", ".join(f"{KINDS[kind]} i {count} meldinger" for kind, count in total.items())


def _heat(share: float) -> str:
    """From pale to strong red. Text stays dark: contrast is kept at both ends."""
    pale, strong = (251, 228, 227), (240, 140, 133)
    weight = min(1.0, share * 2) if share < 0.5 else 1.0
    mixed = (round(p + (s - p) * weight) for p, s in zip(pale, strong, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _size(count: int) -> str:
    value = float(count)
    for unit in ("byte", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            text = f"{value:.0f}" if unit == "byte" or value >= 100 else f"{value:.1f}"
            return f"{text.replace('.', ',')} {unit}"
        value /= 1000
    raise AssertionError


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%d.%m.%Y kl. %H.%M")


def _period(summary: Summary) -> str:
    if summary.first is None or summary.last is None:
        return "ukjent"
    first, last = (moment.strftime("%d.%m.%Y") for moment in (summary.first, summary.last))
    return first if first == last else f"{first} – {last}"


def _reasons(counts: Mapping[str, int], summary: Summary) -> list[str]:
    """Why one should not move yet; empty when nothing speaks against it."""
    found = []
    if not summary.letters:
        found.append("ingen meldinger er sammenlignet")
    if counts["different"]:
        found.append(f"{counts['different']} meldinger har uforklarte forskjeller")
    if counts["failed"]:
        found.append(f"{counts['failed']} filer kunne ikke sammenlignes")
    return found


def _changes(
    counts: Mapping[str, int] | None, lines: Iterable[Mapping[str, Any]] | None
) -> dict[str, Any] | None:
    if counts is None or lines is None:
        return None
    shown = [line for line, _ in zip(lines, range(MOST_CHANGES), strict=False)]
    return {"new": counts.get("new", 0), "gone": counts.get("gone", 0), "shown": shown}


# --- which messages to show -----------------------------------------------------------


def _chosen(results: Iterable[Mapping[str, Any]]) -> _Chosen:
    """The first messages with unexplained differences, and examples of every field.

    Differences with the same two values are one example, counted.
    """
    chosen = _Chosen()
    for line in results:
        if line["status"] != "different":
            continue
        anchor = None
        if len(chosen.messages) < MOST_MESSAGES:
            anchor = f"melding-{len(chosen.messages) + 1}"
            chosen.messages.append(_message(line, anchor))
        for finding in line["findings"]:
            if finding["rule"] is None:
                chosen.add(finding, line, anchor)
    return chosen


@dataclass(slots=True)
class _Chosen:
    messages: list[dict[str, Any]] = field(default_factory=list)
    examples: dict[str, dict[tuple[str, str | None, str | None], dict[str, Any]]] = field(
        default_factory=dict
    )
    more: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Mapping[str, Any], line: Mapping[str, Any], anchor: str | None) -> None:
        known = self.examples.setdefault(finding["pattern"], {})
        key = (finding["kind"], finding["left"], finding["right"])
        if key not in known and len(known) >= MOST_EXAMPLES:
            self.more[finding["pattern"]] += 1
            return
        example = known.setdefault(
            key,
            {
                "kind": finding["kind"],
                "left": finding["left"],
                "right": finding["right"],
                "count": 0,
                "where": [],
            },
        )
        example["count"] += 1
        if len(example["where"]) < _MOST_PLACES:
            example["where"].append({"title": _title(line), "anchor": anchor})


def _title(line: Mapping[str, Any]) -> str:
    fields = line.get("left_fields") or line.get("right_fields") or {}
    name = str(line["left"] or line["right"])
    return fields.get("jpInnhold") or name


def _message(line: Mapping[str, Any], anchor: str) -> dict[str, Any]:
    findings = sorted(line["findings"], key=lambda it: it["rule"] is not None)
    unexplained = sum(1 for finding in findings if finding["rule"] is None)
    one, other = line.get("left_fields") or {}, line.get("right_fields") or {}
    return {
        "anchor": anchor,
        "name": line["left"] or line["right"],
        "title": _title(line),
        "dialect": line["dialect"],
        "conversation": line["conversation"],
        "left": line["left"],
        "right": line["right"],
        "equal": line["equal"],
        "unexplained": unexplained,
        "explained": len(findings) - unexplained,
        "findings": findings,
        "fields": list(_beside(one, other, "")),
        "left_xml": (line.get("left_xml") or "")[:_MOST_XML],
        "right_xml": (line.get("right_xml") or "")[:_MOST_XML],
    }


def _beside(
    one: Mapping[str, Any], other: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str | None, str | None]]:
    for name in [*one, *(name for name in other if name not in one)]:
        if not name.endswith("[]"):
            yield prefix + name, one.get(name), other.get(name)
            continue
        left, right = one.get(name, []), other.get(name, [])
        for number in range(max(len(left), len(right))):
            yield from _beside(
                left[number] if number < len(left) else {},
                right[number] if number < len(right) else {},
                f"{prefix}{name[:-2]}[{number + 1}].",
            )
