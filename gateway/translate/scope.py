"""What a mapping line may look at while one message is translated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.model import Loss, Outcome
from gateway.record import Record


class Watch:
    """Notes what a translation did with values, for `gateway.translate.stencil`.

    `derived`: ids that were made, and from which names. `compared`: pairs of values that
    were found to differ.
    """

    __slots__ = ("compared", "derived")

    def __init__(self) -> None:
        self.derived: dict[str, str] = {}
        self.compared: dict[tuple[str, str], None] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a translation needs to know besides the message itself.

    `system` is the archive system's type as configured (``p360``), `now` is aware,
    `sender_orgnr` nine digits.
    """

    conversation_id: str
    system: str
    now: datetime
    sender_orgnr: str
    watch: Watch | None = field(default=None, compare=False, repr=False)


class Scope:
    """The source message, and the place in it where translation is just now.

    `objects` are those that exist once, by their path in the source; `item` is the
    object that the current line belongs to, `path` its path with a slash at the end,
    `position` its 1-based place among its like. `made` has, for each source object by
    identity, what was made of it, by path in the target. `kept` says of groups with a condition
    which objects were translated; `origins`, when wanted, which target object (by its
    path) came from which place in the source.
    """

    __slots__ = (
        "count",
        "facts",
        "filenames",
        "item",
        "kept",
        "made",
        "mappe_id",
        "notes",
        "numbers",
        "objects",
        "origins",
        "path",
        "position",
    )

    def __init__(self, facts: Facts, objects: Mapping[str, Record]) -> None:
        self.facts = facts
        self.objects = objects
        self.item = Record()
        self.path = ""
        self.position = 1
        self.count = 0
        self.numbers: list[str] = []
        self.filenames: list[str | None] = []
        self.mappe_id: str | None = None
        self.notes: list[Loss] = []
        self.made: dict[int, dict[str, Record]] = {}
        self.kept: dict[str, list[bool]] = {}
        self.origins: list[tuple[str, str, Record]] | None = None

    def note(self, name: str, outcome: Outcome, kind: str, reason: str, value: str | None) -> None:
        """Keep what happened to field `name` of the current item."""
        path = name[1:] if name.startswith("/") else self.path + name
        self.notes.append(Loss(path, outcome, kind, reason, None, value))
