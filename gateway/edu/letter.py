"""Builds the small tree of a payload while its documents go to the spool."""

from __future__ import annotations

from collections import deque
from typing import Any

from lxml import etree

from gateway.edu.base64stream import Base64Stream
from gateway.edu.layer import local_name
from gateway.edu.limits import Tally
from gateway.model import CONTENT_REF, Content
from gateway.ports import Spool, SpoolWriter

CONTENT_PROBLEM = "problem"
"""Attribute of a ``base64`` without usable content: ``empty`` or ``undecodable``."""

_OPEN_WRITERS = 32


class PayloadBuilder:
    """Receives the events of one XML document; see `Melding` for the tree it makes.

    Contents become durable with `commit` and vanish with `abort`. Only when a letter has
    very many documents are the first ones committed earlier, to bound open files.
    """

    def __init__(self, spool: Spool, tally: Tally) -> None:
        self._spool = spool
        self._tally = tally
        self._tree: Any = etree.TreeBuilder()  # lxml-stubs know no nsmap here
        self._document: Base64Stream | None = None
        self._inside_document = 0
        self._writers: deque[tuple[str, SpoolWriter]] = deque()
        self._contents: dict[str, Content] = {}
        self._documents = 0

    @property
    def document(self) -> Base64Stream | None:
        """The document whose text is arriving just now, if any."""
        return self._document if not self._inside_document else None

    def start(self, tag: str, attributes: dict[str, str], nsmap: dict[str | None, str]) -> None:
        if self._document is not None:  # markup where only base64 may be
            self._document.fail()
            self._inside_document += 1
            return
        if local_name(tag) == "base64":
            self._tally.document()
            self._document = Base64Stream(self._spool)
            attributes = {}
        self._tree.start(tag, attributes, nsmap)

    def end(self, tag: str) -> None:
        if self._inside_document:
            self._inside_document -= 1
            return
        element = self._tree.end(tag)
        if self._document is not None:
            self._end_document(element, self._document)
            self._document = None

    def text(self, data: str) -> None:
        if self._document is not None:
            if not self._inside_document:
                self._document.feed(data)
            return
        self._tally.text(data)
        self._tree.data(data)

    def root(self) -> etree._Element:
        """The finished tree; call it once."""
        root: etree._Element = self._tree.close()
        return root

    def commit(self) -> dict[str, Content]:
        """The contents by their ``ref``, now durable."""
        while self._writers:
            self._commit_first()
        return self._contents

    def abort(self) -> None:
        """Forget every document; harmless when repeated."""
        if self._document is not None:
            self._document.fail()
        while self._writers:
            self._writers.popleft()[1].discard()
        self._spool.release(tuple(self._contents.values()))
        self._contents = {}

    def _end_document(self, element: etree._Element, stream: Base64Stream) -> None:
        writer = stream.finish()
        if writer is None:
            element.set(CONTENT_PROBLEM, "undecodable" if stream.faulty else "empty")
            return
        ref = str(self._documents)
        self._documents += 1
        self._writers.append((ref, writer))
        element.set(CONTENT_REF, ref)
        if len(self._writers) > _OPEN_WRITERS:
            self._commit_first()

    def _commit_first(self) -> None:
        ref, writer = self._writers.popleft()
        try:
            self._contents[ref] = writer.commit()
        except BaseException:
            writer.discard()
            raise
