"""The one place where a fact changes a message.

An `Entry` is a transaction: it stores messages, writes their timelines and carries out
the actions of `gateway.lifecycle` that are themselves rows (jobs, statuses, receipts).
What must happen together is one entry, so a crash leaves all of it or nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from sqlalchemy.engine import Connection

from gateway.engine.context import Books
from gateway.engine.masking import masked
from gateway.lifecycle import Action, Fact, Sort, Step, derived_state, since_retry, step
from gateway.model import OK, AppReceipt, Direction, Event, ReceiptType, Status, StatusMessage
from gateway.store import jobs, messages
from gateway.store.jobs import Task
from gateway.store.messages import Kind, Message
from gateway.store.tables import message as messages_table

log = logging.getLogger("gateway.status")

RECEIPT_PROCESS = "urn:no:difi:profile:arkivmelding:response:ver1.0"
AVTALT_RESPONSE_PROCESS = "urn:no:difi:profile:avtalt:response:ver1.0"
RECEIPT_TYPE = "urn:no:difi:arkivmelding:xsd::arkivmelding_kvittering"
STATUS_TYPE = "urn:no:difi:eformidling:xsd::status"
LETTER_TYPE = "urn:no:difi:arkivmelding:xsd::arkivmelding"

_SORTS = {
    (Kind.LETTER, Direction.OUTGOING): Sort.LETTER_OUT,
    (Kind.LETTER, Direction.INCOMING): Sort.LETTER_IN,
    (Kind.RECEIPT, Direction.OUTGOING): Sort.RECEIPT_OUT,
    (Kind.RECEIPT, Direction.INCOMING): Sort.RECEIPT_IN,
    (Kind.NOTICE, Direction.INCOMING): Sort.NOTICE,
    (Kind.STATUS, Direction.OUTGOING): Sort.STATUS_OUT,
    (Kind.OTHER, Direction.OUTGOING): Sort.OTHER_OUT,
    (Kind.OTHER, Direction.INCOMING): Sort.OTHER_IN,
}


class News:
    """Wakes somebody who has nothing to do when there is something for him."""

    def __init__(self) -> None:
        lock = threading.Lock()
        self._waiting = {task: threading.Condition(lock) for task in Task}
        self._editions = dict.fromkeys(Task, 0)

    def publish(self, tasks: Iterable[Task]) -> None:
        """For each of these there is one more job to be done now."""
        for task in tasks:
            with self._waiting[task]:
                self._editions[task] += 1
                self._waiting[task].notify()

    def wake_all(self) -> None:
        """Let everybody look up, whether there is something to do or not."""
        for task in Task:
            with self._waiting[task]:
                self._editions[task] += 1
                self._waiting[task].notify_all()

    def edition(self, task: Task) -> int:
        """Grows with every job of `task`; note it before looking for work."""
        return self._editions[task]

    def wait(self, task: Task, edition: int, seconds: float) -> None:
        """Return when there is something newer than `edition`, or after `seconds`."""
        with self._waiting[task]:
            self._waiting[task].wait_for(lambda: self._editions[task] > edition, seconds)


class Ledger:
    """Opens entries, and wakes the workers when one has become durable."""

    def __init__(self, context: Books) -> None:
        self.context = context
        self.news = News()

    @contextmanager
    def entry(self) -> Iterator[Entry]:
        """One transaction; observers hear of its events after the commit."""
        with self.context.database.write() as tx:
            entry = Entry(self.context, tx, self.context.now())
            yield entry
        self.news.publish(entry.due)
        for message, event in entry.happened:
            log.info(
                "%s %s message_id=%s conversation_id=%s sender=%s receiver=%s",
                message.direction,
                event.status,
                message.message_id,
                message.conversation_id,
                message.sender,
                message.receiver,
            )
            for observe in self.context.observers:
                observe(message, event)


class Entry:
    """One transaction on messages."""

    def __init__(self, context: Books, tx: Connection, now: datetime) -> None:
        self.context = context
        self.tx = tx
        self.now = now
        self.happened: list[tuple[Message, Event]] = []
        self.due: list[Task] = []
        """What there is to do as soon as this is durable."""

    def begin(
        self,
        new: Message,
        fact: Fact,
        description: str | None = None,
        answer: AppReceipt | None = None,
    ) -> Message:
        """Store a message with the fact that it begins with, as `record` does.

        The message with its id. Raises `messages.Duplicate`; the entry lives on.
        """
        stored = messages.add(self.tx, self._begun(new, fact))
        self._follow_all([stored], fact, description, answer)
        return stored

    def begin_all(self, new: Sequence[Message], fact: Fact) -> list[Message]:
        """As `begin`, for messages whose ids differ; any duplicate loses the transaction."""
        stored = messages.add_all(self.tx, [self._begun(one, fact) for one in new])
        self._follow_all(stored, fact)
        return stored

    def _begun(self, new: Message, fact: Fact) -> Message:
        status = _consequence(new, fact).status
        if status is None:
            return new
        return replace(new, state=derived_state([status]), updated=self.now)

    def _follow_all(
        self,
        stored: Sequence[Message],
        fact: Fact,
        description: str | None = None,
        answer: AppReceipt | None = None,
    ) -> None:
        """Begin the timelines of messages, and do what follows."""
        begun = [
            (one, Event(self.now, status, description))
            for one in stored
            if (status := _consequence(one, fact).status) is not None
        ]
        messages.begin_timelines(self.tx, [(one.row_id, event) for one, event in begun])
        self.happened += begun
        self._ask_for(stored, fact)
        for one in stored:
            self._follow(one, fact, description, answer)

    def record(
        self,
        message: Message,
        fact: Fact,
        description: str | None = None,
        answer: AppReceipt | None = None,
    ) -> None:
        """Write what `fact` means and do what follows from it.

        `answer` is what the other side is told when the fact calls for a receipt.
        """
        consequence = _consequence(message, fact)
        if consequence.status is not None:
            messages.lock(self.tx, message.row_id)
            event = Event(self.now, consequence.status, description)
            known = [*messages.statuses(self.tx, message.row_id), event.status]
            state = derived_state(since_retry(known))
            messages.add_event(self.tx, message.row_id, event, state=state)
            self.happened.append((message, event))
        self._ask_for([message], fact)
        self._follow(message, fact, description, answer)

    def _ask_for(self, affected: Iterable[Message], fact: Fact) -> None:
        """Write down the jobs that follow for these messages."""
        asked = []
        for message in affected:
            for action in _consequence(message, fact).actions:
                match action:
                    case Action.SEND:
                        asked.append((message.row_id, Task.SEND, self.now))
                    case Action.DELIVER:
                        asked.append((message.row_id, Task.DELIVER, self.now))
                    case Action.WATCH_DEADLINE if message.expires is not None:
                        due = message.expires + self.context.policy.deadline_grace
                        asked.append((message.row_id, Task.EXPIRE, due))
        jobs.add_all(self.tx, asked)
        self.due += [task for _, task, due in asked if due <= self.now]

    def _follow(
        self,
        message: Message,
        fact: Fact,
        description: str | None,
        answer: AppReceipt | None,
    ) -> None:
        for action in _consequence(message, fact).actions:
            self._carry_out(action, message, description, answer)
        if (
            fact is Fact.FILED
            and message.kind is Kind.LETTER
            and not self.context.policy.acting(message.receiver).archive_sends_receipts
        ):
            self._carry_out(Action.SEND_KVITTERING, message, description, OK)

    def note(self, message: Message, description: str) -> None:
        """Write into the timeline what changes nothing, such as a person's doing."""
        event = Event(self.now, Status.ANNET, description)
        messages.add_event(self.tx, message.row_id, event)
        self.happened.append((message, event))

    def _carry_out(
        self, action: Action, message: Message, cause: str | None, answer: AppReceipt | None
    ) -> None:
        match action:
            case Action.WATCH_RECEIPT:
                self._watch_receipt(message, answer)
            case Action.STATUS_MOTTATT:
                self.send_status(message, Status.MOTTATT)
            case Action.STATUS_LEVERT:
                self.send_status(message, Status.LEVERT)
            case Action.SEND_KVITTERING:
                messages.lock(self.tx, message.row_id)
                if not self.answered(message):
                    self.send_receipt(message, answer or _error(cause))
            case Action.TELL_ARCHIVE:
                messages.lock(self.tx, message.row_id)
                if not self.answered(message):
                    self._tell_archive(message, answer or _error(cause))
            case Action.ALERT:
                log.error(
                    "message_id=%s needs a person: %s", message.message_id, masked(cause or "")
                )

    def _watch_receipt(self, letter: Message, answer: AppReceipt | None) -> None:
        policy = self.context.policy
        ours = policy.acting(letter.receiver)
        if not ours.archive_sends_receipts or policy.receipt_wait is None:
            return
        if self.answered(letter) is None:
            messages.keep_answer(self.tx, letter.row_id, answer or OK)
            jobs.add(self.tx, letter.row_id, Task.RECEIPT, self.now + policy.receipt_wait)

    def hurry(self, message: Message, task: Task) -> None:
        """Let what waits for its next attempt be tried now."""
        jobs.wake(self.tx, message.row_id, task, self.now)
        self.due.append(task)

    def answered(self, letter: Message) -> AppReceipt | None:
        """The receipt that this letter has got, from its receiver or from us."""
        wanted = (
            Direction.OUTGOING if letter.direction is Direction.INCOMING else Direction.INCOMING
        )
        columns = messages_table.c
        found = messages.find(
            self.tx,
            columns.related_to == letter.message_id,
            columns.direction == wanted,
            columns.kind.in_((Kind.RECEIPT, Kind.NOTICE)),
            columns.sender == letter.receiver,
            columns.receiver == letter.sender,
        )
        return None if found is None else found.receipt

    def send_status(self, original: Message, value: Status) -> None:
        """A status SBD to the sender of `original`, with its ids and channel."""
        self._store_and_send(
            self._reply(
                original,
                kind=Kind.STATUS,
                message_id=original.message_id,
                process=_status_process(original),
                document_type=STATUS_TYPE,
                status_value=value,
            )
        )

    def send_receipt(
        self, letter: Message, receipt: AppReceipt, duplicate_key: str | None = None
    ) -> None:
        """An arkivmelding_kvittering for `letter`. Raises `messages.Duplicate`."""
        self._store_and_send(
            self._reply(
                letter,
                kind=Kind.RECEIPT,
                message_id=self.context.new_id(),
                process=RECEIPT_PROCESS,
                document_type=RECEIPT_TYPE,
                receipt=receipt,
                duplicate_key=duplicate_key,
            )
        )

    def _store_and_send(self, new: Message) -> None:
        self.begin(new, Fact.ACCEPTED)

    def _reply(self, original: Message, **columns: object) -> Message:
        """A message back to the sender of `original` (altinn-transport 4.3, R2-R4)."""
        channel = original.channel
        if channel and channel != self.context.policy.channel:
            reference = channel
        else:
            reference = original.transport_ref or self.context.new_id()
        reply = Message(
            direction=Direction.OUTGOING,
            kind=Kind.STATUS,
            message_id=original.message_id,
            conversation_id=original.conversation_id,
            archive_conversation_id=original.archive_conversation_id,
            sender=original.receiver,
            receiver=original.sender,
            created=self.now,
            related_to=original.message_id,
            channel=channel,
            channel_id=original.channel_id,
            transport_ref=reference,
            expires=self.now + self.context.policy.time_to_live,
        )
        return replace(reply, **columns)  # type: ignore[arg-type]

    def _tell_archive(self, letter: Message, receipt: AppReceipt) -> None:
        """As if the receiver had sent it: parties swapped, the archive's own id."""
        self.begin(
            Message(
                direction=Direction.INCOMING,
                kind=Kind.NOTICE,
                message_id=self.context.new_id(),
                conversation_id=letter.conversation_id,
                archive_conversation_id=letter.archive_conversation_id,
                sender=letter.receiver,
                receiver=letter.sender,
                sender_ref=letter.receiver_ref,
                receiver_ref=letter.sender_ref,
                created=self.now,
                related_to=letter.message_id,
                receipt=receipt,
            ),
            Fact.ACCEPTED,
        )


def _consequence(message: Message, fact: Fact) -> Step:
    return step(_SORTS[message.kind, message.direction], fact)


def _status_process(original: Message) -> str | None:
    """The process of a status, by the original's type (registry-and-statuses 3.4)."""
    if original.kind is not Kind.OTHER:
        return RECEIPT_PROCESS
    avtalt = (original.document_type or "").endswith("::avtalt")
    return AVTALT_RESPONSE_PROCESS if avtalt else None


def _error(cause: str | None) -> AppReceipt:
    text = cause or "Meldingen kunne ikke behandles"
    return AppReceipt(ReceiptType.ERROR, (StatusMessage("Unknown", text),))
