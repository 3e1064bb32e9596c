"""Noark 4 as the letters of BEST/EDU have it: Melding tree to `Record` and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lxml import etree

from gateway.model import CONTENT_REF, MELDING_NAMESPACE
from gateway.record import STRAY_TEXT, XSI_NIL, Record, Schema

NOARKSAK = "noarksak"
JOURNPOST = "journpost"
DOKUMENT = "dokument"

_FILE = "fil"
_DEPTH = 50
_NO_NAMESPACE: Any = {None: ""}


@dataclass(frozen=True, slots=True)
class FileReference:
    """What stands in a ``dokument`` instead of its content.

    `ref` is a key of `Melding.contents`; without it there is no usable content, and
    `problem` says why when the reader knew: ``empty`` or ``undecodable``.
    """

    ref: str | None = None
    problem: str | None = None


def read_noark4(
    root: etree._Element, schema: Schema
) -> tuple[Record, tuple[FileReference | None, ...]]:
    """The Melding as a record, and the file of each ``journpost/dokument``.

    Names count, namespaces do not. Where one element is allowed and several came, the
    last counts (mapping 3.1). ``xsi:nil`` is absence. Unknown elements are kept.
    """
    melding = _read(root, schema, schema.root, 0)
    journpost = melding.group(JOURNPOST)
    files: list[FileReference | None] = []
    if journpost is not None:
        for dokument in journpost.groups.get(DOKUMENT, ()):
            files.append(_take_file(dokument))
    return melding, tuple(files)


def _take_file(dokument: Record) -> FileReference | None:
    dokument.values.pop(_FILE, None)
    objects = dokument.groups.pop(_FILE, None)
    if not objects or objects[0].group("base64") is None:
        return None
    content = objects[0].groups["base64"][0].values
    return FileReference(content.get(CONTENT_REF), content.get("problem"))


def _read(element: etree._Element, schema: Schema, type: str, depth: int) -> Record:
    known = _known(schema, type)
    record = Record()
    values = record.values
    for node in element:
        tag = node.tag
        entry = known.get(tag)
        if entry is None and isinstance(tag, str):
            entry = known.get(tag[tag.rfind("}") + 1 :])
        if entry is not None and entry[1] is None and not len(node):
            name, text = entry[0], node.text
            if text is None and node.get(XSI_NIL) in ("true", "1"):
                pass
            elif name in values:
                record.repeats.setdefault(name, [values[name]]).append(text or "")
                values[name] = text or ""
            else:
                values[name] = text or ""
        elif isinstance(tag, str):
            _read_other(node, record, schema, entry, depth)
        tail = node.tail
        if tail is not None and not tail.isspace():
            _stray(record, tail)
    text = element.text
    if text is not None and not text.isspace():
        _stray(record, text)
    return record


def _read_other(
    node: etree._Element, record: Record, schema: Schema, entry: _Entry | None, depth: int
) -> None:
    """An object, an unknown element, or a leaf with comments in it."""
    text = node.text
    name = entry[0] if entry is not None else etree.QName(node).localname
    if text is None and node.get(XSI_NIL) in ("true", "1"):
        return
    if name == "base64" and entry is not None:
        record.groups[name] = [_base64(node)]
    elif entry is not None and entry[1] is not None:
        inner = _read_at(node, schema, entry[1], depth)
        several = record.groups.setdefault(name, [])
        several.insert(len(several) if entry[2] else 0, inner)
    elif any(isinstance(inner.tag, str) for inner in node):
        record.groups.setdefault(name, []).append(_read_at(node, schema, "", depth))
    else:
        if len(node):
            text = (text or "") + "".join(comment.tail or "" for comment in node)
        if name in record.values:
            record.repeats.setdefault(name, [record.values[name]]).append(text or "")
        record.values[name] = text or ""


_Entry = tuple[str, str | None, bool]
"""An element's name, the type of the object it is (None: a leaf), whether it repeats."""


@lru_cache(maxsize=64)
def _known(schema: Schema, type: str) -> dict[str, _Entry]:
    return {
        child.name: (
            child.name,
            child.type if child.type in schema.types or child.name == "base64" else None,
            child.repeated,
        )
        for child in schema.types.get(type, {}).values()
    }


def _read_at(node: etree._Element, schema: Schema, type: str, depth: int) -> Record:
    # Deeper than any honest letter: kept as text, so that recursion has a bound.
    if depth >= _DEPTH:
        record = Record()
        _stray(record, "".join(str(part) for part in node.itertext()))
        return record
    return _read(node, schema, type, depth + 1)


def _base64(node: etree._Element) -> Record:
    record = Record()
    for attribute in (CONTENT_REF, "problem"):
        value = node.get(attribute)
        if value is not None:
            record.values[attribute] = value
    return record


def _stray(record: Record, text: str | None) -> None:
    if text is not None and not text.isspace():
        record.values[STRAY_TEXT] = record.values.get(STRAY_TEXT, "") + text


def write_noark4(melding: Record, refs: Sequence[str | None], schema: Schema) -> etree._Element:
    """The record as a Melding tree, elements in the schema's order.

    `refs` names the content of each ``journpost/dokument``; None leaves ``base64``
    empty. Names that the schema does not know come last.
    """
    nsmap: Any = {None: MELDING_NAMESPACE}
    root = etree.Element(f"{{{MELDING_NAMESPACE}}}Melding", nsmap=nsmap)
    children = schema.types[schema.root]
    for child in children.values():
        for record in melding.groups.get(child.name, ()):
            node = etree.SubElement(root, child.name, nsmap=_NO_NAMESPACE)
            _write(record, node, schema, child.type)
            if child.name == JOURNPOST:
                _write_files(node, refs, schema)
    return root


def _write(record: Record, parent: etree._Element, schema: Schema, type: str) -> None:
    children = schema.types.get(type, {})
    ranked = [(children[name].rank if name in children else 999, name) for name in record.values]
    ranked += [(children[name].rank if name in children else 999, name) for name in record.groups]
    for _, name in sorted(ranked):
        if name == STRAY_TEXT:
            parent.text = record.values[name]
        elif name in record.values:
            for text in record.repeats.get(name) or (record.values[name],):
                etree.SubElement(parent, name).text = text
        else:
            inner = children[name].type if name in children else ""
            for group in record.groups[name]:
                _write(group, etree.SubElement(parent, name), schema, inner)


def _write_files(journpost: etree._Element, refs: Sequence[str | None], schema: Schema) -> None:
    children = schema.types["DokumentType"]
    for dokument, ref in zip(journpost.iterfind(DOKUMENT), refs, strict=True):
        at = sum(
            1
            for node in dokument
            if node.tag in children and children[str(node.tag)].rank < children[_FILE].rank
        )
        file = etree.Element(_FILE)
        content = etree.SubElement(file, "base64")
        if ref is not None:
            content.set(CONTENT_REF, ref)
        dokument.insert(at, file)
