"""AppReceipts as XML (bestedu-soap 2.4 and 2.5)."""

from __future__ import annotations

import re
from typing import cast

from lxml import etree

from gateway.edu.layer import local_name
from gateway.model import EXCHANGE_NAMESPACE, AppReceipt, ReceiptType, StatusMessage

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
# What makes lxml write xmlns="". (lxml-stubs know no None here.)
_NO_NAMESPACE = cast("dict[str, str]", {None: ""})
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_receipt(root: etree._Element) -> AppReceipt:
    """The receipt in `root`, whatever its name; messages keep order and full text.

    Without a known ``type`` it counts as OK when the only message has code ``Recno``,
    else as ERROR (bestedu-soap 3.3, A2); `has_type` tells the two apart.
    """
    messages = tuple(
        StatusMessage(code=child.get("code", ""), text=_text_of(child))
        for child in _children(root)
        if local_name(str(child.tag)) == "message"
    )
    stated = _stated_type(root)
    if stated is None:
        only_recno = len(messages) == 1 and messages[0].code == "Recno"
        stated = ReceiptType.OK if only_recno else ReceiptType.ERROR
    return AppReceipt(stated, messages)


def has_type(root: etree._Element) -> bool:
    """Whether ``type`` says one of the four values."""
    return _stated_type(root) is not None


def write_receipt(receipt: AppReceipt) -> bytes:
    """The one form that every archive reads: declaration, no prefixes, no layout."""
    root = etree.Element(
        f"{{{EXCHANGE_NAMESPACE}}}AppReceipt",
        {"type": receipt.type.value},
        nsmap=cast("dict[str, str]", {None: EXCHANGE_NAMESPACE}),
    )
    for message in receipt.messages:
        element = etree.SubElement(root, "message", nsmap=_NO_NAMESPACE)
        element.set("code", _writable(message.code))
        etree.SubElement(element, "text").text = _writable(message.text)
    return _DECLARATION + etree.tostring(root, encoding="UTF-8")


def _stated_type(root: etree._Element) -> ReceiptType | None:
    for name, value in root.attrib.items():
        if local_name(str(name)) == "type" and str(value).strip() in ReceiptType.__members__:
            return ReceiptType(str(value).strip())
    return None


def _children(element: etree._Element) -> list[etree._Element]:
    return [child for child in element if isinstance(child.tag, str)]


def _text_of(message: etree._Element) -> str:
    for child in _children(message):
        if local_name(str(child.tag)) == "text":
            return "".join(str(piece) for piece in child.itertext())
    return ""


def _writable(text: str) -> str:
    """Characters that XML cannot hold become U+FFFD; nothing is cut."""
    return _NOT_XML.sub("\ufffd", text)
