"""Noark 4 as the letters of BEST/EDU have it: Melding tree to `Record` and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

from gateway.model import CONTENT_REF, MELDING_NAMESPACE
from gateway.record import STRAY_TEXT, XSI_NIL, Record, Schema, Written, write_object

NOARKSAK = "noarksak"
JOURNPOST = "journpost"
DOKUMENT = "dokument"

_FILE = "fil"
_DEPTH = 50


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
        tag, text = node.tag, node.text
        entry = known.get(tag)
        if entry is None and isinstance(tag, str):
            entry = known.get(tag[tag.rfind("}") + 1 :])
        if text is not None and entry is not None and entry[1] is None and not len(node):
            name = entry[0]
            if name in values:
                record.repeats.setdefault(name, [values[name]]).append(text)
            values[name] = text
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
    """An object, an unknown element, or a leaf that is empty or has comments in it."""
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


def write_noark4(melding: Record, refs: Sequence[str | None], schema: Schema) -> str:
    """The record as a Melding, elements in the schema's order.

    `refs` names the content of each ``journpost/dokument``; None leaves ``base64``
    empty. Names that the schema does not know come last.
    """
    parts = [f'<Melding xmlns="{MELDING_NAMESPACE}">']
    for child in schema.types[schema.root].values():
        for record in melding.groups.get(child.name, ()):
            if child.name == JOURNPOST:
                for dokument, ref in zip(record.groups.get(DOKUMENT, ()), refs, strict=True):
                    dokument.groups[_FILE] = [_file(ref)]
            write_object(child.name, record, parts, schema, child.type, ' xmlns=""')
    parts.append("</Melding>")
    return "".join(parts)


def _file(ref: str | None) -> Record:
    return Written("<base64/>" if ref is None else f'<base64 {CONTENT_REF}="{ref}"/>')
