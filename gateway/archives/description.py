"""The SOAP envelope and the answer, by zeep from our own description of the service.

zeep renders the envelope around a marker and reads answers and faults; the payload itself
is streamed past it, since zeep would need five times its size in memory (soap-stack 5).
"""

from __future__ import annotations

import re
import secrets
from io import BytesIO
from typing import Any

import httpx
import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.exceptions import Fault

from gateway.errors import ArchiveFault, ArchiveUnclear
from gateway.model import (
    EXCHANGE_NAMESPACE,
    MELDING_NAMESPACE,
    AppReceipt,
    Envelope,
    Party,
    ReceiptType,
    StatusMessage,
)
from gateway.resources import data_folder

_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_FAULT = f"{_SOAP}Fault"
_ANSWERS = (_FAULT, f"{{{EXCHANGE_NAMESPACE}}}PutMessageResponse")
_KNOWN = ("result", "message", "text")
"""What stands in a PutMessageResponse, from the outside in."""
_FAULT_TEXT = 2000
"""Characters of a fault's text that go into the log and the message's record."""


class NoResult(Exception):
    """A well-formed PutMessageResponse that says nothing."""


class ServiceDescription:
    """PutMessage as ``wsdl/archive.wsdl`` describes it. Safe to share between threads."""

    def __init__(self) -> None:
        wsdl = (data_folder("wsdl") / "archive.wsdl").read_bytes()
        # strict=False: archives add elements that no schema knows.
        client: Any = zeep.Client  # untyped
        self._client = client(BytesIO(wsdl), settings=zeep.Settings(strict=False))
        self._client.set_ns_prefix("ns3", EXCHANGE_NAMESPACE)

    def render(self, envelope: Envelope) -> tuple[bytes, bytes]:
        """The request before and after the payload's text (bestedu-soap 5.5).

        contentNamespace is always that of the Melding, for receipts too.
        """
        marker = secrets.token_hex(16)
        message = self._client.create_message(
            self._client.service,
            "PutMessage",
            envelope={
                "contentNamespace": MELDING_NAMESPACE,
                "conversationId": _text(envelope.conversation_id),
                "sender": _address(envelope.sender),
                "receiver": _address(envelope.receiver),
            },
            payload=marker,
        )
        before, after = etree.tostring(message, encoding="utf-8", xml_declaration=True).split(
            marker.encode("ascii")
        )
        return before, after

    def read_answer(self, response: httpx.Response) -> AppReceipt:
        """What the archive says, with every message in its order.

        `response` has been read whole and has a body. Raises `NoResult` when it says
        nothing, `ArchiveFault` for a Fault, `ArchiveUnclear` when the answer cannot be
        read as PutMessage's.
        """
        answer = _checked(response.content)
        binding = self._client.service._binding
        # zeep takes every status but 200 for a fault.
        reply = httpx.Response(
            200 if response.is_success else response.status_code,
            headers={"Content-Type": "text/xml"},
            content=etree.tostring(answer),
        )
        try:
            result = binding.process_reply(self._client, binding.get("PutMessage"), reply)
        except Fault as fault:
            if fault.code is None:
                raise ArchiveUnclear("the archive's answer is a fault without a code") from fault
            raise _fault(fault) from fault
        except (ZeepError, etree.LxmlError, LookupError, ValueError, TypeError) as error:
            # The latter are what zeep does with content that its schema does not foresee.
            raise ArchiveUnclear(
                f"the archive's answer is not a PutMessageResponse ({type(error).__name__})"
            ) from error
        return _receipt(result)


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(value: str | None) -> str | None:
    """Names and references come from other systems; JSON can hold what XML cannot."""
    return None if value is None else _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)


def _address(party: Party | None) -> dict[str, str | None] | None:
    if party is None:
        return None
    return {"orgnr": _text(party.orgnr), "name": _text(party.name), "ref": _text(party.ref)}


def _checked(body: bytes) -> etree._Element:
    """The answer's envelope, whole and ours.

    zeep repairs broken XML in its tolerant mode, where half an answer could become OK;
    it takes any element for the one that it expects; and it follows ``xsi:type``, which
    servers write with names of their own.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise ArchiveUnclear("the archive's answer is not well-formed XML") from error
    docinfo: Any = root.getroottree().docinfo
    if docinfo.doctype:
        raise ArchiveUnclear("the archive's answer has a DTD, which is not read")
    if root.tag != f"{_SOAP}Envelope":
        raise ArchiveUnclear("the archive's answer is not a SOAP 1.1 envelope")
    children = root.findall(f"{_SOAP}Body/*")
    if not children or children[0].tag not in _ANSWERS:
        raise ArchiveUnclear("the archive's answer holds no PutMessageResponse")
    etree.strip_attributes(root, _XSI_TYPE)
    if children[0].tag != _FAULT:
        _keep_known(children[0], *_KNOWN)
    return root


def _keep_known(element: etree._Element, wanted: str, *below: str) -> None:
    """Take out what no schema knows: zeep stops at it and sees nothing that follows."""
    for child in list(element):
        if not isinstance(child.tag, str) or etree.QName(child).localname != wanted:
            element.remove(child)
        elif below:
            _keep_known(child, *below)


def _fault(fault: Fault) -> ArchiveFault:
    # SOAP 1.1 may refine a code with dots: Client.Authentication is a Client fault.
    code = str(fault.code).strip().rpartition(":")[2].partition(".")[0]
    text = str(fault.message or "").strip() or "the fault has no text"
    if len(text) > _FAULT_TEXT:
        text = f"{text[:_FAULT_TEXT]} … ({len(text) - _FAULT_TEXT} characters more)"
    return ArchiveFault(code, text)


_TYPES = {member.value: member for member in ReceiptType}


def _receipt(result: Any) -> AppReceipt:
    if hasattr(result, "result"):  # zeep keeps the wrapper when it holds more than one
        result = result.result
    if result is None:
        raise NoResult
    messages = tuple(
        StatusMessage(message.code or "", message.text or "")
        for message in result.message or ()
        if message is not None
    )
    receipt_type = _TYPES.get((result.type or "").strip())
    if receipt_type is None:
        # Without a type nobody knows; with messages it is taken for a refusal, so that a
        # person sees them (bestedu-soap 5.7).
        if not messages:
            raise NoResult
        receipt_type = ReceiptType.ERROR
    return AppReceipt(receipt_type, messages)
