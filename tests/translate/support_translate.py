"""What the translation tests share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lxml import etree

from gateway.model import Document, Melding
from gateway.spool import BytesContent
from gateway.translate import Facts

FACTS = Facts(
    "6e9cab22-a682-461c-bcd4-f201bfb3de8c",
    "p360",
    datetime(2026, 11, 23, 10, 51, 10, 123000, tzinfo=UTC),
    "991825827",
)
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


FILES = {
    name: Document(name, "application/octet-stream", BytesContent(b"hello"))
    for name in (
        "a.docx",
        "b.pdf",
        "a.b.PDF",
        "noext",
        "test.txt",
        "test.pdf",
        "primary.html",
        "before_the_law.txt",
    )
}


def melding(xml: str) -> Melding:
    """A Melding as the SOAP reader would hand it over, for small test letters."""
    root = etree.fromstring(xml.encode())
    contents = {}
    for number, node in enumerate(root.iter("{*}base64")):
        text = "".join(str(part) for part in node.itertext()).strip()
        for child in list(node):
            node.remove(child)
        node.text = None
        if text:
            node.set("ref", str(number))
            contents[str(number)] = BytesContent(text.encode())
        else:
            node.set("problem", "empty")
    return Melding(root, contents)


def canonical(element: etree._Element, ignore_time: bool = False) -> Any:
    """Names, types by local name, texts and children; white space between them ignored."""
    children = [canonical(child, ignore_time) for child in element if isinstance(child.tag, str)]
    type_ = element.get(_XSI_TYPE)
    text = "" if children else element.text or ""
    if ignore_time and str(element.tag).endswith("}tidspunkt"):
        text = ""
    return (str(element.tag), type_.rpartition(":")[2] if type_ else None, text, children)
