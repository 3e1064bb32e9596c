"""Writes the reports of a comparison run into a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway.cli.compare_run import CHANGES, RESULTS
from gateway.compare import Names, RuleBook
from gateway.compare.pages import PAGES, write_pages
from gateway.compare.tables import write_csv, write_json, write_junit
from gateway.translate import load_mapping

FORMATS = ("html", "csv", "json", "junit")


def write_reports(
    result: Path,
    facts: dict[str, Any],
    out: Path,
    formats: Sequence[str],
    book: RuleBook,
    names: Names,
) -> list[Path]:
    """Write `formats` (all when empty) of the run in `result`; the files written."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats or FORMATS:
        if name == "html":
            written += _pages(result, facts, out, book, names)
        elif name == "csv":
            path = out / "forskjeller.csv"
            with path.open("w", encoding="utf-8-sig", newline="") as target:
                write_csv(_lines(result / RESULTS), target)
            written.append(path)
        elif name == "json":
            path = out / "forskjeller.json"
            with path.open("w", encoding="utf-8") as target:
                write_json(facts, _lines(result / RESULTS), target)
            written.append(path)
        else:
            path = out / "junit.xml"
            with path.open("wb") as file:
                write_junit(facts, _lines(result / RESULTS), file)
            written.append(path)
    return written


def _pages(
    result: Path, facts: dict[str, Any], out: Path, book: RuleBook, names: Names
) -> list[Path]:
    paths = {file: out / file for file, _ in PAGES}
    changes = result / CHANGES
    with ExitStack() as stack:
        targets = {
            file: stack.enter_context(path.open("w", encoding="utf-8"))
            for file, path in paths.items()
        }
        write_pages(
            targets,
            facts,
            _lines(result / RESULTS),
            _lines(changes) if changes.exists() else None,
            book,
            names,
            load_mapping().file_types.types,
        )
    return list(paths.values())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
