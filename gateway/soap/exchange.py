"""One call while it is answered: what was read, and what its failure looks like.

Knows neither spyne nor WSGI, so that either could be replaced.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, TypeVar

from gateway.edu.payload import Payload
from gateway.edu.reader import RequestReader, SoapRequest
from gateway.errors import GatewayError, NeedsOperator, RequestRefused, Unavailable
from gateway.model import AppReceipt, Envelope

log = logging.getLogger(__name__)

XML_SYNTAX_ERROR = "Couldn't create SOAP message due to exception: XML reader error: "
UNKNOWN_OPERATION = "Cannot find dispatch method for "
_TECHNICAL = "Teknisk feil: kan ikke behandle melding"
_TEMPORARY = Unavailable.text

Result = TypeVar("Result")


class Intake(Protocol):
    """The engine's side of the endpoint."""

    def put_message(
        self, envelope: Envelope | None, payload: Payload, speaker: str | None = None
    ) -> AppReceipt:
        """Decide and store; returns only when that is durable.

        `speaker` is the organisation whose archive calls, when its address told.
        """

    def can_receive(self, orgnr: str | None) -> bool:
        """Whether a letter to `orgnr` would be sent."""


class CallFailed(Exception):
    """Answered with a SOAP Fault.

    `fault_code` is Client, Server, VersionMismatch or MustUnderstand; `name` a short
    stable word for programs; the text ends with an id that also stands in the log.
    """

    def __init__(
        self,
        fault_code: str,
        name: str,
        text: str,
        error_id: str,
        *,
        status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR,
    ) -> None:
        super().__init__(text)
        self.fault_code = fault_code
        self.name = name
        self.text = f"{text} (error id {error_id})"
        self.error_id = error_id
        self.status = status


@dataclass(slots=True)
class Exchange:
    """One request and its answer; `speaker` is whose archive asks, when that is known."""

    speaker: str | None = None
    error_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    request: SoapRequest | None = None

    def read(self, reader: RequestReader, chunks: Callable[[], Iterable[bytes]]) -> SoapRequest:
        """The request; nothing of it stays behind when that fails."""
        try:
            for chunk in chunks():
                reader.feed(chunk)
            self.request = reader.close()
        except GatewayError as trouble:
            reader.abort()
            raise self.failure(trouble) from trouble
        except Exception as trouble:
            reader.abort()
            log.exception("error_id=%s reading a request failed", self.error_id)
            raise self.fail("Server", "Internal", _TECHNICAL) from trouble
        except BaseException:
            reader.abort()
            raise
        return self.request

    def put_message(self, intake: Intake) -> AppReceipt:
        assert self.request is not None
        for warning in self.request.payload.warnings:
            log.warning("payload of %s: %s", self._conversation, warning)
        request = self.request
        try:
            return intake.put_message(request.envelope, request.payload, self.speaker)
        except (RequestRefused, Unavailable, NeedsOperator) as trouble:
            raise self.failure(trouble) from trouble
        except GatewayError as refused:
            log.info("%s is answered an error: %s", self._conversation, type(refused).__name__)
            return refused.receipt
        except Exception as trouble:
            log.exception("error_id=%s PutMessage failed", self.error_id)
            raise self.fail("Server", "Internal", _TECHNICAL) from trouble

    def can_receive(self, intake: Intake) -> bool:
        """A "no" is never a fault (bestedu-soap 4)."""
        assert self.request is not None
        receiver = self.request.receiver
        if receiver is None:
            return False
        try:
            return intake.can_receive(receiver.orgnr)
        except GatewayError as trouble:
            log.warning("GetCanReceiveMessage is answered false: %s", trouble.detail)
        except Exception:
            log.exception("error_id=%s GetCanReceiveMessage is answered false", self.error_id)
        return False

    def failure(self, trouble: GatewayError) -> CallFailed:
        """What the archive sees of `trouble`; the log gets the rest under the same id."""
        if isinstance(trouble, RequestRefused):
            log.warning(
                "error_id=%s request refused: %s: %s", self.error_id, trouble.name, trouble.detail
            )
            text = trouble.detail
            if trouble.name == "XMLSyntaxError":
                text = XML_SYNTAX_ERROR + text
            code = trouble.fault_code
            if trouble.name == "VersionMismatch":
                code = "VersionMismatch"
            return self.fail(code, trouble.name, text)
        name = type(trouble).__name__
        log.error("error_id=%s %s: %s", self.error_id, name, trouble.detail)
        return self.fail("Server", name, _TEMPORARY)

    def fail(
        self,
        code: str,
        name: str,
        text: str,
        status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR,
    ) -> CallFailed:
        return CallFailed(code, name, text, self.error_id, status=status)

    @property
    def _conversation(self) -> str:
        envelope = self.request.envelope if self.request else None
        return f"conversation_id={envelope.conversation_id!r}" if envelope else "conversation_id=-"
