"""Trouble on demand: rules that match calls and say what goes wrong with them.

(altinn-transport 5.5)
"""

from __future__ import annotations

import random
import threading
import uuid
from dataclasses import dataclass, field, fields
from typing import Any

from .exchange import Request


@dataclass
class Fault:
    """One rule. What matches, when, and what happens.

    Matching: `call` is the name of a route (``initialize``, ``upload``, ``overview``,
    ``details``, ``list``, ``download``, ``confirm``, ``token``, ``exchange``,
    ``identifier``, ``process``, ``info``, ``virksert``, ``jwk``); `caller` and `resource`
    are compared after the call was handled when they are not known before, so rules that
    name them must act afterwards. The rule skips `after_calls` matching calls, then acts
    `times` times (None: always), each with `probability`.
    """

    call: str | None = None
    method: str | None = None
    caller: str | None = None
    resource: str | None = None
    transfer_id: str | None = None
    after_calls: int = 0
    times: int | None = 1
    probability: float = 1.0

    status: int | None = None
    """Reply with this status, `body`, `content_type` and `headers`; nothing is done."""
    body: str = ""
    code: str | None = None
    """Reply with problem details of this ``BRO-`` code (with `status`)."""
    content_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay_before: float = 0.0
    """Seconds before anything is done."""
    delay_after: float = 0.0
    """Seconds between doing it and the reply."""
    drop: str | None = None
    """``before``: close without doing anything. ``after``: do it, send no reply.
    ``during``: read `cut_after` bytes of the request's body, then close."""
    cut_after: int | None = None
    """Close the reply's body after that many bytes."""
    wrong_length: int = 0
    """Add this to the announced Content-Length."""
    flip_byte: int | None = None
    """Change the reply's byte at this position."""
    trickle: float | None = None
    """Bytes per second of the reply's body."""
    merge: dict[str, Any] | None = None
    """Members laid over the reply's JSON object."""
    extend: list[Any] | None = None
    """Items put before the reply's JSON list."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    seen: int = 0
    acted: int = 0
    handled: int = 0
    """Of the calls that it acted on, those that were done; only the reply was to come."""


FIELDS = frozenset(item.name for item in fields(Fault)) - {"id", "seen", "acted", "handled"}


class Faults:
    """The rules that stand."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, rule: Fault) -> Fault:
        """Put a rule last; the first that matches acts."""
        if rule.drop not in (None, "before", "after", "during"):
            raise ValueError(f"drop: {rule.drop!r}")
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, identifier: str | None = None) -> None:
        """Take away one rule, or all."""
        with self._lock:
            self._rules = [r for r in self._rules if identifier and r.id != identifier]

    def standing(self) -> list[Fault]:
        """All rules."""
        with self._lock:
            return list(self._rules)

    def match(self, request: Request) -> Fault | None:
        """The rule that acts on this call, counted as used."""
        with self._lock:
            for rule in self._rules:
                if not _matches(rule, request):
                    continue
                rule.seen += 1
                if rule.seen <= rule.after_calls:
                    continue
                if rule.times is not None and rule.acted >= rule.times:
                    continue
                if random.random() >= rule.probability:
                    continue
                rule.acted += 1
                return rule
        return None


def _matches(rule: Fault, request: Request) -> bool:
    return (
        (rule.call is None or rule.call == request.call)
        and (rule.method is None or rule.method == request.method)
        and (rule.caller is None or rule.caller == request.caller)
        and (rule.resource is None or rule.resource == request.resource)
        and (rule.transfer_id is None or rule.transfer_id == request.arguments.get("id"))
        and not request.path.startswith("/_sim")
    )
