"""What one request may cost us, and the running count of it (soap-stack 3)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import RequestRefused


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything is per request; sizes in bytes unless the name says otherwise.

    `request_bytes` counts the body as it arrives (inflated, base64 included), so that a
    document of 1 GiB needs 1.4 GiB. `text_bytes` is text outside documents. `token_bytes`
    is the longest start tag, comment or processing instruction. `gzip_ratio` is inflated
    size over compressed size.
    """

    request_bytes: int = 3 * 1024**3
    documents: int = 1000
    depth: int = 64
    elements: int = 100_000
    attributes: int = 64
    text_bytes: int = 8_000_000
    token_bytes: int = 1024**2
    gzip_ratio: int = 200


class Tally:
    """Counts one request against its limits; raises `RequestRefused` beyond them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._bytes = self._elements = self._text = self._documents = 0

    def bytes(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self.limits.request_bytes:
            raise RequestRefused("TooLarge", "the request is larger than allowed")

    def element(self, depth: int, attributes: int) -> None:
        """One start tag; `attributes` includes namespace declarations."""
        if depth > self.limits.depth:
            raise RequestRefused("TooDeep", "the XML is nested deeper than allowed")
        if attributes > self.limits.attributes:
            raise RequestRefused("TooManyAttributes", "an element has too many attributes")
        self._elements += 1
        if self._elements > self.limits.elements:
            raise RequestRefused("TooManyElements", "the XML has more elements than allowed")

    def text(self, data: str) -> None:
        """Text that is kept in memory, that is, outside documents."""
        self._text += len(data) if data.isascii() else len(data.encode())
        if self._text > self.limits.text_bytes:
            raise RequestRefused("TooMuchText", "there is too much text outside documents")

    def document(self) -> None:
        self._documents += 1
        if self._documents > self.limits.documents:
            raise RequestRefused("TooManyDocuments", "the message has too many documents")
