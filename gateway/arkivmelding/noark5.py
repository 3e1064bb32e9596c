"""Noark 5's arkivmelding.xml: bytes to tree to `Record`, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, BinaryIO

from lxml import etree

from gateway.errors import TranslationImpossible
from gateway.record import STRAY_TEXT, XSI, XSI_NIL, XSI_TYPE, Record, Schema, write_object

NAMESPACE = "http://www.arkivverket.no/standarder/noark5/arkivmelding"
FILENAME = "arkivmelding.xml"
MIME_TYPE = "text/xml"

MAX_BYTES = 64 * 1024 * 1024
"""No honest arkivmelding comes near: it holds no documents."""

_MAX_ELEMENTS = 200_000
_DEPTH = 50
_CHUNK = 64 * 1024


def read_arkivmelding(stream: BinaryIO, *, max_bytes: int = MAX_BYTES) -> etree._Element:
    """Parse an arkivmelding.xml; document type declarations are refused.

    Raises `TranslationImpossible` for XML that is none, has a DTD, or is larger than
    `max_bytes`.
    """
    parser = etree.XMLPullParser(
        events=("start",),
        resolve_entities=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )
    size = elements = 0
    try:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise TranslationImpossible(
                    f"{FILENAME} is larger than {max_bytes} bytes",
                    peer_text=f"{FILENAME} er større enn tillatt",
                )
            parser.feed(chunk)
            for _, element in parser.read_events():
                if elements == 0 and _has_doctype(element):
                    raise TranslationImpossible(
                        f"{FILENAME} has a document type declaration",
                        peer_text=f"{FILENAME} har en DTD, og det godtas ikke",
                    )
                elements += 1
            if elements > _MAX_ELEMENTS:
                raise TranslationImpossible(
                    f"{FILENAME} has more than {_MAX_ELEMENTS} elements",
                    peer_text=f"{FILENAME} er større enn tillatt",
                )
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise TranslationImpossible(
            f"{FILENAME} is not well-formed XML: {error.msg}",
            peer_text=f"{FILENAME} er ikke lesbar XML",
        ) from error
    return root


def _has_doctype(element: Any) -> bool:
    return bool(element.getroottree().docinfo.doctype)


def write_arkivmelding(root: etree._Element) -> bytes:
    """The file as it lies in the package: UTF-8 with declaration."""
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, standalone=True)


def read_noark5(root: etree._Element, schema: Schema) -> Record:
    """The tree as a record. Only elements in the arkivmelding namespace count.

    Where one element is allowed and several came, the last counts. Objects whose
    ``xsi:type`` is unknown keep it in `Record.type` as it stood.
    """
    return _read(root, schema, schema.root, 0)


def _read(element: etree._Element, schema: Schema, type: str, depth: int) -> Record:
    declared = element.get(XSI_TYPE)
    record = Record()
    if declared is not None:
        record.type = _local_type(element, declared)
        if record.type in schema.types and schema.extends(record.type, type):
            type = record.type
    leaves = _leaves(schema, type)
    values = record.values
    for node in element:
        tag, text = node.tag, node.text
        name = leaves.get(tag)
        if name is not None and text is not None and name not in values and not len(node):
            values[name] = text
        elif isinstance(tag, str):
            _read_other(node, tag, record, schema, type, depth)
        else:
            continue
        tail = node.tail
        if tail is not None and not tail.isspace():
            _stray(record, tail)
    text = element.text
    if text is not None and not text.isspace():
        _stray(record, text)
    return record


@lru_cache(maxsize=64)
def _leaves(schema: Schema, type: str) -> dict[str, str]:
    """Qualified names of the type's leaves to their names."""
    children = schema.types.get(type, {}).values()
    return {_PREFIX + child.name: child.name for child in children if not schema.is_object(child)}


def _read_other(
    node: etree._Element, tag: str, record: Record, schema: Schema, type: str, depth: int
) -> None:
    """An object, an unknown element, or a leaf that is empty, repeated or has comments."""
    if node.get(XSI_NIL) in ("true", "1"):
        return
    values = record.values
    # Another namespace: kept under its full name, never mistaken for ours.
    name = tag.removeprefix(_PREFIX)
    known = schema.types.get(type, {}).get(name)
    if known is not None and schema.is_object(known) and depth < _DEPTH:
        record.groups.setdefault(name, []).append(_read(node, schema, known.type, depth + 1))
    elif len(node) and any(isinstance(inner.tag, str) for inner in node):
        if depth < _DEPTH:
            record.groups.setdefault(name, []).append(_read(node, schema, "", depth + 1))
        else:
            values[name] = "".join(str(part) for part in node.itertext())
    else:
        text = node.text or ""
        if len(node):
            text += "".join(comment.tail or "" for comment in node)
        if name in values:
            record.repeats.setdefault(name, [values[name]]).append(text)
            if known is None or not known.repeated:
                values[name] = text
        else:
            values[name] = text


_PREFIX = f"{{{NAMESPACE}}}"


def _local_type(element: etree._Element, declared: str) -> str:
    """Local name of an ``xsi:type`` that means our namespace; else as it stands."""
    prefix, _, local = declared.strip().rpartition(":")
    return local if element.nsmap.get(prefix or None) == NAMESPACE else f"{declared.strip()}?"


def _stray(record: Record, text: str) -> None:
    record.values[STRAY_TEXT] = record.values.get(STRAY_TEXT, "") + text


def write_noark5(record: Record, schema: Schema) -> str:
    """The record as the text that lies in the package, elements in the schema's order."""
    parts = ["<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n"]
    namespaces = f' xmlns="{NAMESPACE}" xmlns:xsi="{XSI}"'
    write_object("arkivmelding", record, parts, schema, schema.root, namespaces)
    return "".join(parts)
