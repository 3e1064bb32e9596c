"""One expat parser with limits: the outer SOAP layer, or the XML inside the payload."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Protocol
from xml.parsers import expat

from gateway.edu.limits import Tally
from gateway.errors import RequestRefused

_BUFFER = 256 * 1024


class DoctypeFound(Exception):
    """The XML has a document type declaration, which nothing honest has here."""


class Events(Protocol):
    """What a layer reports. Tags are in lxml's notation."""

    def start(self, tag: str, attributes: dict[str, str], nsmap: dict[str | None, str]) -> None:
        """An element begins; `nsmap` holds its own declarations, ``xmlns=""`` included."""

    def end(self, tag: str) -> None:
        """The element ends."""

    def text(self, data: str) -> None:
        """Some character data; where it is cut means nothing."""


class Layer:
    """Feeds XML bytes to `events`, counting what they cost.

    `encoding` overrides what the XML says of itself. Raises `DoctypeFound`,
    `RequestRefused` from the tally, and `expat.ExpatError` for XML that is none.
    """

    def __init__(self, events: Events, tally: Tally, encoding: str | None = None) -> None:
        self._events = events
        self._tally = tally
        self._fed = 0
        self._depth = 0
        self._declared: dict[str | None, str] = {}
        self.declared_encoding: str | None = None
        self.in_cdata = False
        parser = expat.ParserCreate(encoding, "}")
        parser.buffer_size = _BUFFER
        parser.buffer_text = True
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = events.text
        parser.StartCdataSectionHandler = self._start_cdata
        parser.EndCdataSectionHandler = self._end_cdata
        parser.StartDoctypeDeclHandler = self._doctype
        parser.XmlDeclHandler = self._xml_declaration
        # expat 2.6 and later may sit on bytes that it could already report, but
        # `caught_up` needs "fed" to mean "reported". Tokens are bounded below instead.
        set_deferral = getattr(parser, "SetReparseDeferralEnabled", None)
        if set_deferral is not None:
            set_deferral(False)
        self._parser: expat.XMLParserType | None = parser

    def feed(self, data: bytes) -> None:
        assert self._parser is not None, "fed after close or abort"
        self._fed += len(data)
        self._parser.Parse(data, False)
        # expat has to hold a whole tag, comment or instruction; this lag shows it.
        if self._fed - self._parser.CurrentByteIndex > self._tally.limits.token_bytes:
            raise RequestRefused("TokenTooLong", "a tag, comment or name is longer than allowed")

    def close(self) -> None:
        """The XML is complete; what is missing shows now."""
        assert self._parser is not None, "closed after close or abort"
        self._parser.Parse(b"", True)
        self.abort()

    def abort(self) -> None:
        """Let go of the parser: it and we hold each other, and its buffers are big."""
        self._parser = None

    @property
    def caught_up(self) -> bool:
        """Whether every byte fed has been reported, with no tag or reference open."""
        return self._parser is not None and self._parser.CurrentByteIndex == self._fed

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix] = uri or ""

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        nsmap, self._declared = self._declared, {}
        self._tally.element(self._depth, len(attributes) + len(nsmap))
        self._events.start(
            _tag(name), {_tag(key): value for key, value in attributes.items()}, nsmap
        )

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._events.end(_tag(name))

    def _start_cdata(self) -> None:
        self.in_cdata = True

    def _end_cdata(self) -> None:
        self.in_cdata = False

    def _doctype(self, *_: object) -> None:
        raise DoctypeFound

    def _xml_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        self.declared_encoding = encoding


def _tag(name: str) -> str:
    return "{" + name if "}" in name else name


def local_name(tag: str) -> str:
    """The name without its namespace."""
    return tag.rpartition("}")[2]


def eight_bit(encoding: str | None) -> str | None:
    """`encoding` when it is a known 8-bit one, else None: BOM and declaration decide."""
    if not encoding:
        return None
    try:
        name = codecs.lookup(encoding.strip("\"' ")).name
        if name.startswith("utf"):
            return None
        characters = bytes(range(256)).decode(name, "replace")
    except (LookupError, UnicodeError):
        return None
    return name if len(characters) == 256 else None


def looks_like_ascii(encoding: str | None) -> bool:
    """Whether ASCII characters are their own bytes in `encoding` (None: UTF-8)."""
    if encoding is None:
        return True
    try:
        return bytes(range(128)).decode(encoding) == "".join(map(chr, range(128)))
    except (LookupError, UnicodeError):
        return False
