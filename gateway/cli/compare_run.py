"""One comparison run: two sides in, a folder of results out, in constant memory.

Letters wait on disk until their partner comes; only keys and places are held in memory.
The results are ``results.jsonl`` (a line per pair), ``summary.json`` and, from the second
run on, ``changes.jsonl``: what is new and what is gone since the run before.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from gateway.cli.compare_sources import UNKNOWN, LetterReader, Source
from gateway.compare import Comparison, Letter, Names, RuleBook, compare_letters
from gateway.compare.letter import record_as_data
from gateway.compare.summary import Summary
from gateway.errors import GatewayError

RESULTS = "results.jsonl"
PREVIOUS = "previous.jsonl"
CHANGES = "changes.jsonl"
SUMMARY = "summary.json"


@dataclass(slots=True)
class Side:
    """Where one side's letters are, and how to read them."""

    label: str
    sources: tuple[Source, ...]
    reader: LetterReader

    def letters(self, failed: Callable[[str, Source, str], None]) -> Iterator[Letter | None]:
        """Every letter; None for a file that could not be used, which `failed` is told."""
        for source in self.sources:
            try:
                yield self.reader.read(source)
            except GatewayError as error:
                failed(self.label, source, str(error))
                yield None
            except (OSError, zipfile.BadZipFile) as error:
                failed(self.label, source, f"{source.name}: {error}")
                yield None


_KEYS = ("conversation", "journalpost", "name")
_MOST_ALIKE = 100


class _Shelf:
    """Letters on disk, found again by conversation, journal post or file name."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # a file that goes away with the connection
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            f"CREATE TABLE letter (place INTEGER PRIMARY KEY, {', '.join(_KEYS)}, data)"
        )
        for key in _KEYS:
            self._db.execute(f"CREATE INDEX {key}_of_letter ON letter ({key})")

    def put(self, letter: Letter) -> None:
        data = json.dumps(letter.as_data(), ensure_ascii=False)
        self._db.execute(
            "INSERT INTO letter (conversation, journalpost, name, data) VALUES (?, ?, ?, ?)",
            (*(_keys(letter).get(key) for key in _KEYS), data),
        )

    def take(self, letter: Letter, key: str) -> Letter | None:
        """A partner with the same `key`.

        Of several, such as one letter to many receivers, the one that is most like it. By
        journal post or name only when no other is as much like it, nor too many to look at.
        """
        found = self._db.execute(
            f"SELECT place, data FROM letter WHERE {key} = ? ORDER BY place LIMIT {_MOST_ALIKE}",
            (_keys(letter).get(key),),
        ).fetchall()
        if not found:
            return None
        candidates = [(place, _letter(data)) for place, data in found]
        if len(candidates) > 1:
            alike = [_likeness(letter, one) for _, one in candidates]
            certain = len(candidates) < _MOST_ALIKE and alike.count(max(alike)) == 1
            if key != "conversation" and not certain:
                return None
            candidates = [candidates[alike.index(max(alike))]]
        place, partner = candidates[0]
        self._db.execute("DELETE FROM letter WHERE place = ?", (place,))
        return partner

    def rest(self) -> Iterator[Letter]:
        """Those that nobody took, in the order in which they came."""
        for (data,) in self._db.execute("SELECT data FROM letter ORDER BY place"):
            yield _letter(data)

    def close(self) -> None:
        self._db.close()


def _letter(data: str) -> Letter:
    return Letter.from_data(json.loads(data))


def _keys(letter: Letter) -> dict[str, str]:
    kind = "kvittering" if letter.kind == "kvittering" else "brev"
    path = Path(letter.name)
    name = path.parent.name if path.name == "arkivmelding.xml" else path.name.partition(".")[0]
    found = {"name": f"{kind} {name.lower()}"}
    if letter.journalpost is not None:
        found["journalpost"] = f"{kind} {letter.journalpost}"
    if letter.conversation:
        found["conversation"] = f"{kind} {letter.conversation.lower()}"
    return found


def _likeness(one: Letter, other: Letter) -> int:
    stem, other_stem = (it.name.partition(".")[0] for it in (one, other))
    common = _keys(one).items() & _keys(other).items()
    return len(common) + (stem == other_stem)


def pairs(
    left: Iterable[Letter | None], right: Iterable[Letter | None]
) -> Iterator[tuple[Letter | None, Letter | None]]:
    """Letters that belong together: by conversation, else journal post, else file name.

    A letter without a partner comes alone. (None, None) stands for one file read, so that
    a progress bar can move while the right side is put on disk.
    """
    shelf, waiting = _Shelf(), _Shelf()
    try:
        for letter in right:
            if letter is not None:
                shelf.put(letter)
            yield None, None
        for letter in left:
            found = shelf.take(letter, "conversation") if letter is not None else None
            if found is not None:
                yield letter, found
            elif letter is not None:
                waiting.put(letter)
            yield None, None
        for key in _KEYS[1:]:
            unmatched = _Shelf()
            for letter in waiting.rest():
                found = shelf.take(letter, key)
                if found is None:
                    unmatched.put(letter)
                else:
                    yield letter, found
            waiting.close()
            waiting = unmatched
        for letter in waiting.rest():
            yield letter, None
        for letter in shelf.rest():
            yield None, letter
    finally:
        shelf.close()
        waiting.close()


@dataclass(slots=True)
class Run:
    """One run into the folder `out`; an earlier run's results there become the previous."""

    out: Path
    book: RuleBook
    names: Names
    summary: Summary = field(default_factory=Summary)
    failures: list[str] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    _taken: Counter[str] = field(default_factory=Counter)

    def compare(self, left: Side, right: Side, tick: Callable[[], None]) -> None:
        """Compare everything; `tick` is called once per file read."""
        self.out.mkdir(parents=True, exist_ok=True)
        results = self.out / RESULTS
        again = results.exists()
        if again:
            results.replace(self.out / PREVIOUS)
        with results.open("w", encoding="utf-8") as file:

            def failed(label: str, source: Source, problem: str) -> None:
                if source.kind == UNKNOWN:
                    return  # something else that lies in the folder
                self.summary.fail()
                self.failures.append(f"{label}: {problem}")
                line = {
                    "key": f"{label} {source.name}",
                    "status": "failed",
                    "side": label,
                    "name": source.name,
                    "problem": problem,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

            for one, other in pairs(left.letters(failed), right.letters(failed)):
                if one is None and other is None:
                    tick()
                    continue
                _leave_out_unknown_id(one, other)
                comparison = compare_letters(one, other, self.book, self.names)
                self.summary.add(comparison, self.names)
                file.write(json.dumps(self._line(comparison), ensure_ascii=False) + "\n")
        for source in left.sources:
            if source.kind != UNKNOWN:
                self.summary.recorded(
                    datetime.fromtimestamp(source.path.stat().st_mtime, tz=UTC).replace(
                        microsecond=0
                    )
                )
        if again:
            self._changes()

    def _line(self, comparison: Comparison) -> dict[str, Any]:
        letter = comparison.letter
        key = letter.conversation or letter.name
        if letter.kind == "kvittering":
            key = f"kvittering {key}"
        self._taken[key] += 1
        if self._taken[key] > 1:
            key = f"{key} ({self._taken[key]})"
        return _line(comparison, key)

    def _changes(self) -> None:
        """What this run has that the previous had not, and the other way round."""
        with (
            (self.out / PREVIOUS).open("rb") as old,
            (self.out / RESULTS).open("rb") as new,
            (self.out / CHANGES).open("w", encoding="utf-8") as file,
        ):
            places: dict[str, int] = {}
            while line := old.readline():
                places[json.loads(line)["key"]] = old.tell() - len(line)
            for raw in new:
                now = json.loads(raw)
                place = places.pop(now["key"], None)
                before: dict[str, Any] = {}
                if place is not None:
                    old.seek(place)
                    before = json.loads(old.readline())
                self._change(file, now, before)
            for place in places.values():
                old.seek(place)
                self._change(file, {}, json.loads(old.readline()))

    def _change(self, file: IO[str], now: dict[str, Any], before: dict[str, Any]) -> None:
        found, known = _signatures(now), _signatures(before)
        letter = now or before
        for what, one, other in (("new", found, known), ("gone", known, found)):
            for signature in one:
                if signature not in other:
                    self.changes[what] += 1
                    field_, kind, left, right, rule = json.loads(signature)
                    line = {
                        "change": what,
                        "key": letter["key"],
                        "field": field_,
                        "kind": kind,
                        "left": left,
                        "right": right,
                        "rule": rule,
                    }
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def save(self, facts: dict[str, Any]) -> None:
        """Write the summary beside the results, with `facts` of the run."""
        data = {
            **facts,
            "summary": self.summary.as_data(),
            "failures": self.failures[:_MOST_FAILURES],
            "changes": dict(self.changes) if (self.out / CHANGES).exists() else None,
        }
        (self.out / SUMMARY).write_text(
            json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8"
        )


_MOST_FAILURES = 1_000


def _leave_out_unknown_id(one: Letter | None, other: Letter | None) -> None:
    """A letter recorded without its envelope does not know the id it would be sent under."""
    if one is None or other is None:
        return
    if any(letter.kind == "arkivmelding" and not letter.conversation for letter in (one, other)):
        for letter in (one, other):
            letter.record.values.pop("meldingId", None)


def _signatures(line: dict[str, Any]) -> list[str]:
    if line.get("status") == "failed":
        return [json.dumps(["(lesing)", "failed", line["problem"], None, None])]
    return [
        json.dumps([it["field"], it["kind"], it["left"], it["right"], it["rule"]])
        for it in line.get("findings", ())
    ]


def _line(comparison: Comparison, key: str) -> dict[str, Any]:
    letter = comparison.letter
    line: dict[str, Any] = {
        "key": key,
        "status": comparison.status,
        "conversation": letter.conversation,
        "journalpost": letter.journalpost,
        "dialect": letter.dialect,
        "kind": letter.kind,
        "left": comparison.left.name if comparison.left else None,
        "right": comparison.right.name if comparison.right else None,
        "equal": comparison.equal,
        "findings": [
            {
                "field": it.field,
                "pattern": it.pattern,
                "kind": str(it.kind),
                "left": it.left,
                "right": it.right,
                "rule": it.rule,
            }
            for it in comparison.findings
        ],
    }
    if comparison.unexplained:
        for side, name in ((comparison.left, "left"), (comparison.right, "right")):
            line[f"{name}_fields"] = record_as_data(side.record) if side else None
            line[f"{name}_xml"] = side.xml if side else None
    return line
