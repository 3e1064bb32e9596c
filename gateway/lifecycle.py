"""What each fact means for each kind of message: the whole status logic as one table.

Pure: a message's kind and a fact go in, a status and actions come out. Who learns facts
and carries actions out is `gateway.engine`.

The rules are decisions 7-12 of the design; sources are registry-and-statuses 2-5 and
bestedu-soap 5.7-5.14. Three of them shape the table:

* every outgoing letter ends in exactly one AppReceipt to our archive: the receiver's
  kvittering, or one that we make (`Action.TELL_ARCHIVE`);
* every incoming letter ends in exactly one kvittering to its sender: the archive's own
  AppReceipt, or one that we make (`Action.SEND_KVITTERING`);
* nothing answers a receipt with a receipt, and a status has no statuses of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from gateway.model import Status


class Sort(StrEnum):
    """The sorts of message that have a life of their own."""

    LETTER_OUT = "letter out"
    LETTER_IN = "letter in"
    RECEIPT_OUT = "receipt out"
    RECEIPT_IN = "receipt in"
    NOTICE = "notice"
    STATUS_OUT = "status out"
    OTHER_OUT = "other out"
    OTHER_IN = "other in"


class Fact(StrEnum):
    """Something that we have learnt for certain."""

    ACCEPTED = "durably stored, from the archive or from ourselves"
    SENT = "the network has the package"
    REPORTED_MOTTATT = "the receiver's system says that it has it"
    REPORTED_LEVERT = "the receiver's system says that its archive has it"
    KVITTERING_ACCEPTED = "the receiving archive has filed it"
    KVITTERING_REFUSED = "the receiving archive has refused it"
    UNSENDABLE = "it can never be sent"
    ARRIVED = "durably stored, from the network"
    FILED = "our archive has taken it"
    REJECTED = "our archive has refused it"
    RETRIED = "a person asked for another attempt"
    PICKED_UP = "a person or a system has fetched it here"
    UNDELIVERABLE = "it can never be handed to our archive"
    EXPIRED = "its deadline has passed"
    RECEIPT_OVERDUE = "our archive took it and its own AppReceipt never came"
    RECEIPT_LATE = "our archive's own AppReceipt came when its sender had been answered"
    ACCEPTANCE_REVOKED = "our archive refuses it after its sender was told that it is filed"


class Action(StrEnum):
    """What has to be done because of a fact, in the same transaction or as a job."""

    SEND = "hand it to the network"
    DELIVER = "hand it to the archive"
    WATCH_DEADLINE = "see at its deadline whether it has arrived"
    WATCH_RECEIPT = "see later whether our archive has sent its own AppReceipt"
    STATUS_MOTTATT = "send status MOTTATT to its sender"
    STATUS_LEVERT = "send status LEVERT to its sender"
    SEND_KVITTERING = "send its sender an arkivmelding_kvittering, unless one was sent"
    TELL_ARCHIVE = "give our archive an AppReceipt ERROR, unless it has one"
    ALERT = "call a person"


@dataclass(frozen=True, slots=True)
class Step:
    """The consequence of a fact: an entry in the timeline, and what to do."""

    status: Status | None = None
    actions: tuple[Action, ...] = ()


_REPORTS = {
    Fact.SENT: Step(Status.SENDT),
    Fact.REPORTED_MOTTATT: Step(Status.MOTTATT),
    Fact.REPORTED_LEVERT: Step(Status.LEVERT),
}

TABLE: Mapping[Sort, Mapping[Fact, Step]] = MappingProxyType(
    {
        Sort.LETTER_OUT: {  # when it failed its archive was told: sent again, it is new
            Fact.ACCEPTED: Step(Status.OPPRETTET, (Action.SEND, Action.WATCH_DEADLINE)),
            **_REPORTS,
            Fact.KVITTERING_ACCEPTED: Step(Status.LEST),
            Fact.KVITTERING_REFUSED: Step(Status.FEIL),
            Fact.UNSENDABLE: Step(Status.FEIL, (Action.TELL_ARCHIVE, Action.ALERT)),
            Fact.EXPIRED: Step(Status.LEVETID_UTLOPT, (Action.TELL_ARCHIVE, Action.ALERT)),
        },
        Sort.LETTER_IN: {
            Fact.RETRIED: Step(Status.INNKOMMENDE_MOTTATT),
            Fact.ARRIVED: Step(Status.INNKOMMENDE_MOTTATT, (Action.STATUS_MOTTATT, Action.DELIVER)),
            Fact.FILED: Step(
                Status.INNKOMMENDE_LEVERT, (Action.STATUS_LEVERT, Action.WATCH_RECEIPT)
            ),
            # What it answered when it took the letter is then its word (decision 8).
            Fact.RECEIPT_OVERDUE: Step(Status.ANNET, (Action.SEND_KVITTERING,)),
            Fact.RECEIPT_LATE: Step(Status.ANNET),
            Fact.ACCEPTANCE_REVOKED: Step(Status.FEIL, (Action.ALERT,)),
            Fact.REJECTED: Step(Status.FEIL, (Action.SEND_KVITTERING, Action.ALERT)),
            Fact.UNDELIVERABLE: Step(Status.FEIL, (Action.SEND_KVITTERING, Action.ALERT)),
            Fact.EXPIRED: Step(Status.LEVETID_UTLOPT, (Action.SEND_KVITTERING, Action.ALERT)),
        },
        Sort.RECEIPT_OUT: {
            Fact.RETRIED: Step(Status.OPPRETTET),
            Fact.ACCEPTED: Step(Status.OPPRETTET, (Action.SEND,)),
            **_REPORTS,
            Fact.UNSENDABLE: Step(Status.FEIL, (Action.ALERT,)),
            Fact.EXPIRED: Step(Status.LEVETID_UTLOPT, (Action.ALERT,)),
        },
        Sort.RECEIPT_IN: {
            Fact.RETRIED: Step(Status.INNKOMMENDE_MOTTATT),
            Fact.ARRIVED: Step(Status.INNKOMMENDE_MOTTATT, (Action.STATUS_MOTTATT, Action.DELIVER)),
            Fact.FILED: Step(Status.INNKOMMENDE_LEVERT, (Action.STATUS_LEVERT,)),
            Fact.REJECTED: Step(Status.FEIL, (Action.ALERT,)),
            Fact.UNDELIVERABLE: Step(Status.FEIL, (Action.ALERT,)),
            # A late receipt is evidence and is still delivered (design, decision 10).
            Fact.EXPIRED: Step(),
        },
        Sort.NOTICE: {
            Fact.RETRIED: Step(Status.OPPRETTET),
            Fact.ACCEPTED: Step(Status.OPPRETTET, (Action.DELIVER,)),
            Fact.FILED: Step(Status.INNKOMMENDE_LEVERT),
            Fact.REJECTED: Step(Status.FEIL, (Action.ALERT,)),
            Fact.UNDELIVERABLE: Step(Status.FEIL, (Action.ALERT,)),
            Fact.EXPIRED: Step(),
        },
        Sort.STATUS_OUT: {
            Fact.RETRIED: Step(Status.OPPRETTET),
            Fact.ACCEPTED: Step(Status.OPPRETTET, (Action.SEND,)),
            Fact.SENT: Step(Status.SENDT),
            Fact.UNSENDABLE: Step(Status.FEIL),
            Fact.EXPIRED: Step(Status.LEVETID_UTLOPT),
        },
        # avtalt and types that we do not know: kept for pick-up, never forced into EDU.
        Sort.OTHER_OUT: {
            Fact.RETRIED: Step(Status.OPPRETTET),
            Fact.ACCEPTED: Step(Status.OPPRETTET, (Action.SEND,)),
            **_REPORTS,
            Fact.UNSENDABLE: Step(Status.FEIL, (Action.ALERT,)),
            Fact.EXPIRED: Step(Status.LEVETID_UTLOPT, (Action.ALERT,)),
        },
        Sort.OTHER_IN: {
            Fact.ARRIVED: Step(Status.INNKOMMENDE_MOTTATT, (Action.STATUS_MOTTATT,)),
            Fact.PICKED_UP: Step(Status.INNKOMMENDE_LEVERT, (Action.STATUS_LEVERT,)),
        },
    }
)


def step(sort: Sort, fact: Fact) -> Step:
    """What `fact` means for a message of `sort`; nothing when the table is silent."""
    return TABLE[sort].get(fact, Step())


_STRENGTH = (
    Status.FEIL,
    Status.LEST,
    Status.LEVERT,
    Status.INNKOMMENDE_LEVERT,
    Status.LEVETID_UTLOPT,
    Status.MOTTATT,
    Status.SENDT,
    Status.INNKOMMENDE_MOTTATT,
    Status.OPPRETTET,
    Status.ANNET,
)
_BEGINNINGS = (Status.OPPRETTET, Status.INNKOMMENDE_MOTTATT)


def since_retry(statuses: Sequence[Status]) -> Sequence[Status]:
    """The part of a timeline that counts: from where a person last began it anew."""
    begun = [place for place, status in enumerate(statuses) if status in _BEGINNINGS]
    return statuses[begun[-1] :] if begun else statuses


def derived_state(statuses: Iterable[Status]) -> Status:
    """The one status that a timeline amounts to, whatever the order of arrival.

    Precedence of registry-and-statuses 2.4: ``LEVERT`` is stronger evidence than an
    expiry, and a refusal after delivery is normal.
    """
    return min(statuses, key=_STRENGTH.index, default=Status.OPPRETTET)


ARRIVED_STATES = frozenset({Status.LEVERT, Status.LEST, Status.FEIL, Status.LEVETID_UTLOPT})
"""States in which the deadline of an outgoing letter no longer matters."""

FIRST_RETRY = timedelta(seconds=20)
LONGEST_RETRY = timedelta(hours=1)


def retry_after(failures: int, first: timedelta = FIRST_RETRY, spread: float = 0.0) -> timedelta:
    """How long to wait after the `failures`-th failure: 20 s, times three, at most 1 h.

    The predecessor's schedule (registry-and-statuses 5.2); it ends at the deadline.
    `spread`, between 0 and 1, is a random number that makes the wait up to a tenth
    longer, so that what failed together is not tried together.
    """
    factor: int = 3 ** min(failures - 1, 8)
    return min(first * factor, LONGEST_RETRY) * (1 + spread / 10)


OUTAGES_UNTIL_OPEN = 3
LONGEST_OPEN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Circuit:
    """A neighbour that was not there: an archive, or the way to a receiver.

    `outages` in a row since `since`. Closed until there are enough of them, then open
    until `probe_at`; from then on half open: one message tries, the others wait.
    """

    outages: int
    since: datetime
    probe_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether messages wait, but for the one that tries."""
        return self.probe_at is not None


def after_outage(
    known: Circuit | None,
    now: datetime,
    *,
    probing: bool,
    first: timedelta = FIRST_RETRY,
    asked: timedelta = timedelta(),
    spread: float = 0.0,
) -> Circuit:
    """What an attempt makes of a circuit when the neighbour was not there.

    While it is open only the one that tries (`probing`) counts: others had begun before.
    The pauses between two tries double, to 5 minutes, but are as long as the neighbour
    `asked` for; `spread` as in `retry_after`.
    """
    if known is not None and known.open and not probing:
        return known
    if known is None or (not known.open and now - known.since > LONGEST_RETRY):
        known = Circuit(0, now)
    outages = known.outages + 1
    if outages < OUTAGES_UNTIL_OPEN:
        return Circuit(outages, known.since)
    factor: int = 2 ** min(outages - OUTAGES_UNTIL_OPEN, 8)
    pause = max(min(first * factor, LONGEST_OPEN) * (1 + spread / 10), asked)
    return Circuit(outages, known.since, now + pause)


def may_try(circuit: Circuit, now: datetime) -> bool:
    """Whether a message may go to the neighbour now, unless another one tries already."""
    return circuit.probe_at is None or circuit.probe_at <= now


def page() -> str:
    """The table as a page for people, in Markdown."""
    lines = [
        "# What each fact means",
        "",
        "This page is made from the table in `gateway/lifecycle.py` by",
        "`python -m gateway.lifecycle`; a test keeps it true. A fact that is not listed for a",
        "sort of message changes nothing.",
    ]
    for sort, facts in TABLE.items():
        lines += [
            "",
            f"## {sort.capitalize()}",
            "",
            "| fact | status | what is done |",
            "|---|---|---|",
        ]
        for fact, consequence in facts.items():
            status = f"`{consequence.status}`" if consequence.status else "–"
            done = "; ".join(consequence.actions) or "–"
            lines.append(f"| {fact} | {status} | {done} |")
    strength = ", ".join(f"`{one}`" for one in _STRENGTH)
    lines += [
        "",
        "## The state of a message",
        "",
        "The strongest status of its timeline, whatever the order of arrival:",
        f"{strength}.",
        "",
        "## Retries",
        "",
        "What failed for the moment is tried again after 20 s, then three times as long each",
        "time, at most an hour, until the deadline.",
        "",
        f"When an archive, or the way to a receiver, was not there {OUTAGES_UNTIL_OPEN} times in a",
        "row, everything else for it waits. One message at a time tries: after 20 s, then twice",
        f"as long each time, at most {LONGEST_OPEN.seconds // 60} minutes. When one gets through,",
        "all go at once. Deadlines count meanwhile.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
