"""The rest block: what has no home travels in virksomhetsspesifikkeMetadata (mapping 7.3).

One element in our own namespace on the case and one on the journal post. Names are
EDU's. Objects of a repeating group say which of how many they are (``nr``, ``of``), and
``whole`` when the arkivmelding has nothing else of them. ``absent`` marks a field that
was filled in although the letter had none, ``earlier`` one that came again later.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from lxml import etree

from gateway.arkivmelding import NAMESPACE
from gateway.record import Record, Written
from gateway.translate.difference import Difference, Part, is_name
from gateway.translate.homes import REST

REST_NAMESPACE = "urn:edu-gateway:rest:1"
_NS = f"{{{REST_NAMESPACE}}}"
BLOCK = "bestEdu"
_FILE = "fil"
_DEPTH = 20
_MOST = 10_000
"""Positions above this are nobody's."""


def add_rest(am: Record, case: Difference, post: Difference) -> None:
    """Put the rest blocks of case and journal post into the arkivmelding."""
    mappe = am.groups["mappe"][0]
    for record, rest in ((mappe, case), (mappe.groups["basisregistrering"][0], post)):
        if _carries(rest):
            nsmap: Any = {None: REST_NAMESPACE}
            block = etree.Element(f"{_NS}{BLOCK}", nsmap=nsmap)
            _write(block, rest)
            record.groups[REST] = [Written(etree.tostring(block, encoding="unicode"))]


def _carries(rest: Difference) -> bool:
    return any(is_name(name) for name in rest.values) or any(name != _FILE for name in rest.groups)


def _write(parent: etree._Element, rest: Difference) -> None:
    for name, value in rest.values.items():
        if is_name(name):
            node = etree.SubElement(parent, _NS + name)
            if value is None:
                node.set("absent", "true")
            else:
                node.text = value
    for name, values in rest.overwritten.items():
        for value in values:
            node = etree.SubElement(parent, _NS + name)
            node.set("earlier", "true")
            node.text = value
    for name, parts in rest.groups.items():
        if name == _FILE:
            continue
        for part in parts:
            node = etree.SubElement(parent, _NS + name)
            node.set("nr", str(part.number))
            node.set("of", str(part.total))
            if part.whole:
                node.set("whole", "true")
            _write(node, part.difference)


def read_rest(owner: etree._Element | None) -> Difference | None:
    """The rest block of a mappe or basisregistrering element, if it has one."""
    if owner is None:
        return None
    block = owner.find(f"{{{NAMESPACE}}}{REST}/{_NS}{BLOCK}")
    return None if block is None else _read(block, 0)


def _read(node: etree._Element, depth: int) -> Difference:
    rest = Difference()
    for child in node.iterchildren(tag=f"{_NS}*"):
        name = etree.QName(child).localname
        number, total = _number(child.get("nr")), _number(child.get("of"))
        if number is not None and total is not None:
            if depth < _DEPTH:
                whole = child.get("whole") == "true"
                part = Part(number, total, whole, _read(child, depth + 1))
                rest.groups.setdefault(name, []).append(part)
        elif child.get("earlier") == "true":
            rest.overwritten.setdefault(name, []).append(child.text or "")
        elif child.get("absent") == "true":
            rest.values[name] = None
        else:
            rest.values[name] = child.text or ""
    return rest


def _number(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 5:
        return None
    return int(text) if 1 <= int(text) <= _MOST else None


def apply_rest(record: Record, rest: Difference, path: str, refused: Collection[str]) -> None:
    """Put what was carried into `record`, but for the fields in `refused`.

    Objects of a group are met by position only while there are as many as were sent.
    """
    for name, value in rest.values.items():
        if f"{path}/{name}" in refused:
            continue
        if value is None:
            record.values.pop(name, None)
        else:
            record.values[name] = value
    for name, values in rest.overwritten.items():
        if name in record.values:
            record.repeats[name] = [*values, record.values[name]]
    for name, parts in rest.groups.items():
        records = record.groups.setdefault(name, [])
        parts = sorted(parts, key=lambda part: part.number)
        for part in parts:
            if part.whole:
                records.insert(part.number - 1, Record())
        agree = all(part.total == len(records) for part in parts)
        for part in parts:
            position = f"[{part.number}]" if part.total > 1 else ""
            if part.number <= len(records) and (agree or part.whole):
                inner = records[part.number - 1]
                apply_rest(inner, part.difference, f"{path}/{name}{position}", refused)
        if not records:
            del record.groups[name]
