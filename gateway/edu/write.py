"""Writes the payload of a PutMessage: a Melding or an AppReceipt as XML, streamed.

The form is the one archives demand (bestedu-soap 2.5): an XML declaration, the root
without prefix in its own default namespace, children reset to no namespace, null values
left out, empty strings as empty elements. WebSak and ePhorte refuse prefixed roots.

Documents never pass through memory whole: a `PayloadText` knows its exact length in
bytes beforehand and reads, encodes and hands out the documents piece by piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pybase64
from lxml import etree

from gateway.edu.appreceipt import write_receipt
from gateway.errors import DigestMismatch
from gateway.model import (
    CONTENT_REF,
    MELDING_NAMESPACE,
    AppReceipt,
    Content,
    Melding,
)

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
_READ = 3 * 128 * 1024
"""Bytes of a document per piece. A multiple of 3, so that base64 pieces join unpadded."""

# Where a document goes. No text or attribute can forge one: there `<` is always escaped,
# and instructions of the source tree are not copied.
_PLACE = re.compile(rb"<\?content (\d+)\?>")
_RESET: Any = {None: ""}
"""The empty default namespace. It must be stated once, below the root; lxml leaves it out
otherwise and the child would fall into the root's namespace."""
_XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


@dataclass(frozen=True, slots=True)
class PayloadText:
    """XML text in pieces: markup as UTF-8 bytes, documents as content still to encode."""

    pieces: tuple[bytes | Content, ...]

    @property
    def size(self) -> int:
        """Length in bytes of everything that `chunks` gives."""
        return sum(
            len(piece) if isinstance(piece, bytes) else _base64_size(piece.size)
            for piece in self.pieces
        )

    def chunks(self) -> Iterator[bytes]:
        """The text, in pieces of at most half a MiB beside the markup.

        Raises `DigestMismatch` when a document is no longer as long as its record says.
        """
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from _base64(piece)

    def escaped(self) -> PayloadText:
        """The same as character data of an element. Base64 has nothing to escape."""
        return PayloadText(
            tuple(_escape(piece) if isinstance(piece, bytes) else piece for piece in self.pieces)
        )


def melding_payload(melding: Melding) -> PayloadText:
    """A letter as the payload of a PutMessage.

    Names are written by local name, so it does not matter how the tree was qualified.
    A ``base64`` without usable content becomes an empty element.
    """
    documents: list[Content] = []
    unprefixed: Any = {None: MELDING_NAMESPACE}
    root = etree.Element(f"{{{MELDING_NAMESPACE}}}Melding", nsmap=unprefixed)
    for child in _elements(melding.root):
        _copy(child, root, melding, documents, top=True)

    pieces: list[bytes | Content] = []
    for index, part in enumerate(_PLACE.split(_serialise(root))):
        if index % 2:
            pieces.append(documents[int(part)])
        elif part:
            pieces.append(part)
    return PayloadText(tuple(pieces))


def receipt_payload(receipt: AppReceipt) -> PayloadText:
    """An AppReceipt as the payload of a PutMessage; messages in order, never cut."""
    return PayloadText((write_receipt(receipt),))


def payload_text(payload: Melding | AppReceipt) -> PayloadText:
    """The payload text of either kind."""
    if isinstance(payload, AppReceipt):
        return receipt_payload(payload)
    return melding_payload(payload)


def _serialise(root: etree._Element) -> bytes:
    return _DECLARATION + etree.tostring(root, encoding="UTF-8", xml_declaration=False)


def _elements(parent: etree._Element) -> Iterator[etree._Element]:
    """Child elements that have a value: no comments, no instructions, no nil."""
    for child in parent.iterchildren(tag=etree.Element):
        if child.get(_XSI_NIL) not in ("true", "1"):
            yield child


def _copy(
    source: etree._Element,
    parent: etree._Element,
    melding: Melding,
    documents: list[Content],
    *,
    top: bool = False,
) -> None:
    name = etree.QName(source).localname
    target = etree.SubElement(parent, name, nsmap=_RESET if top else None)
    if name == "base64":
        ref = source.get(CONTENT_REF)
        if ref is not None:
            target.append(etree.ProcessingInstruction("content", str(len(documents))))
            documents.append(melding.contents[ref])
        return
    for key, value in source.attrib.items():
        if not str(key).startswith("{"):
            target.set(key, value)
    children = list(_elements(source))
    if not children:
        target.text = "".join(str(text) for text in source.itertext(etree.Element))
    for child in children:
        _copy(child, target, melding, documents)


def _escape(markup: bytes) -> bytes:
    return markup.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")


def _base64_size(size: int) -> int:
    return (size + 2) // 3 * 4


def _base64(content: Content) -> Iterator[bytes]:
    left = content.size
    with content.open() as stream:
        while left:
            block = _read_fully(stream, min(_READ, left))
            if not block:
                break
            left -= len(block)
            yield pybase64.b64encode(block)
        if left or stream.read(1):
            raise DigestMismatch("a stored document has not the length that was recorded")


def _read_fully(stream: BinaryIO, count: int) -> bytes:
    """`count` bytes, less only at the end; streams may give less than asked for."""
    block = stream.read(count)
    while block and len(block) < count:
        more = stream.read(count - len(block))
        if not more:
            break
        block += more
    return block
