"""A letter to oneself through the whole network, and every status that it should get.

It goes the way of any letter: PutMessage to our own endpoint, over the network, into our
archive, and the archive's AppReceipt back. The gateway has to be running. The letter is
really filed; its title says that it is a test.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lxml import etree

from gateway.archives.settings import ArchiveSettings
from gateway.archives.soap import SoapArchive
from gateway.engine.masking import masked
from gateway.errors import GatewayError
from gateway.model import (
    CONTENT_REF,
    MELDING_NAMESPACE,
    Direction,
    Envelope,
    Melding,
    Party,
    Status,
)
from gateway.parts import open_books
from gateway.ports import Delivery
from gateway.settings import Settings
from gateway.soap.listener import local_url
from gateway.spool import BytesContent
from gateway.store import messages, overview
from gateway.store.database import Database
from gateway.store.messages import Kind
from gateway.store.tables import message as messages_table

WAY = {
    Status.OPPRETTET: "The gateway took it and has no record of it: is it this database?",
    Status.SENDT: (
        "It did not get to the network: see token-broker and transport of `edu-gateway check`."
    ),
    Status.INNKOMMENDE_MOTTATT: (
        "The network has it, and it did not come back: the scan for malware may take minutes; "
        "another installation may have fetched it; see `edu-gateway messages list`."
    ),
    Status.MOTTATT: "Our own message that we have it did not come back yet: wait, or see above.",
    Status.INNKOMMENDE_LEVERT: (
        "The archive has not taken it: see the lines archive-… of `edu-gateway check`."
    ),
    Status.LEVERT: "Our own message that the archive has it did not come back yet: wait.",
    Status.LEST: (
        "No AppReceipt of the archive came home: see that the archive sends them, and to this "
        "gateway's address. One that never does is tried with --until LEVERT."
    ),
}
"""Every status in its order, and where to look when it does not come."""

_LOST = (Status.FEIL, Status.LEVETID_UTLOPT)
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Seen:
    """A status, with the seconds since the letter was handed in."""

    status: Status
    elapsed: float
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`missing` is empty when the letter went all the way. `problems` are the attempts
    that failed for now and will be repeated; `refusal` is why nothing more can come."""

    conversation_id: str
    missing: tuple[Status, ...] = ()
    problems: tuple[str, ...] = ()
    refusal: str | None = None

    @property
    def arrived(self) -> bool:
        """Whether everything that was waited for has come."""
        return not self.missing and self.refusal is None


def send_echo(
    settings: Settings,
    *,
    now: datetime,
    tell: Callable[[Seen], None],
    until: Status = Status.LEST,
    timeout: float = 300.0,
) -> Outcome:
    """Send a letter to our own organisation and wait until it is home.

    `tell` gets every status as it happens. `until`: an archive that sends no AppReceipts
    gets no further than ``LEVERT``. `timeout` is in seconds. Raises `GatewayError` when
    the letter cannot be handed in.
    """
    conversation_id = str(uuid.uuid4())
    started = time.monotonic()
    refusal = _hand_in(settings, conversation_id, now)
    if refusal is not None:
        return Outcome(conversation_id, tuple(WAY), refusal=refusal)
    books = open_books(settings)
    try:
        watch = _Watch(books.database, conversation_id, started, until)
        for seen in watch.follow(started + timeout):
            tell(seen)
        problems = () if watch.arrived else tuple(watch.problems())
        return Outcome(conversation_id, watch.missing, problems, watch.refusal)
    finally:
        books.database.close()


# --- handing in -----------------------------------------------------------------------


def _hand_in(settings: Settings, conversation_id: str, now: datetime) -> str | None:
    """PutMessage, as our archive would; why it was refused, None when it was not."""
    listen, orgnr = settings.listen, settings.organisation.orgnr
    url = local_url(listen.host, listen.port)
    guarded = listen.username is not None and listen.password is not None
    endpoint = SoapArchive(
        ArchiveSettings(
            name="our own endpoint",
            dialect="p360",
            url=url,
            auth="basic" if guarded else "none",
            username=listen.username if guarded else None,
            password=listen.password if guarded else None,
            timeout=60.0,
        )
    )
    party = Party(orgnr)
    envelope = Envelope(sender=party, receiver=party, conversation_id=conversation_id)
    try:
        answer = endpoint.put_message(Delivery(envelope, echo_letter(now, orgnr)))
    except GatewayError as error:
        return f"{url} did not take it: {error.detail}. Is the gateway running?"
    if answer is None or not answer.type.accepted:
        said = "; ".join(one.text for one in answer.messages) if answer else "no result"
        return f"the gateway refused it: {said}"
    return None


def echo_letter(now: datetime, orgnr: str) -> Melding:
    """A letter that nobody can take for a real one."""
    moment = now.astimezone()
    day, year = moment.date().isoformat(), str(moment.year)
    title = f"TEST: ekkobrev fra edu-gateway {moment:%d.%m.%Y %H:%M}, kan slettes"
    text = (
        f"{title}\r\n\r\nDette brevet er sendt av driftspersonalet for å prøve veien gjennom"
        " eFormidling og tilbake til eget arkiv.\r\nDet har ikke noe innhold og trenger ikke"
        " behandles.\r\n"
    )
    root = etree.Element(f"{{{MELDING_NAMESPACE}}}Melding")
    post = etree.SubElement(root, "journpost")
    _fill(post, jpId=1, jpJaar=year, jpSeknr=1, jpJpostnr=1, jpJdato=day, jpNdoktype="U")
    _fill(post, jpDokdato=day, jpStatus="E", jpInnhold=title, jpAntved=0, jpSaar=year)
    _fill(post, jpSaseknr=1, jpOffinnhold=title)
    for role, name in (("0", "edu-gateway"), ("1", "Eget arkiv")):
        _fill(etree.SubElement(post, "avsmot"), amOrgnr=orgnr, amIhtype=role, amNavn=name)
    document = etree.SubElement(post, "dokument")
    _fill(document, dlRnr=1, dlType="H", dbTittel=title, dbStatus="F", veVariant="P")
    _fill(document, veDokformat="TXT")
    etree.SubElement(etree.SubElement(document, "fil"), "base64").set(CONTENT_REF, "1")
    _fill(document, veFilnavn="ekko.txt", veMimeType="text/plain")
    sak = etree.SubElement(root, "noarksak")
    _fill(sak, saId=f"{year}/1", saSaar=year, saSeknr=1, saDato=day, saTittel=title)
    _fill(sak, saStatus="B", saOfftittel=title)
    return Melding(root, {"1": BytesContent(text.encode())})


def _fill(parent: Any, **values: object) -> None:
    for name, value in values.items():
        etree.SubElement(parent, name).text = str(value)


# --- watching -------------------------------------------------------------------------


@dataclass
class _Watch:
    """The two records of the letter: the one that we sent and the one that we got."""

    database: Database
    conversation_id: str
    started: float
    until: Status
    refusal: str | None = None
    _seen: set[Status] = field(default_factory=set)

    @property
    def missing(self) -> tuple[Status, ...]:
        """What has not come, in the order of the way."""
        wanted = list(WAY)
        wanted = wanted[: wanted.index(self.until) + 1]
        return tuple(one for one in wanted if one not in self._seen)

    @property
    def arrived(self) -> bool:
        return not self.missing

    def follow(self, deadline: float) -> Iterator[Seen]:
        """New statuses as they come, until all are there, none can come, or time is up."""
        while self.missing and self.refusal is None and time.monotonic() < deadline:
            yield from self._new()
            if self.missing:
                time.sleep(_PAUSE)

    def _new(self) -> Iterator[Seen]:
        with self.database.read() as tx:
            letters = messages.select(tx, self._ours, messages_table.c.kind == Kind.LETTER)
            timelines = overview.timelines(tx, [one.row_id for one in letters])
        entries = [one for timeline in timelines.values() for one in timeline]
        for entry in sorted(entries, key=lambda one: one.id):
            if entry.status in self._seen or entry.status is Status.ANNET:
                continue
            self._seen.add(entry.status)
            said = masked(entry.description) if entry.description else None
            if entry.status in _LOST:
                self.refusal = f"{entry.status}: {said or 'no reason is recorded'}"
            yield Seen(entry.status, time.monotonic() - self.started, said)

    def problems(self) -> Iterator[str]:
        """What last went wrong with work that is still to be done."""
        with self.database.read() as tx:
            for one in messages.select(tx, self._ours):
                way = "from" if one.direction is Direction.INCOMING else "to"
                for work in overview.work(tx, one.row_id):
                    if work.problem and work.due is not None:
                        what = one.kind if one.status_value is None else one.status_value
                        yield masked(f"{work.task} {what} ({way} the network): {work.problem}")

    @property
    def _ours(self) -> Any:
        return messages_table.c.conversation_id == self.conversation_id
