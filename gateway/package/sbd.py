"""sbd.json: the clear-text envelope of every message (dpo-packaging 2 and 3).

Reading is as liberal as the network's own readers, and names the member in `BadSbd` when
something cannot be used. Nothing in here is covered by the package's signature.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.errors import BadSbd, LimitExceeded
from gateway.model import AppReceipt, ReceiptType, Status, StatusMessage
from gateway.package.limits import DEFAULT_LIMITS, Limits

AUTHORITY = "iso6523-actorid-upis"
MAIN_DOCUMENT = "arkivmelding.xml"

ARKIVMELDING = "arkivmelding"
KVITTERING = "arkivmelding_kvittering"
STATUS = "status"
AVTALT = "avtalt"

ADMINISTRASJON = "urn:no:difi:profile:arkivmelding:administrasjon:ver1.0"
ARKIVMELDING_RESPONSE = "urn:no:difi:profile:arkivmelding:response:ver1.0"
AVTALT_PROCESS = "urn:no:difi:profile:avtalt:avtalt:ver1.0"
AVTALT_RESPONSE = "urn:no:difi:profile:avtalt:response:ver1.0"

_STANDARDS = {
    ARKIVMELDING: "urn:no:difi:arkivmelding:xsd::arkivmelding",
    KVITTERING: "urn:no:difi:arkivmelding:xsd::arkivmelding_kvittering",
    STATUS: "urn:no:difi:eformidling:xsd::status",
    AVTALT: "urn:no:difi:avtalt:xsd::avtalt",
}
_HEADER = "standardBusinessDocumentHeader"
_LONGEST_TYPE = 100
_OSLO = ZoneInfo("Europe/Oslo")
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_IDENTIFIER = re.compile(r"(?:(\d{4}):)?([0-9]{9})(?::[^\s:]{1,35})?(?::\d)?")
# Possessive, and an unterminated string is one token, so that no input costs more than
# one pass.
_BRACKET_OR_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sbd:
    """A Standard Business Document with its business message.

    `sender_id` and `receiver_id` are as written on the wire (``0192:991825827``); ids are
    lower-case UUIDs; times are aware. References are free text and pass through unchanged.
    """

    type: str
    sender_id: str
    receiver_id: str
    message_id: str
    conversation_id: str
    process: str | None
    created: datetime | None = None
    expires: datetime | None = None
    """``expectedResponseDateTime``; None means no deadline."""
    sender_ref: str | None = None
    receiver_ref: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    """instanceIdentifier of the MessageChannel scope, which answers carry unchanged."""
    hoveddokument: str | None = None
    security_level: int | None = None
    receipt: AppReceipt | None = None
    related_to_message_id: str | None = None
    status: str | None = None
    avtalt: Mapping[str, Any] | None = None
    unknown: Mapping[str, Any] | None = None
    """Everything but the header, for a type that this module does not know."""
    standard: str | None = None
    """Document type URI as read; the writer derives it from `type` when None."""

    @property
    def sender(self) -> str:
        """Nine digits."""
        return _nine_digits(self.sender_id)

    @property
    def receiver(self) -> str:
        """Nine digits."""
        return _nine_digits(self.receiver_id)


def _nine_digits(identifier: str) -> str:
    found = _IDENTIFIER.fullmatch(identifier)
    if found is None:
        raise BadSbd(f"identifier: not an organisation number: {identifier!r}")
    return found[2]


# --- making ---------------------------------------------------------------------------


def arkivmelding_sbd(
    *,
    sender: str,
    receiver: str,
    message_id: str,
    conversation_id: str,
    created: datetime,
    expires: datetime | None,
    process: str = ADMINISTRASJON,
    sender_ref: str | None = None,
    receiver_ref: str | None = None,
    channel: str | None = None,
    channel_id: str | None = None,
    security_level: int | None = None,
) -> Sbd:
    """A letter's envelope. `sender` is the organisation itself, also when a supplier
    signs on its behalf (dpo-packaging 2.3); both parties are nine digits."""
    return Sbd(
        type=ARKIVMELDING,
        sender_id=f"0192:{sender}",
        receiver_id=f"0192:{receiver}",
        message_id=message_id,
        conversation_id=conversation_id,
        process=process,
        created=created,
        expires=expires,
        sender_ref=sender_ref,
        receiver_ref=receiver_ref,
        channel=channel,
        channel_id=channel_id,
        hoveddokument=MAIN_DOCUMENT,
        security_level=security_level,
    )


def kvittering_sbd(
    *,
    sender: str,
    receiver: str,
    message_id: str,
    conversation_id: str,
    related_to_message_id: str,
    receipt: AppReceipt,
    created: datetime,
    expires: datetime | None,
    sender_ref: str | None = None,
    receiver_ref: str | None = None,
    channel: str | None = None,
    channel_id: str | None = None,
) -> Sbd:
    """What an archive says of a letter: a new message id, the letter's conversation id
    (registry-and-statuses 3.7)."""
    return Sbd(
        type=KVITTERING,
        sender_id=f"0192:{sender}",
        receiver_id=f"0192:{receiver}",
        message_id=message_id,
        conversation_id=conversation_id,
        process=ARKIVMELDING_RESPONSE,
        created=created,
        expires=expires,
        sender_ref=sender_ref,
        receiver_ref=receiver_ref,
        channel=channel,
        channel_id=channel_id,
        receipt=receipt,
        related_to_message_id=related_to_message_id,
    )


def status_sbd(
    original: Sbd, status: Status | str, *, created: datetime, expires: datetime | None
) -> Sbd:
    """A status for `original`: its ids, parties swapped, its channel, but a deadline of
    its own (registry-and-statuses 3.4)."""
    process = {
        ARKIVMELDING: ARKIVMELDING_RESPONSE,
        KVITTERING: ARKIVMELDING_RESPONSE,
        AVTALT: AVTALT_RESPONSE,
    }
    return Sbd(
        type=STATUS,
        sender_id=original.receiver_id,
        receiver_id=original.sender_id,
        message_id=original.message_id,
        conversation_id=original.conversation_id,
        process=process.get(original.type),
        created=created,
        expires=expires,
        channel=original.channel,
        channel_id=original.channel_id,
        status=str(status),
    )


def avtalt_sbd(
    *,
    sender: str,
    receiver: str,
    message_id: str,
    conversation_id: str,
    created: datetime,
    expires: datetime | None,
    identifier: str,
    content: Any,
    process: str = AVTALT_PROCESS,
    channel: str | None = None,
    channel_id: str | None = None,
) -> Sbd:
    """A message whose `content` (any JSON value) the two parties agreed on."""
    return Sbd(
        type=AVTALT,
        sender_id=f"0192:{sender}",
        receiver_id=f"0192:{receiver}",
        message_id=message_id,
        conversation_id=conversation_id,
        process=process,
        created=created,
        expires=expires,
        channel=channel,
        channel_id=channel_id,
        avtalt={"identifier": identifier, "content": content},
    )


# --- writing --------------------------------------------------------------------------


def write_sbd(sbd: Sbd) -> bytes:
    """UTF-8 JSON, header first, absent values left out. Raises `BadSbd` for a value that
    the network's own senders would not let through (dpo-packaging 3.8)."""
    _check_writable(sbd)
    root = {
        _HEADER: {
            "headerVersion": "1.0",
            "sender": [_partner(sbd.sender_id)],
            "receiver": [_partner(sbd.receiver_id)],
            "documentIdentification": {
                "standard": sbd.standard or _STANDARDS[sbd.type],
                "typeVersion": "2.0",
                "instanceIdentifier": sbd.message_id,
                "type": sbd.type,
                "creationDateAndTime": _written(sbd.created),
            },
            "businessScope": {"scope": _scopes(sbd)},
        },
        sbd.type: _message(sbd),
    }
    return json.dumps(root, ensure_ascii=False).encode()


def _check_writable(sbd: Sbd) -> None:
    if sbd.type not in _STANDARDS:
        raise BadSbd(f"documentIdentification.type: cannot write {sbd.type!r}")
    for member, value in (
        ("instanceIdentifier", sbd.message_id),
        ("ConversationId", sbd.conversation_id),
    ):
        if not _UUID.fullmatch(value) or value != value.lower():
            raise BadSbd(f"{member}: not a lower-case UUID")
    for member, identifier in (("sender", sbd.sender_id), ("receiver", sbd.receiver_id)):
        # Answers carry the original's identifiers unchanged, with whatever part they have.
        plain = re.fullmatch(r"0192:[0-9]{9}", identifier)
        if not plain and not (sbd.type in (STATUS, KVITTERING) and _is_ours(identifier)):
            raise BadSbd(f"{member}: must be 0192 and nine digits")
    if sbd.created is None:
        raise BadSbd("creationDateAndTime: missing")
    if sbd.channel is not None and not re.fullmatch(r"[a-zA-Z0-9_-]{1,25}", sbd.channel):
        raise BadSbd("MessageChannel: at most 25 letters, digits, - and _")
    if sbd.type == STATUS and sbd.status not in Status.__members__:
        raise BadSbd(f"status.status: unknown value {sbd.status!r}")
    if sbd.type == KVITTERING and sbd.receipt is None:
        raise BadSbd("arkivmelding_kvittering: without a receipt")


def _is_ours(identifier: str) -> bool:
    found = _IDENTIFIER.fullmatch(identifier)
    return found is not None and found[1] == "0192"


def _partner(identifier: str) -> dict[str, Any]:
    return {"identifier": {"value": identifier, "authority": AUTHORITY}}


def _scopes(sbd: Sbd) -> list[dict[str, Any]]:
    conversation: dict[str, Any] = {
        "type": "ConversationId",
        "instanceIdentifier": sbd.conversation_id,
    }
    if sbd.process:
        conversation["identifier"] = sbd.process
    if sbd.expires is not None:
        conversation["scopeInformation"] = [{"expectedResponseDateTime": _written(sbd.expires)}]
    scopes = [conversation]
    if sbd.sender_ref:
        scopes.append({"type": "SenderRef", "instanceIdentifier": sbd.sender_ref})
    if sbd.receiver_ref:
        scopes.append({"type": "ReceiverRef", "instanceIdentifier": sbd.receiver_ref})
    if sbd.channel:
        channel = {"type": "MessageChannel"}
        if sbd.channel_id:
            channel["instanceIdentifier"] = sbd.channel_id
        scopes.append(channel | {"identifier": sbd.channel})
    return scopes


def _message(sbd: Sbd) -> dict[str, Any]:
    message: dict[str, Any] = {}
    if sbd.type == AVTALT:
        message.update(sbd.avtalt or {})
    if sbd.security_level is not None:
        message["sikkerhetsnivaa"] = sbd.security_level
    if sbd.hoveddokument:
        message["hoveddokument"] = sbd.hoveddokument
    if sbd.status is not None:
        message["status"] = sbd.status
    if sbd.receipt is not None:
        message["receiptType"] = sbd.receipt.type.value
        if sbd.related_to_message_id:
            message["relatedToMessageId"] = sbd.related_to_message_id
        message["messages"] = [{"code": it.code, "text": it.text} for it in sbd.receipt.messages]
    return message


def _written(moment: datetime | None) -> str:
    if moment is None or moment.tzinfo is None:
        raise BadSbd("a time without offset cannot be written")
    local = moment.astimezone(_OSLO)
    fraction = "auto" if local.microsecond % 1000 else "milliseconds"
    return local.isoformat(timespec=fraction if local.microsecond else "seconds")


# --- reading --------------------------------------------------------------------------


def read_sbd(data: bytes, *, limits: Limits = DEFAULT_LIMITS, allow_icd_9908: bool = False) -> Sbd:
    """Read what any Integrasjonspunkt writes. `allow_icd_9908` also takes the retired
    country code of packages from before 2019.

    A type that we do not know is read too, its message left as it is: whoever it is for
    can pick it up. Raises `BadSbd` (its detail begins with the member) or `LimitExceeded`.
    """
    root = _object(_parse(data, limits), "root")
    header = _object(root.get(_HEADER), _HEADER)
    identification = _object(header.get("documentIdentification"), "documentIdentification")
    declared = _text(identification, "type", "documentIdentification.type")
    if declared is None:
        raise BadSbd("documentIdentification.type: missing")
    if len(declared) > _LONGEST_TYPE:
        raise BadSbd(f"documentIdentification.type: longer than {_LONGEST_TYPE} characters")
    kind = declared.lower()
    known = kind in _STANDARDS
    if known and (len(root) != 2 or kind not in root):
        raise BadSbd(f"root: must hold {_HEADER} and {kind} and nothing else")
    message = _object(root[kind], kind) if known else {}
    scopes = _scopes_read(header)
    conversation = scopes.get("conversationid", {})
    channel = scopes.get("messagechannel", {})
    return Sbd(
        type=kind,
        sender_id=_identifier(header, "sender", allow_icd_9908),
        receiver_id=_identifier(header, "receiver", allow_icd_9908),
        message_id=_uuid(identification, "documentIdentification.instanceIdentifier"),
        conversation_id=_uuid(conversation, "ConversationId.instanceIdentifier"),
        process=_text(conversation, "identifier", "ConversationId.identifier"),
        created=_moment(
            identification.get("creationDateAndTime"), "documentIdentification.creationDateAndTime"
        ),
        expires=_deadline(conversation),
        sender_ref=_reference(scopes.get("senderref"), "SenderRef"),
        receiver_ref=_reference(scopes.get("receiverref"), "ReceiverRef"),
        channel=_text(channel, "identifier", "MessageChannel.identifier"),
        channel_id=_text(channel, "instanceIdentifier", "MessageChannel.instanceIdentifier"),
        hoveddokument=_text(message, "hoveddokument", f"{kind}.hoveddokument"),
        security_level=_whole_number(message.get("sikkerhetsnivaa"), f"{kind}.sikkerhetsnivaa"),
        receipt=_receipt(message) if kind == KVITTERING else None,
        related_to_message_id=_text(message, "relatedToMessageId", f"{kind}.relatedToMessageId"),
        status=_status(message) if kind == STATUS else None,
        avtalt=message if kind == AVTALT else None,
        unknown=None if known else {name: root[name] for name in root if name != _HEADER},
        standard=_text(identification, "standard", "documentIdentification.standard"),
    )


def _parse(data: bytes, limits: Limits) -> Any:
    if len(data) > limits.sbd:
        raise LimitExceeded(f"sbd.json: larger than {limits.sbd} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSbd("root: not UTF-8") from error
    depth = 0
    for token in _BRACKET_OR_STRING.finditer(text):
        if token[0] in ("{", "["):
            depth += 1
            if depth > limits.sbd_depth:
                raise LimitExceeded(f"sbd.json: deeper than {limits.sbd_depth} levels")
        elif token[0] in ("}", "]"):
            depth -= 1
    try:
        # Raw control characters inside strings occur in the field: not strict.
        return json.loads(text, strict=False, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadSbd("root: not well-formed JSON") from error


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _object(value: Any, member: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadSbd(f"{member}: {'missing' if value is None else 'not an object'}")
    return value


def _array(value: Any, member: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadSbd(f"{member}: not an array")
    return [_object(item, f"{member}[{index}]") for index, item in enumerate(value)]


def _text(holder: dict[str, Any], name: str, member: str) -> str | None:
    """Null and the empty string count as absent."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadSbd(f"{member}: not a text")
    return value


def _uuid(holder: dict[str, Any], member: str) -> str:
    value = _text(holder, "instanceIdentifier", member)
    if value is None:
        raise BadSbd(f"{member}: missing")
    if not _UUID.fullmatch(value):
        raise BadSbd(f"{member}: not a UUID")
    return value.lower()


def _identifier(header: dict[str, Any], party: str, allow_icd_9908: bool) -> str:
    parties = _array(header.get(party), party)
    if len(parties) != 1:
        raise BadSbd(f"{party}: must hold one party, holds {len(parties)}")
    identifier = _object(parties[0].get("identifier"), f"{party}[0].identifier")
    authority = _text(identifier, "authority", f"{party}[0].identifier.authority")
    if authority != AUTHORITY:
        raise BadSbd(f"{party}[0].identifier.authority: unknown: {authority!r}")
    value = _text(identifier, "value", f"{party}[0].identifier.value") or ""
    found = _IDENTIFIER.fullmatch(value)
    if found is None or found[1] not in (None, "0192", "9908"):
        raise BadSbd(f"{party}[0].identifier.value: not a Norwegian organisation number")
    if found[1] == "9908":
        if not allow_icd_9908:
            raise BadSbd(f"{party}[0].identifier.value: country code 9908 is no longer in use")
        return f"0192:{found[2]}"
    return value if found[1] else f"0192:{value}"


def _scopes_read(header: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The first scope of each type, by type without case and underscores, so that the
    enum spelling (``CONVERSATION_ID``) is found as well."""
    business_scope = _object(header.get("businessScope"), "businessScope")
    scopes: dict[str, dict[str, Any]] = {}
    for scope in _array(business_scope.get("scope"), "businessScope.scope"):
        name = _text(scope, "type", "businessScope.scope.type") or ""
        scopes.setdefault(name.replace("_", "").lower(), scope)
    return scopes


def _reference(scope: dict[str, Any] | None, member: str) -> str | None:
    # The network's API fills instanceIdentifier with noise when a client follows the
    # published page and puts its reference in identifier (dpo-packaging 2.4).
    if scope is None:
        return None
    return _text(scope, "identifier", f"{member}.identifier") or _text(
        scope, "instanceIdentifier", f"{member}.instanceIdentifier"
    )


def _deadline(conversation: dict[str, Any]) -> datetime | None:
    member = "ConversationId.scopeInformation"
    for information in _array(conversation.get("scopeInformation"), member):
        if (value := information.get("expectedResponseDateTime")) is not None:
            return _moment(value, f"{member}.expectedResponseDateTime")
    return None


def _moment(value: Any, member: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadSbd(f"{member}: not a date-time")
    try:
        moment = datetime.fromisoformat(re.sub(r"\[[^\]]*\]$", "", value))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_OSLO)
        moment.astimezone(UTC)  # years 1 and 9999 have no UTC equivalent in all offsets
    except (ValueError, OverflowError) as error:
        raise BadSbd(f"{member}: not a date-time") from error
    return moment


def _whole_number(value: Any, member: str) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadSbd(f"{member}: not a whole number")


def _status(message: dict[str, Any]) -> str:
    value = _text(message, "status", "status.status")
    if value is None:
        raise BadSbd("status.status: missing")
    if value.upper() not in Status.__members__:
        raise BadSbd(f"status.status: unknown value {value[:40]!r}")
    return value.upper()


def _receipt(message: dict[str, Any]) -> AppReceipt:
    member = f"{KVITTERING}.messages"
    declared = (_text(message, "receiptType", f"{KVITTERING}.receiptType") or "").upper()
    # A type that nobody knows counts as filed (dpo-packaging 3.2), though not as plain OK.
    kind = ReceiptType.__members__.get(declared, ReceiptType.WARNING)
    return AppReceipt(
        kind,
        tuple(
            StatusMessage(
                _text(item, "code", f"{member}.code") or "",
                _text(item, "text", f"{member}.text") or "",
            )
            for item in _array(message.get("messages"), member)
        ),
    )
