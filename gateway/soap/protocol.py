"""spyne's SOAP protocols with our own reading, dispatch and fault layout.

Overridden are spyne's public seams only (soap-stack 2): `create_in_document` because
spyne would hold the whole body in memory, `get_call_handles` because messages and
service have different namespaces here, `fault_to_parent` for plain fault codes.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gateway.soap import compat

compat.install()

from lxml import etree  # noqa: E402
from spyne import const  # noqa: E402
from spyne.model.fault import Fault  # noqa: E402
from spyne.protocol.soap import Soap11, Soap12  # noqa: E402

from gateway.edu.layer import local_name  # noqa: E402
from gateway.edu.limits import Limits  # noqa: E402
from gateway.edu.reader import SOAP_11, SOAP_12, RequestReader  # noqa: E402
from gateway.errors import RequestRefused  # noqa: E402
from gateway.ports import ContentStore  # noqa: E402
from gateway.soap.body import body_chunks, stated_charset  # noqa: E402
from gateway.soap.exchange import UNKNOWN_OPERATION, CallFailed, Exchange  # noqa: E402

EXCHANGE = "edu_gateway.exchange"
"""Key of the WSGI environment where a request's `Exchange` is."""

_DETAIL = "urn:edu-gateway:fault"
_XML_TYPES = ("", "text/xml", "application/xml", "application/soap+xml")
_NEXT_ACTORS = ("", "http://schemas.xmlsoap.org/soap/actor/next")
_NEXT_ROLES = (
    "",
    "http://www.w3.org/2003/05/soap-envelope/role/next",
    "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
)


# spyne collects garbage itself once a second, 40 ms during which nobody is answered.
const.MIN_GC_INTERVAL = float("inf")


def as_fault(failed: CallFailed) -> Fault:
    """spyne's exception for it."""
    fault = Fault(failed.fault_code, failed.text)
    fault.failed = failed
    return fault


class StreamedSoapIn(Soap11):
    """Reads SOAP 1.1 and 1.2 through `RequestReader`; answers in the same version."""

    def __init__(self, store: ContentStore, limits: Limits) -> None:
        super().__init__(validator=None, parse_xsi_type=False)
        self._store = store
        self._limits = limits
        self.outputs: dict[str, Soap11] = {}
        """Out protocols by SOAP version; filled when the application stands."""

    def create_in_document(self, ctx: Any, charset: str | None = None) -> None:
        environ = ctx.transport.req_env
        exchange: Exchange = environ[EXCHANGE]
        media_type, _, parameters = str(environ.get("CONTENT_TYPE") or "").partition(";")
        media_type = media_type.strip().lower()
        if media_type == "application/soap+xml":
            ctx.out_protocol = self.outputs["1.2"]
        try:
            if media_type not in _XML_TYPES:
                raise exchange.fail(
                    "Client",
                    "MediaType",
                    f"send text/xml or application/soap+xml, not {media_type[:80]}",
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                )
            reader = RequestReader(self._store.bundle(), self._limits, stated_charset(parameters))
            request = exchange.read(reader, lambda: body_chunks(environ, self._limits))
            if request.soap_version == "1.2" and media_type == "text/xml":
                raise exchange.fail(
                    "VersionMismatch", "VersionMismatch", "a SOAP 1.2 envelope came as text/xml"
                )
            ctx.out_protocol = self.outputs[request.soap_version]
            _check_headers(request.root, exchange)
        except CallFailed as failed:
            ctx.transport.resp_code = f"{failed.status.value} {failed.status.phrase}"
            raise as_fault(failed) from failed
        ctx.in_document = request

    def decompose_incoming_envelope(self, ctx: Any, message: Any = None) -> None:
        ctx.in_header_doc = None
        ctx.in_body_doc = ctx.in_document.root
        ctx.method_request_string = ctx.in_document.operation

    def get_call_handles(self, ctx: Any) -> list[Any]:
        operation = ctx.method_request_string
        handles: list[Any] = []
        if operation and not operation.startswith("{"):
            key = f"{{{self.app.interface.get_tns()}}}{operation}"
            handles = self.app.interface.service_method_map.get(key, [])
        if not handles:
            exchange: Exchange = ctx.transport.req_env[EXCHANGE]
            refused = RequestRefused("UnknownOperation", UNKNOWN_OPERATION + _shown(operation))
            raise as_fault(exchange.failure(refused))
        return handles

    def deserialize(self, ctx: Any, message: Any) -> None:
        """The reader has done it: methods get the `Exchange`."""
        ctx.in_object = ctx.transport.req_env[EXCHANGE]


class Soap11Out(Soap11):
    """SOAP 1.1 answers, faults without subcodes."""

    soap_env = "S"

    def fault_to_parent(
        self, ctx: Any, cls: Any, inst: Any, parent: etree._Element, ns: Any, *_: Any, **__: Any
    ) -> None:
        fault = etree.SubElement(parent, f"{{{SOAP_11}}}Fault", nsmap={"S": SOAP_11})
        etree.SubElement(fault, "faultcode").text = f"S:{inst.faultcode.partition('.')[0]}"
        etree.SubElement(fault, "faultstring").text = inst.faultstring
        _add_detail(etree.SubElement(fault, "detail"), inst)


class Soap12Out(Soap12):
    """SOAP 1.2 answers."""

    soap_env = "S"

    def fault_to_parent(
        self, ctx: Any, cls: Any, inst: Any, parent: etree._Element, ns: Any, *_: Any, **__: Any
    ) -> None:
        fault = etree.SubElement(parent, f"{{{SOAP_12}}}Fault", nsmap={"S": SOAP_12})
        code = inst.faultcode.partition(".")[0]
        code = {"Client": "Sender", "Server": "Receiver"}.get(code, code)
        value = etree.SubElement(
            etree.SubElement(fault, f"{{{SOAP_12}}}Code"), f"{{{SOAP_12}}}Value"
        )
        value.text = f"S:{code}"
        reason = etree.SubElement(fault, f"{{{SOAP_12}}}Reason")
        text = etree.SubElement(reason, f"{{{SOAP_12}}}Text")
        text.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
        text.text = inst.faultstring
        _add_detail(etree.SubElement(fault, f"{{{SOAP_12}}}Detail"), inst)


def _add_detail(parent: etree._Element, inst: Any) -> None:
    failed = getattr(inst, "failed", None)
    if failed is None:  # a fault of spyne's own
        parent.getparent().remove(parent)
        return
    detail = etree.SubElement(parent, f"{{{_DETAIL}}}error", nsmap={None: _DETAIL})
    detail.set("name", failed.name)
    detail.set("id", failed.error_id)


def _check_headers(root: etree._Element, exchange: Exchange) -> None:
    """A header block that we must understand, and do not, is a fault of its own."""
    namespace = str(root.tag)[1:].partition("}")[0]
    for header in root:
        if local_name(str(header.tag)) != "Header":
            continue
        for block in header:
            must = block.get(f"{{{namespace}}}mustUnderstand", "").strip()
            actor = block.get(f"{{{SOAP_11}}}actor") or block.get(f"{{{SOAP_12}}}role") or ""
            ours = _NEXT_ACTORS if namespace == SOAP_11 else _NEXT_ROLES
            if must in ("1", "true") and actor.strip() in ours:
                raise exchange.fail(
                    "MustUnderstand",
                    "MustUnderstand",
                    f"the header {_shown(str(block.tag))} is not understood",
                )


def _shown(name: str | None) -> str:
    if name is None:
        return "an empty body"
    return name if len(name) <= 200 else name[:200] + "…"
