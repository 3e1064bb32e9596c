"""Noark 5's arkivmelding.xml: bytes to tree to `Record`, and back."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, BinaryIO

from lxml import etree

from gateway.errors import TranslationImpossible
from gateway.record import STRAY_TEXT, XSI, XSI_NIL, XSI_TYPE, Record, Schema

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
    children = schema.types.get(type, {})
    values = record.values
    for node in element:
        tag = node.tag
        if not isinstance(tag, str):
            continue
        name = tag[tag.rfind("}") + 1 :]
        known = children.get(name) if tag.startswith(_PREFIX) else None
        if known is None and not tag.startswith(_PREFIX):
            name = tag  # another namespace: kept under its full name, never mistaken
        if node.get(XSI_NIL) in ("true", "1"):
            continue
        if known is not None and known.type in schema.types and depth < _DEPTH:
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
        if node.tail is not None and not node.tail.isspace():
            _stray(record, node.tail)
    if element.text is not None and not element.text.isspace():
        _stray(record, element.text)
    return record


_PREFIX = f"{{{NAMESPACE}}}"


def _local_type(element: etree._Element, declared: str) -> str:
    """Local name of an ``xsi:type`` that means our namespace; else as it stands."""
    prefix, _, local = declared.strip().rpartition(":")
    return local if element.nsmap.get(prefix or None) == NAMESPACE else f"{declared.strip()}?"


def _stray(record: Record, text: str) -> None:
    record.values[STRAY_TEXT] = record.values.get(STRAY_TEXT, "") + text


def write_noark5(record: Record, schema: Schema) -> etree._Element:
    """The record as an arkivmelding tree, elements in the schema's order.

    Made as text and parsed once: several times faster than element by element.
    """
    parts = [f'<arkivmelding xmlns="{NAMESPACE}" xmlns:xsi="{XSI}"']
    _write(record, parts, schema, schema.root)
    parts.append("</arkivmelding>")
    return etree.fromstring("".join(parts).encode(), _OWN)


_OWN = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
"""For text that we have just written ourselves."""

_SPECIAL = re.compile("[&<>\r]")


def _write(record: Record, parts: list[str], schema: Schema, type: str) -> None:
    """Everything after the name in the start tag, up to the end tag."""
    if record.type is not None:
        type = record.type
        parts.append(f' xsi:type="{type}"')
    parts.append(">")
    types = _types(schema, type)
    values, groups = record.values, record.groups
    names = [*values, *groups]
    names.sort(key=_ranks(schema, type).__getitem__)
    for name in names:
        if name in groups:
            for group in groups[name]:
                parts.append(f"<{name}")
                _write(group, parts, schema, types[name])
                parts.append(f"</{name}>")
        else:
            for text in record.repeats.get(name) or (values[name],):
                if _SPECIAL.search(text):
                    text = _escape(text)
                parts.append(f"<{name}>{text}</{name}>")


def _escape(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\r", "&#13;")


@lru_cache(maxsize=64)
def _ranks(schema: Schema, type: str) -> dict[str, int]:
    return {child.name: child.rank for child in schema.types.get(type, {}).values()}


@lru_cache(maxsize=64)
def _types(schema: Schema, type: str) -> dict[str, str]:
    return {child.name: child.type for child in schema.types.get(type, {}).values()}
