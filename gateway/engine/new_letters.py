"""Letters from the archive become rows; those that come at the same time, together.

One transaction and a handful of statements serve all of them (performance 2.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import DataError, IntegrityError

from gateway.engine.ledger import Entry, Ledger
from gateway.engine.together import Together
from gateway.lifecycle import Fact
from gateway.model import Document
from gateway.store import messages
from gateway.store.messages import Duplicate, Message, Namesake

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class NewLetter:
    """What the archive handed us, translated; its files are durable already.

    `message` has no message id and no conversation id yet, only `new_id` to take when the
    archive's own cannot be used.
    """

    message: Message
    new_id: str
    metadata: Document
    files: tuple[Document, ...]


class NewLetters:
    """Stores them and asks for what follows from that."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._together = Together(self._store)

    def store(self, letter: NewLetter) -> None:
        """Returns when it is durable. Raises `Duplicate` when it was stored before."""
        refusal = self._together.do(letter)
        if refusal is not None:
            raise refusal

    def _store(self, letters: Sequence[NewLetter]) -> list[Exception | None]:
        """For each why it was not stored."""
        try:
            with self._ledger.entry() as entry:
                return _add(entry, letters)
        except (IntegrityError, DataError) as error:
            # One of them is at fault, or another node stored the same at this very moment.
            if len(letters) > 1:
                return [refusal for one in letters for refusal in self._store([one])]
            key = letters[0].message.duplicate_key
            return [Duplicate(key) if self._is_known(key) else error]

    def _is_known(self, key: str | None) -> bool:
        with self._ledger.context.database.read() as tx:
            return key is not None and messages.find(tx, duplicate_key=key) is not None


def _add(entry: Entry, letters: Sequence[NewLetter]) -> list[Exception | None]:
    namesakes = messages.namesakes(entry.tx, [letter.message for letter in letters])
    keys = {one.duplicate_key for one in namesakes}
    ids = _Ids(namesakes)
    refusals: list[Exception | None] = []
    begun: list[tuple[NewLetter, Message]] = []
    for letter in letters:
        key = letter.message.duplicate_key
        if key is not None and key in keys:
            refusals.append(Duplicate(key))
            continue
        refusals.append(None)
        keys.add(key)
        begun.append((letter, ids.give(letter)))
    stored = entry.begin_all([message for _, message in begun], Fact.ACCEPTED)
    rows = zip(stored, begun, strict=True)
    messages.add_contents(
        entry.tx, [(message.row_id, letter.metadata, letter.files) for message, (letter, _) in rows]
    )
    return refusals


class _Ids:
    """Message ids and conversation ids (design, decision 7; bestedu-soap 3.7)."""

    def __init__(self, namesakes: Iterable[Namesake]) -> None:
        self._conversations: dict[tuple[str | None, str], str] = {}
        self._taken: set[str] = set()
        for one in namesakes:
            self._note(one)

    def give(self, letter: NewLetter) -> Message:
        """The letter's message with its ids."""
        archive_id = letter.message.archive_conversation_id
        own = (archive_id or "").lower()
        message_id = conversation = letter.new_id
        if archive_id and (known := self._conversations.get((archive_id, letter.message.sender))):
            conversation = known  # the same letter to another receiver
        elif _UUID.fullmatch(own) and own not in self._taken:
            message_id = conversation = own
        given = replace(letter.message, message_id=message_id, conversation_id=conversation)
        self._note(given)
        return given

    def _note(self, one: Namesake | Message) -> None:
        key = one.archive_conversation_id, one.sender
        self._conversations.setdefault(key, one.conversation_id)
        self._taken.add(one.message_id)
