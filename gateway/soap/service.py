"""The noarkExchange service, declared for spyne (bestedu-soap 1.1 and 1.2)."""

from __future__ import annotations

from typing import Any

from gateway.soap import compat

compat.install()

from spyne import Application, ServiceBase, rpc  # noqa: E402
from spyne.model.complex import ComplexModel, XmlAttribute  # noqa: E402
from spyne.model.primitive import AnyXml, Boolean, Unicode  # noqa: E402
from spyne.server.wsgi import WsgiApplication  # noqa: E402

from gateway.edu.limits import Limits  # noqa: E402
from gateway.model import EXCHANGE_NAMESPACE, OK, AppReceipt  # noqa: E402
from gateway.ports import ContentStore  # noqa: E402
from gateway.soap.exchange import CallFailed, Exchange, Intake  # noqa: E402
from gateway.soap.protocol import Soap11Out, Soap12Out, StreamedSoapIn, as_fault  # noqa: E402

SERVICE_NAMESPACE = "http://www.arkivverket.no/Noark/Exchange"

# Everything below the four messages is in no namespace on the wire.
_text = Unicode(min_occurs=0, sub_ns="")


class AddressType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    orgnr = _text
    name = _text
    email = _text
    ref = _text


class EnvelopeType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    conversationId = XmlAttribute(Unicode)
    contentNamespace = XmlAttribute(Unicode)
    sender = AddressType.customize(sub_ns="")
    receiver = AddressType.customize(sub_ns="")


class StatusMessageType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    code = XmlAttribute(Unicode)
    text = Unicode(min_occurs=1, sub_ns="")


class AppReceiptType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    type = XmlAttribute(Unicode)
    message = StatusMessageType.customize(max_occurs="unbounded", sub_ns="")


class GetCanReceiveMessageRequestType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    receiver = AddressType.customize(sub_ns="")


class GetCanReceiveMessageResponseType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    result = Boolean(min_occurs=1, sub_ns="")


class PutMessageRequestType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    envelope = EnvelopeType.customize(sub_ns="")
    payload = AnyXml(sub_ns="")


class PutMessageResponseType(ComplexModel):
    __namespace__ = EXCHANGE_NAMESPACE
    result = AppReceiptType.customize(min_occurs=1, sub_ns="")


def _answer(receipt: AppReceipt) -> PutMessageResponseType:
    return PutMessageResponseType(
        result=AppReceiptType(
            type=receipt.type.value,
            message=[StatusMessageType(code=one.code, text=one.text) for one in receipt.messages],
        )
    )


_OK = _answer(OK)  # nearly every answer, and costly to make


def create_service(intake: Intake) -> type[ServiceBase]:
    """The service class whose methods ask `intake`."""

    class NoarkExchange(ServiceBase):  # type: ignore[misc]
        @rpc(
            GetCanReceiveMessageRequestType,
            _returns=GetCanReceiveMessageResponseType,
            _body_style="bare",
            _in_message_name="GetCanReceiveMessageRequest",
            _out_message_name=f"{{{EXCHANGE_NAMESPACE}}}GetCanReceiveMessageResponse",
        )
        def GetCanReceiveMessage(ctx: Any, exchange: Exchange) -> Any:
            return GetCanReceiveMessageResponseType(result=exchange.can_receive(intake))

        @rpc(
            PutMessageRequestType,
            _returns=PutMessageResponseType,
            _body_style="bare",
            _in_message_name="PutMessageRequest",
            _out_message_name=f"{{{EXCHANGE_NAMESPACE}}}PutMessageResponse",
        )
        def PutMessage(ctx: Any, exchange: Exchange) -> Any:
            try:
                receipt = exchange.put_message(intake)
                return _OK if receipt == OK else _answer(receipt)
            except CallFailed as failed:
                raise as_fault(failed) from failed

    return NoarkExchange


def create_wsgi(intake: Intake, store: ContentStore, limits: Limits) -> WsgiApplication:
    """spyne's WSGI application; POST only, with an `Exchange` in its environment."""
    reading = StreamedSoapIn(store, limits)
    soap_11, soap_12 = Soap11Out(), Soap12Out()
    reading.outputs = {"1.1": soap_11, "1.2": soap_12}
    application = Application(
        [create_service(intake)],
        tns=SERVICE_NAMESPACE,
        name="noarkExchange",
        in_protocol=reading,
        out_protocol=soap_11,
    )
    # The reader counts and reads by itself; spyne's own limits must not come first.
    return WsgiApplication(application, chunked=True, max_content_length=2**63)
