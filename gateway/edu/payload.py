"""What is inside ``payload``: a letter, a receipt, nothing, or nothing readable.

Decided by the root element, never by text search (bestedu-soap 2.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from xml.parsers import expat

from lxml import etree

from gateway.edu.appreceipt import has_type, read_receipt
from gateway.edu.layer import DoctypeFound, Layer, local_name
from gateway.edu.letter import PayloadBuilder
from gateway.edu.limits import Limits, Tally
from gateway.model import (
    EXCHANGE_NAMESPACE,
    MELDING_NAMESPACE,
    AppReceipt,
    Content,
    Melding,
)
from gateway.ports import Spool

DOCTYPE_PROBLEM = "document type declarations are not allowed"


class PayloadKind(StrEnum):
    """What a payload turned out to be."""

    MELDING = "MELDING"
    APPRECEIPT = "APPRECEIPT"
    EMPTY = "EMPTY"
    """Absent, nil, or white space only."""
    BROKEN = "BROKEN"
    """Not well-formed XML; `Payload.problem` says where."""
    UNKNOWN = "UNKNOWN"
    """Well-formed, but neither letter nor receipt."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload. `warnings` are for the log and hold no content of the letter.

    `receipt_type_missing`: the receipt's type is our reading (bestedu-soap 3.3, A2).
    """

    kind: PayloadKind
    melding: Melding | None = None
    receipt: AppReceipt | None = None
    receipt_type_missing: bool = False
    problem: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def contents(self) -> tuple[Content, ...]:
        """Everything that was spooled for it."""
        return tuple(self.melding.contents.values()) if self.melding else ()


EMPTY = Payload(PayloadKind.EMPTY)


def broken(problem: str) -> Payload:
    return Payload(PayloadKind.BROKEN, problem=problem)


def read_payload(chunks: Iterable[bytes], spool: Spool, limits: Limits | None = None) -> Payload:
    """A bare ``Melding`` or ``AppReceipt`` document, as it lies in a file.

    XML faults give a payload of kind BROKEN; raises `RequestRefused` beyond `limits`.
    """
    tally = Tally(limits or Limits())
    builder = PayloadBuilder(spool, tally)
    layer = Layer(builder, tally)
    try:
        for chunk in chunks:
            tally.bytes(len(chunk))
            layer.feed(chunk)
        layer.close()
        return finish(builder)
    except DoctypeFound:
        builder.abort()
        return broken(DOCTYPE_PROBLEM)
    except (expat.ExpatError, ValueError) as fault:
        builder.abort()
        return broken(str(fault))
    except BaseException:
        builder.abort()
        raise


def finish(builder: PayloadBuilder, *, nested: bool = False) -> Payload:
    """The payload from a complete tree; its contents are durable afterwards.

    With `nested` the tree's root is the ``payload`` element itself, which plays the
    part of the root when a stub has dropped the real one (soap-stack 2).
    """
    root = builder.root()
    warnings: list[str] = []
    if nested:
        inner = _real_root(root)
        if inner is None:
            builder.abort()
            return Payload(
                PayloadKind.UNKNOWN, problem="the payload has several elements and no root"
            )
        if inner is root:
            warnings.append("the payload element itself is the root")
        root = inner
    kind = _kind(root)
    name = local_name(str(root.tag))
    if kind is PayloadKind.UNKNOWN:
        builder.abort()
        return Payload(kind, problem=f"the root {name[:100]!r} is neither letter nor receipt")
    if root.tag != _ROOTS[kind]:
        warnings.append(f"the root is {str(root.tag)[:100]}")
    if kind is PayloadKind.APPRECEIPT:
        builder.abort()
        if not has_type(root):
            warnings.append("the receipt has no known type")
        return Payload(
            kind,
            receipt=read_receipt(root),
            receipt_type_missing=not has_type(root),
            warnings=tuple(warnings),
        )
    return Payload(kind, melding=Melding(root, builder.commit()), warnings=tuple(warnings))


_NAMES = {
    "AppReceipt": PayloadKind.APPRECEIPT,
    "AppReceiptType": PayloadKind.APPRECEIPT,
    "Melding": PayloadKind.MELDING,
    "MeldingType": PayloadKind.MELDING,
}
_ROOTS = {
    PayloadKind.MELDING: f"{{{MELDING_NAMESPACE}}}Melding",
    PayloadKind.APPRECEIPT: f"{{{EXCHANGE_NAMESPACE}}}AppReceipt",
}


def _kind(root: etree._Element) -> PayloadKind:
    by_name = _NAMES.get(local_name(str(root.tag)))
    if by_name is not None:
        return by_name
    children = {local_name(str(child.tag)) for child in root if isinstance(child.tag, str)}
    if children & {"journpost", "noarksak"}:
        return PayloadKind.MELDING
    if "message" in children or has_type(root):
        return PayloadKind.APPRECEIPT
    return PayloadKind.UNKNOWN


def _real_root(payload: etree._Element) -> etree._Element | None:
    """The element that is letter or receipt: the only child, or `payload` in its place."""
    children = [child for child in payload if isinstance(child.tag, str)]
    kind = _kind(payload)
    child = children[0] if len(children) == 1 else None
    if child is not None and (local_name(str(child.tag)) in _NAMES or kind is PayloadKind.UNKNOWN):
        payload.remove(child)
        child.tail = None
        return child
    if kind is PayloadKind.UNKNOWN:
        return None
    payload.tag = _ROOTS[kind]
    return payload
