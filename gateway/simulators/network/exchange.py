"""One request and its reply inside the simulator, and the ways a reply can be refused."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

CHUNK = 1 << 16


class Disconnected(Exception):
    """The client went away in the middle of its body."""


class Dropped(Exception):
    """The simulator closes the connection without a reply."""


@dataclass
class FilePart:
    """Bytes of a file from `start`, `length` of them."""

    path: Path
    start: int
    length: int


@dataclass
class Reply:
    """What is sent back. `body` is bytes or a piece of a file."""

    status: int
    body: bytes | FilePart = b""
    content_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Reply:
        """A reply of JSON."""
        return cls(status, json.dumps(value, ensure_ascii=False).encode())

    @classmethod
    def text(cls, value: str, status: int = 200, content_type: str = "text/plain") -> Reply:
        """A reply of text."""
        return cls(status, value.encode(), content_type)

    @classmethod
    def empty(cls, status: int) -> Reply:
        """A reply without a body."""
        return cls(status, b"", None)


class Refused(Exception):
    """A handler says no; `reply` is the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"HTTP {reply.status}")
        self.reply = reply


def problem(
    status: int,
    title: str,
    detail: str = "",
    *,
    code: str | None = None,
    errors: Mapping[str, list[str]] | None = None,
) -> Refused:
    """Problem details as the broker gives them: `code` for business rules, `errors` for
    model validation, served as ``application/json`` (altinn-transport 1.3.3)."""
    body: dict[str, Any] = {"type": f"urn:simulator:problem:{status}", "title": title}
    body["status"] = status
    if detail:
        body["detail"] = detail
    if code is not None:
        body["code"] = code
    if errors is not None:
        body["errors"] = errors
    body["traceId"] = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-00"
    return Refused(Reply.json(body, status))


@dataclass
class Request:
    """An incoming request. `read` gives the next piece of the body, empty at its end."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    read: Callable[[int], bytes]
    length: int | None
    arguments: dict[str, str] = field(default_factory=dict)
    call: str = ""
    caller: str | None = None
    client_id: str | None = None
    resource: str | None = None

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of a repeated one, the first."""
        parsed = parse_qs(self.query_string, keep_blank_values=True)
        return {name: values[0] for name, values in parsed.items()}

    def body(self, limit: int = 1 << 20) -> bytes:
        """The whole body when it is small; `problem` 413 otherwise."""
        parts = bytearray()
        while piece := self.read(CHUNK):
            parts += piece
            if len(parts) > limit:
                raise problem(413, "Payload Too Large")
        return bytes(parts)

    def json(self) -> Any:
        """The body as JSON; `problem` 400 when it is not."""
        try:
            return json.loads(self.body())
        except ValueError as error:
            raise problem(
                400, "Bad Request", errors={"$": ["The body is not valid JSON."]}
            ) from error
