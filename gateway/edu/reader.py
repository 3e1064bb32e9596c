"""Reads a SOAP request as it arrives: XML inside XML, documents straight to the spool.

The outer layer is the SOAP envelope. The text of ``payload`` goes to a second parser
as it is reported, or, when the payload is nested XML, the outer events go on to the same
builder. No text node is ever held as a whole, so that memory does not depend on the
size of documents (soap-stack 3; payload forms E1-E11 of bestedu-soap 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from lxml import etree

from gateway.edu.appreceipt import has_type
from gateway.edu.base64stream import Base64Stream
from gateway.edu.layer import DoctypeFound, Layer, eight_bit, local_name, looks_like_ascii
from gateway.edu.letter import PayloadBuilder
from gateway.edu.limits import Limits, Tally
from gateway.edu.payload import DOCTYPE_PROBLEM, EMPTY, Payload, broken, finish
from gateway.errors import RequestRefused
from gateway.model import EXCHANGE_NAMESPACE, Content, Envelope, Party
from gateway.ports import Spool

__all__ = ["Limits", "RequestReader", "SoapRequest", "read_request"]

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
_VERSIONS = {SOAP_11: "1.1", SOAP_12: "1.2"}

_SLICE = 256 * 1024
_BLANK = " \t\r\n\ufeff"
# References to white space: they may be left out inside base64, whichever layer reads them.
_BLANK_REFERENCES = frozenset((b"&#13;", b"&#xD;", b"&#xd;", b"&#10;", b"&#xA;", b"&#xa;"))
_LONGEST_REFERENCE = 5


@dataclass(frozen=True, slots=True)
class SoapRequest:
    """One SOAP request without its documents.

    `operation` is the local name of the first body child when that is in the exchange
    namespace (``PutMessageRequest``), ``{namespace}name`` otherwise, None for an empty
    body. `root` is the SOAP envelope with an empty ``payload``.
    """

    soap_version: str
    operation: str | None
    root: etree._Element
    envelope: Envelope | None
    payload: Payload
    receiver: Party | None

    @property
    def contents(self) -> tuple[Content, ...]:
        """Everything that was spooled for it."""
        return self.payload.contents


def read_request(
    chunks: Iterable[bytes],
    spool: Spool,
    limits: Limits | None = None,
    encoding: str | None = None,
) -> SoapRequest:
    """The request in `chunks`; see `RequestReader` for errors."""
    reader = RequestReader(spool, limits, encoding)
    try:
        for chunk in chunks:
            reader.feed(chunk)
        return reader.close()
    except BaseException:
        reader.abort()
        raise


class RequestReader:
    """Fed with the body's bytes in any pieces; the result does not depend on them.

    `encoding` is the HTTP charset; only 8-bit ones matter, unknown ones are ignored.
    Raises `RequestRefused` for XML faults of the outer layer, document type
    declarations there, and anything beyond `limits`; `StorageFull` from the spool.
    After any exception, `abort` leaves no content behind.
    """

    def __init__(
        self, spool: Spool, limits: Limits | None = None, encoding: str | None = None
    ) -> None:
        self._tally = Tally(limits or Limits())
        self._envelope = _EnvelopeBuilder(spool, self._tally)
        self._encoding = eight_bit(encoding)
        self._layer: Layer | None = None
        self._ascii = True
        self._head = b""
        self._held = b""

    def feed(self, data: bytes) -> None:
        self._tally.bytes(len(data))
        for start in range(0, len(data), _SLICE):
            self._feed(data[start : start + _SLICE])

    def close(self) -> SoapRequest:
        """The request; its documents are durable now."""
        if self._layer is None:
            self._layer = self._begin()
            self._parse(self._layer, self._head)
        self._parse(self._layer, self._held)
        try:
            self._layer.close()
        except (expat.ExpatError, ValueError) as fault:
            raise _not_xml(fault) from fault
        return self._envelope.close()

    def abort(self) -> None:
        """Forget the request and its documents; harmless when repeated."""
        if self._layer is not None:
            self._layer.abort()
        self._envelope.abort()

    def _feed(self, data: bytes) -> None:
        if self._layer is None:
            self._head += data
            if len(self._head) < 4:
                return
            self._layer = self._begin()
            data = self._head
        if self._held:
            data, self._held = self._held + data, b""
        if not self._take_raw(self._layer, data):
            self._parse(self._layer, data)

    def _begin(self) -> Layer:
        """The parser, now that the first bytes show whether the encoding is theirs."""
        wide = self._head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in self._head
        if wide or self._head.startswith(b"\xef\xbb\xbf"):
            self._encoding = None
        self._ascii = not wide and looks_like_ascii(self._encoding)
        return Layer(self._envelope, self._tally, self._encoding)

    def _parse(self, layer: Layer, data: bytes) -> None:
        try:
            layer.feed(data)
        except DoctypeFound:
            raise RequestRefused("Doctype", DOCTYPE_PROBLEM) from None
        except (expat.ExpatError, ValueError) as fault:
            raise _not_xml(fault) from fault

    def _take_raw(self, layer: Layer, data: bytes) -> bool:
        """The shortcut for base64: past both parsers, straight to the decoder.

        Exact, because it is taken only while both parsers stand inside the text of a
        ``base64`` with nothing open, and `data` is nothing but base64 and white space.
        """
        document = self._envelope.open_document
        if document is None or not (self._ascii and layer.caught_up):
            return False
        if self._encoding is None and not looks_like_ascii(layer.declared_encoding):
            return False
        if b"&" not in data:
            return document.try_raw(data)
        if layer.in_cdata and not self._envelope.inner_reads_references:
            return False
        last = data.rfind(b"&")
        if len(data) - last < _LONGEST_REFERENCE and b";" not in data[last:]:
            data, self._held = data[:last], data[last:]
        if not document.try_raw(_without_blank_references(data)):
            self._parse(layer, data)
        return True


def _without_blank_references(data: bytes) -> bytes:
    """`data` without references to white space; others make it no base64 anyway."""
    while (start := data.find(b"&")) >= 0:
        reference = data[start : data.find(b";", start) + 1]
        if reference not in _BLANK_REFERENCES:
            break
        data = data.replace(reference, b"")
    return data


class _EnvelopeBuilder:
    """Events of the outer layer: a small tree, with the payload led elsewhere."""

    def __init__(self, spool: Spool, tally: Tally) -> None:
        self._tally = tally
        self._tree: Any = etree.TreeBuilder()  # lxml-stubs know no nsmap here
        self._path: list[str] = []
        self._version = ""
        self._body_children = 0
        self._payload: _PayloadReader | None = None
        self._payload_depth = 0
        self._spool = spool

    @property
    def open_document(self) -> Base64Stream | None:
        return self._payload.open_document if self._payload and self._payload_depth else None

    @property
    def inner_reads_references(self) -> bool:
        return self._payload is not None and self._payload.reads_references

    def start(self, tag: str, attributes: dict[str, str], nsmap: dict[str | None, str]) -> None:
        if self._payload is not None and self._payload_depth:
            self._payload_depth += 1
            self._payload.start(tag, attributes, nsmap)
            return
        self._path.append(local_name(tag))
        depth = len(self._path)
        if depth == 1:
            self._version = _version(tag)
        if depth == 3 and self._path[1] == "Body":
            self._body_children += 1
        self._tree.start(tag, attributes, nsmap)
        if self._path[1:] == ["Body", "PutMessageRequest", "payload"] and self._body_children == 1:
            if self._payload is not None:
                raise RequestRefused("TwoPayloads", "the request has more than one payload")
            self._payload = _PayloadReader(self._spool, self._tally, tag, attributes, nsmap)
            self._payload_depth = 1

    def end(self, tag: str) -> None:
        if self._payload_depth > 1:
            assert self._payload is not None
            self._payload_depth -= 1
            self._payload.end(tag)
            return
        self._payload_depth = 0
        self._path.pop()
        self._tree.end(tag)

    def text(self, data: str) -> None:
        if self._payload_depth:
            assert self._payload is not None
            self._payload.text(data)
        elif len(self._path) >= 5:  # values; above them there is only layout
            self._tally.text(data)
            self._tree.data(data)

    def close(self) -> SoapRequest:
        root: etree._Element = self._tree.close()
        payload = self._payload.close() if self._payload else EMPTY
        body = next((child for child in root if local_name(str(child.tag)) == "Body"), None)
        call = body[0] if body is not None and len(body) else None
        tag = str(call.tag) if call is not None else None
        if tag is not None and tag.startswith(f"{{{EXCHANGE_NAMESPACE}}}"):
            tag = local_name(tag)
        elif tag is not None and not tag.startswith("{"):
            tag = "{}" + tag
        return SoapRequest(
            soap_version=self._version,
            operation=tag,
            root=root,
            envelope=_read_envelope(call),
            payload=payload,
            receiver=_read_party(call, "receiver"),
        )

    def abort(self) -> None:
        if self._payload is not None:
            self._payload.abort()


class _PayloadReader:
    """One ``payload``: text goes to a parser of its own, elements to the builder."""

    def __init__(
        self,
        spool: Spool,
        tally: Tally,
        tag: str,
        attributes: dict[str, str],
        nsmap: dict[str | None, str],
    ) -> None:
        self._tally = tally
        self._tag = tag
        self._builder = PayloadBuilder(spool, tally)
        self._own_start = (tag, attributes, nsmap)
        self._inner: Layer | None = None
        self._nested = False
        self._depth = 0
        self._problem: str | None = None

    @property
    def open_document(self) -> Base64Stream | None:
        if self._problem is not None or (self._inner is not None and not self._inner.caught_up):
            return None
        return self._builder.document

    @property
    def reads_references(self) -> bool:
        return self._inner is not None and not self._inner.in_cdata

    def start(self, tag: str, attributes: dict[str, str], nsmap: dict[str | None, str]) -> None:
        self._depth += 1
        if self._problem is not None:
            return
        if self._inner is not None:
            self._break("text and elements are mixed in the payload")
            return
        if not self._nested:
            self._nested = True
            self._builder.start(*self._own_start)
        self._builder.start(tag, attributes, nsmap)

    def end(self, tag: str) -> None:
        self._depth -= 1
        if self._problem is None:
            self._builder.end(tag)

    def text(self, data: str) -> None:
        if self._problem is not None:
            return
        if self._nested:
            if self._depth:
                self._builder.text(data)
            elif data.strip(_BLANK):
                self._break("text and elements are mixed in the payload")
            return
        if self._inner is None:
            data = data.lstrip(_BLANK)
            if not data:
                return
            # The text is characters already: whatever encoding it claims is overridden.
            self._inner = Layer(self._builder, self._tally, "utf-8")
        try:
            self._inner.feed(data.encode())
        except DoctypeFound:
            self._break(DOCTYPE_PROBLEM)
        except (expat.ExpatError, ValueError) as fault:
            self._break(str(fault))

    def close(self) -> Payload:
        if self._problem is None and self._inner is not None:
            try:
                self._inner.close()
            except (expat.ExpatError, ValueError) as fault:
                self._break(str(fault))
        if self._problem is not None:
            return broken(self._problem)
        if not self._nested and self._inner is None:
            tag, attributes, nsmap = self._own_start
            if not has_type(etree.Element(tag, attributes)):
                return EMPTY
            self._nested = True  # a typed receipt without messages
            self._builder.start(tag, attributes, nsmap)
        if self._nested:
            self._builder.end(self._tag)
        return finish(self._builder, nested=self._nested)

    def abort(self) -> None:
        if self._inner is not None:
            self._inner.abort()
        self._builder.abort()

    def _break(self, problem: str) -> None:
        self._problem = problem
        self.abort()


def _version(tag: str) -> str:
    namespace = tag.rpartition("}")[0].lstrip("{")
    if local_name(tag) != "Envelope":
        raise RequestRefused("NotSoap", f"the root {tag[:100]!r} is not a SOAP envelope")
    if namespace not in _VERSIONS:
        raise RequestRefused("VersionMismatch", "the envelope is neither SOAP 1.1 nor SOAP 1.2")
    return _VERSIONS[namespace]


def _not_xml(fault: Exception) -> RequestRefused:
    return RequestRefused("XMLSyntaxError", str(fault))


def _child(parent: etree._Element | None, name: str) -> etree._Element | None:
    if parent is None:
        return None
    return next((child for child in parent if local_name(str(child.tag)) == name), None)


def _value(parent: etree._Element, name: str) -> str | None:
    element = _child(parent, name)
    if element is None:
        return None
    return (element.text or "").strip()


def _read_party(parent: etree._Element | None, name: str) -> Party | None:
    element = _child(parent, name)
    if element is None:
        return None
    return Party(
        orgnr=_value(element, "orgnr"),
        name=_value(element, "name"),
        email=_value(element, "email"),
        ref=_value(element, "ref"),
    )


def _attribute(element: etree._Element, name: str) -> str | None:
    for key, value in element.attrib.items():
        if local_name(str(key)) == name:
            return str(value)
    return None


def _read_envelope(call: etree._Element | None) -> Envelope | None:
    element = _child(call, "envelope")
    if element is None:
        return None
    return Envelope(
        sender=_read_party(element, "sender"),
        receiver=_read_party(element, "receiver"),
        conversation_id=_attribute(element, "conversationId"),
        content_namespace=_attribute(element, "contentNamespace"),
    )
