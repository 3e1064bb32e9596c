"""``/api/conversations`` and ``/api/statuses`` with the fields and paging that scripts know.

Sources: registry-and-statuses 6.1, integrasjonspunkt-rest 1 and 7. Reading only. Titles
are not stored here, so ``messageTitle`` is always empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from gateway.engine.masking import masked_values
from gateway.engine.operations import NotDone, Operations
from gateway.model import Direction, Status
from gateway.store.messages import Message
from gateway.store.overview import StatusRow
from gateway.store.search import FAILED, Count, Filter
from gateway.web.times import OSLO, read_time

FINISHED = (Status.LEVERT, Status.LEST, Status.INNKOMMENDE_LEVERT, *FAILED)
_MAX_SIZE = 2000
_MAX_OFFSET = 10_000_000
_COUNTED = 10_000


def blueprint(operations: Operations) -> Blueprint:
    """The API, below ``/api``."""
    api = Blueprint("api", __name__, url_prefix="/api")

    @api.get("/conversations")
    def conversations() -> Response:
        number, size = _paging()
        wanted = _conversation_filter()
        if wanted is None:
            return _page([], Count(0), number, size)
        # Old scripts cannot be told that not everything was looked through.
        page = operations.page(wanted, number=number, size=size, count_to=_COUNTED, everything=True)
        return _page(_conversations(operations, page.messages), page.total, number, size)

    @api.get("/conversations/<int:number>")
    def conversation(number: int) -> Response:
        return _one(lambda: operations.show(number).message)

    @api.get("/conversations/messageId/<message_id>")
    def conversation_of_message(message_id: str) -> Response:
        def find() -> Message:
            found = operations.page(Filter(message_id=message_id), size=1).messages
            if not found:
                abort(404)
            return found[0]

        return _one(find)

    def _one(find: Callable[[], Message]) -> Response:
        try:
            message = find()
        except NotDone:
            abort(404)
        return jsonify(_conversations(operations, [message])[0])

    @api.get("/statuses")
    def statuses() -> Response:
        return _statuses(request.args.get("messageId"))

    @api.get("/statuses/<message_id>")
    def statuses_of_message(message_id: str) -> Response:
        return _statuses(message_id)

    def _statuses(message_id: str | None) -> Response:
        number, size = _paging()
        arguments = request.args
        since, until = _time("fromDateTime"), _time("toDateTime")
        if (since is None) != (until is None):
            abort(400)
        sort = arguments.get("sort", "").split(",")
        found, total = operations.statuses(
            id=arguments.get("id", type=int),
            message_id=message_id,
            conversation_id=arguments.get("conversationId"),
            status=arguments.get("status"),
            since=since,
            until=until,
            number=number,
            size=size,
            newest_first=sort[-1].lower() == "desc",
            count_to=_COUNTED,
        )
        return _page([_status(one, whole=True) for one in found], total, number, size)

    return api


def _paging() -> tuple[int, int]:
    """Page number and size; out of range counts as the nearest that is in range."""
    size = min(max(request.args.get("size", 10, type=int), 1), _MAX_SIZE)
    number = min(max(request.args.get("page", 0, type=int), 0), _MAX_OFFSET // size)
    return number, size


def _conversation_filter() -> Filter | None:
    """What the query asks for; None when nothing can fulfil it."""
    arguments = request.args
    if arguments.get("serviceIdentifier", "DPO").upper() != "DPO" or arguments.get("messageTitle"):
        return None
    states: tuple[Status, ...] = ()
    if (finished := _flag("finished")) is not None:
        states = tuple(one for one in Status if (one in FINISHED) is finished)
    if _flag("pollable"):
        return None  # DPO is told its statuses; nothing is polled
    direction = arguments.get("direction")
    if direction is not None and direction.upper() not in Direction.__members__:
        abort(400)
    return Filter(
        direction=Direction(direction.upper()) if direction else None,
        states=states,
        message_id=arguments.get("messageId"),
        conversation_id=arguments.get("conversationId"),
        sender=_orgnr(arguments.get("senderIdentifier") or arguments.get("sender")),
        receiver=_orgnr(arguments.get("receiverIdentifier") or arguments.get("receiver")),
        reference=arguments.get("messageReference"),
        since=_time("lastUpdateFrom"),
        until=_time("lastUpdateTo", end_of_day=True),
    )


def _orgnr(identifier: str | None) -> str | None:
    """``0192:991825827`` and ``991825827`` are the same."""
    return identifier and identifier.removeprefix("0192:")[:9]


def _flag(name: str) -> bool | None:
    return {"true": True, "false": False}.get(request.args.get(name, "").lower())


def _time(name: str, *, end_of_day: bool = False) -> datetime | None:
    given = request.args.get(name)
    if not given:
        return None
    try:
        return read_time(given, end_of_day=end_of_day)
    except ValueError:
        abort(400)


def _page(content: list[dict[str, Any]], total: Count, number: int, size: int) -> Response:
    """One page as Spring writes it.

    A total that was not counted to its end is at least one more than what was counted, so
    that whoever asks for one page after the other by it comes to the last one.
    """
    at_least = total.number + total.more
    pages = -(-at_least // size)
    sort = {"sorted": True, "unsorted": False, "empty": False}
    return jsonify(
        content=content,
        pageable={
            "sort": sort,
            "pageNumber": number,
            "pageSize": size,
            "offset": number * size,
            "paged": True,
            "unpaged": False,
        },
        totalElements=at_least,
        totalIsAtLeast=total.more,
        totalPages=pages,
        last=number + 1 >= pages,
        first=number == 0,
        sort=sort,
        numberOfElements=len(content),
        size=size,
        number=number,
        empty=not content,
    )


def _conversations(operations: Operations, messages: Sequence[Message]) -> list[dict[str, Any]]:
    timelines = operations.timelines([one.row_id for one in messages])
    return [_conversation(one, timelines[one.row_id]) for one in messages]


def _conversation(message: Message, timeline: Sequence[StatusRow]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": message.id,
        "conversationId": message.conversation_id,
        "archiveConversationId": message.archive_conversation_id,
        "messageId": message.message_id,
        "sender": f"0192:{message.sender}",
        "senderIdentifier": message.sender,
        "receiver": f"0192:{message.receiver}",
        "receiverIdentifier": message.receiver,
        "processIdentifier": message.process,
        "documentIdentifier": message.document_type,
        "messageReference": message.reference or message.conversation_id,
        "messageTitle": "",
        "lastUpdate": _written(message.updated or message.created),
        "finished": message.state in FINISHED,
        "expiry": message.expires and _written(message.expires),
        "direction": message.direction.value,
        "serviceIdentifier": "DPO",
        "messageStatuses": [_status(one, whole=False) for one in timeline],
    }
    return {name: value for name, value in masked_values(fields).items() if value is not None}


def _status(row: StatusRow, *, whole: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": row.id,
        "lastUpdate": _written(row.at),
        "status": row.status.value,
        "description": row.description,
    }
    if whole:
        fields |= {
            "convId": row.message,
            "conversationId": row.conversation_id,
            "messageId": row.message_id,
        }
    return {name: value for name, value in masked_values(fields).items() if value is not None}


def _written(at: datetime) -> str:
    return at.astimezone(OSLO).isoformat(timespec="milliseconds")
