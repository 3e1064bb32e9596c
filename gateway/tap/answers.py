"""What an endpoint answered, in a form in which two endpoints can be compared.

Not compared, because it says nothing: prefixes, layout, headers, the charset, SOAP
version, and the error ids that we and others put into faults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from gateway.edu.appreceipt import read_receipt
from gateway.edu.layer import local_name

_ERROR_ID = re.compile(r"\s*\(error id [0-9a-f]+\)")


@dataclass(frozen=True, slots=True)
class Answer:
    """`kind` is AppReceipt, canReceive, Fault, or what else it was.

    `value` is the receipt's type, true or false, the fault's code; `messages` are code
    and text.
    """

    kind: str
    value: str = ""
    messages: tuple[tuple[str, str], ...] = ()


def read_answer(status: int, body: bytes) -> Answer:
    """The normal form of an answer; one that is no SOAP is known by its HTTP status."""
    try:
        root = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError:
        return Answer(f"HTTP {status}")
    names = {local_name(str(node.tag)): node for node in root.iter(etree.Element)}
    fault = names.get("Fault")
    if fault is not None:
        return _fault(fault)
    result = names.get("result")
    if "PutMessageResponse" in names and result is not None:
        receipt = read_receipt(result)
        messages = tuple((it.code, _plain(it.text)) for it in receipt.messages)
        return Answer("AppReceipt", receipt.type.value, messages)
    if "GetCanReceiveMessageResponse" in names and result is not None:
        value = (result.text or "").strip().lower()
        return Answer("canReceive", {"1": "true", "0": "false"}.get(value, value))
    return Answer(f"HTTP {status}")


def differences(one: Answer, other: Answer) -> tuple[str, ...]:
    """What differs, by name: kind, value, messages; nothing when they say the same."""
    return tuple(
        name for name in ("kind", "value", "messages") if getattr(one, name) != getattr(other, name)
    )


def _fault(fault: etree._Element) -> Answer:
    texts = {local_name(str(node.tag)): node.text or "" for node in fault.iter(etree.Element)}
    code = (texts.get("faultcode") or texts.get("Value") or "").strip().rpartition(":")[2]
    code = {"Sender": "Client", "Receiver": "Server"}.get(code, code)
    return Answer(
        "Fault", code, (("", _plain(texts.get("faultstring") or texts.get("Text") or "")),)
    )


def _plain(text: str) -> str:
    return " ".join(_ERROR_ID.sub("", text).split())


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
