"""All differences for machines: CSV, JSON and JUnit XML, written as they are read."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, TextIO

from lxml import etree

_COLUMNS = (
    "conversation", "left_file", "right_file", "dialect", "field", "kind", "rule", "left", "right",
)  # fmt: skip
_HEAVY = {"left_xml", "right_xml", "left_fields", "right_fields"}
# Spreadsheets run what begins with these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_csv(results: Iterable[Mapping[str, Any]], target: TextIO) -> None:
    """One row per field that is not simply equal; semicolons, as Norwegian Excel wants.

    Values that a spreadsheet would take for a formula get an apostrophe in front.
    """
    table = csv.writer(target, delimiter=";", lineterminator="\r\n")
    table.writerow(_COLUMNS)
    for line in results:
        if line["status"] == "failed":
            row = ["", line["name"], "", "", "", "failed", "", line["problem"], ""]
            table.writerow([_harmless(value) for value in row])
        for finding in line.get("findings", ()):
            row = [
                line["conversation"], line["left"], line["right"], line["dialect"],
                finding["field"], finding["kind"], finding["rule"],
                finding["left"], finding["right"],
            ]  # fmt: skip
            table.writerow([_harmless(value) for value in row])


def _harmless(value: str | None) -> str:
    text = value or ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_json(
    facts: Mapping[str, Any], results: Iterable[Mapping[str, Any]], target: TextIO
) -> None:
    """The facts of the run, and under ``messages`` every message with findings or trouble."""
    head = json.dumps(dict(facts), ensure_ascii=False, indent=1)
    target.write(head[: head.rindex("}")].rstrip() + ',\n "messages": [')
    first = True
    for line in results:
        if line["status"] == "equal":
            continue
        kept = {
            name: value for name, value in line.items() if not name.endswith(("_xml", "_fields"))
        }
        target.write(("\n  " if first else ",\n  ") + json.dumps(kept, ensure_ascii=False))
        first = False
    target.write("\n ]\n}\n")


def write_junit(
    facts: Mapping[str, Any], results: Iterable[Mapping[str, Any]], target: BinaryIO
) -> None:
    """One test case per message: a failure where nobody explained a difference."""
    counts = facts["summary"]["statuses"]
    attributes = {
        "name": "edu-gateway compare",
        "tests": str(sum(counts.values())),
        "failures": str(counts.get("different", 0)),
        "errors": str(counts.get("failed", 0)),
        "time": str(facts["seconds"]),
    }
    with etree.xmlfile(target, encoding="UTF-8") as xml:
        xml.write_declaration()
        with xml.element("testsuite", attributes):
            for line in results:
                case = etree.Element("testcase")
                case.set("classname", _text(line.get("dialect") or "ukjent"))
                case.set("name", _text(line["key"]))
                if line["status"] == "failed":
                    error = etree.SubElement(case, "error", message=_text(line["problem"]))
                    error.text = _text(line["problem"])
                elif line["status"] == "different":
                    wrong = [it for it in line["findings"] if it["rule"] is None]
                    fields = ", ".join(it["field"] for it in wrong)
                    failure = etree.SubElement(case, "failure", message=_text(fields))
                    failure.text = _text(
                        "\n".join(
                            f"{it['field']}: {it['kind']}: {it['left']!r} -> {it['right']!r}"
                            for it in wrong
                        )
                    )
                xml.write(case)


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
