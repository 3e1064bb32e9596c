"""The pages that people look at. Everything works without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import (
    Blueprint,
    Response,
    abort,
    g,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from gateway import __version__
from gateway.engine.health import VITAL, Finding, Health, Subject
from gateway.engine.masking import masked
from gateway.engine.operations import NotDone, Obstacle, Operations
from gateway.model import Direction, Status
from gateway.store.messages import Kind, Message, Role
from gateway.store.search import CONVERSATIONS, FAILED, LOOKED_THROUGH, Filter
from gateway.web.times import read_time, show_elapsed, show_size, show_time

PAGE_SIZE = 20
_LAST_PAGE = 100_000

_KINDS = {
    Kind.LETTER: "Brev",
    Kind.RECEIPT: "Kvittering",
    Kind.STATUS: "Status",
    Kind.NOTICE: "Melding til arkivet",
    Kind.OTHER: "Annet",
}
_DIRECTIONS = {Direction.OUTGOING: "Utgående", Direction.INCOMING: "Innkommende"}
_OUTCOMES = {
    "lost": "tapt",
    "changed": "endret",
    "defaulted": "fylt ut",
    "repaired": "reparert",
}
_ROLES = {
    Role.METADATA: "arkivmelding",
    Role.FILE: "dokument",
    Role.BUSINESS: "innhold",
    Role.PACKAGE: "pakke",
}
_TASKS = {
    "send": "Sending",
    "deliver": "Avlevering",
    "expire": "Kontroll av frist",
    "receipt": "Venter på arkivets kvittering",
}
_SUBJECTS = {
    "database": "Database",
    "disk": "Disk",
    "clock": "Klokke",
    "certificate": "Sertifikat",
    "published certificate": "Publisert sertifikat",
    "revocation lists": "Tilbakekallingslister",
    "left for other installations": "Overlatt til andre installasjoner",
    "archive": "Arkiv",
    "network": "Nettverk",
    "receivers": "Mottakere som ikke kan nås",
    "oldest waiting": "Eldste ventende",
    "dead letters": "Krever tiltak",
    "waiting for pick-up": "Til henting",
    "quarantine": "Karantene",
}
_OBSTACLES = {
    Obstacle.UNKNOWN: "Meldingen finnes ikke.",
    Obstacle.AMBIGUOUS: "Flere meldinger har denne ID-en.",
    Obstacle.BUSY: "Den behandles akkurat nå. Prøv igjen om litt.",
    Obstacle.NOTHING_TO_RETRY: "Det er ikke noe å prøve på nytt.",
    Obstacle.RESEND_INSTEAD: "Arkivet vet at den feilet. Send den på nytt i stedet.",
    Obstacle.SENDER_WAS_TOLD: (
        "Avsenderen har fått beskjed om at den feilet. Kryss av for å prøve likevel."
    ),
    Obstacle.NOT_OURS_TO_SEND: "Bare egne utgående brev kan sendes på nytt.",
    Obstacle.NOT_FAILED: "Den har ikke feilet og kan komme fram to ganger. Kryss av for å sende.",
    Obstacle.REASON_MISSING: "Skriv en begrunnelse.",
    Obstacle.NOT_FOR_PICKUP: "Den er ikke til henting.",
    Obstacle.NOT_SERVED: "Vi sender ikke for den organisasjonen.",
}
_DONE = {
    "retry": "Nytt forsøk er bestilt.",
    "resend": "Sendt på nytt: dette er den nye meldingen.",
    "handled": "Merket som håndtert.",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the search form holds, as it was written."""

    q: str = ""
    direction: str = ""
    since: str = ""
    until: str = ""
    status: str = ""
    show: str = ""
    whole: bool = False
    """Look through everything, however long it takes."""

    def query(self, **changed: object) -> str:
        """The form as a query string; what is empty is left out."""
        values = {
            "q": self.q,
            "direction": self.direction,
            "from": self.since,
            "to": self.until,
            "status": self.status,
            "show": self.show,
            "all": "yes" if self.whole else "",
            **changed,
        }
        return urlencode({name: value for name, value in values.items() if value})

    def filter(self) -> Filter:
        """What it asks for; unreadable values count as empty."""
        return Filter(
            text=self.q,
            direction=Direction.__members__.get(self.direction),
            kinds=(Kind.LETTER, Kind.OTHER) if self.show == "letters" else CONVERSATIONS,
            states=(Status[self.status],) if self.status in Status.__members__ else (),
            since=_date(self.since),
            until=_date(self.until, end_of_day=True),
            attention=self.show == "attention",
            waiting=self.show == "waiting",
        )


def blueprint(operations: Operations, health: Health) -> Blueprint:
    """The overview, the list, and one page for each message."""
    pages = Blueprint("pages", __name__)
    pages.add_app_template_filter(show_time, "time")
    pages.add_app_template_filter(show_size, "size")
    pages.add_app_template_filter(masked, "masked")
    for name, value in (
        ("colour", colour),
        ("show_elapsed", show_elapsed),
        ("kind_name", _KINDS.__getitem__),
        ("direction_name", _DIRECTIONS.__getitem__),
        ("role_name", _ROLES.__getitem__),
        ("outcome_name", lambda one: _OUTCOMES[one.value]),
        ("task_name", lambda one: _TASKS.get(one.value, one.value)),
        ("subject_name", lambda one: _SUBJECTS[one.value]),
        ("short", short),
        ("lamp_text", lamp_text),
        ("messages_text", messages_text),
        ("at_least", at_least),
    ):
        pages.add_app_template_global(value, name)
    pages.app_context_processor(lambda: {"version": __version__})

    @pages.get("/")
    def home() -> str:
        findings = health.examine()
        return render_template(
            "home.html",
            lamps=[one for one in findings if one.subject in VITAL],
            others=[one for one in findings if one.subject not in VITAL],
            quarantined=operations.quarantined() if findings[0].well else [],
        )

    @pages.get("/conversations")
    def conversations() -> str:
        arguments = request.args
        chosen = Chosen(
            arguments.get("q", "")[:500],
            arguments.get("direction", "").upper(),
            arguments.get("from", ""),
            arguments.get("to", ""),
            arguments.get("status", "").upper(),
            arguments.get("show", ""),
            arguments.get("all") == "yes",
        )
        number = min(max(arguments.get("page", 1, type=int), 1), _LAST_PAGE)
        page = operations.page(
            chosen.filter(), number=number - 1, size=PAGE_SIZE, everything=chosen.whole
        )
        last = max(1, -(-page.total.number // PAGE_SIZE))
        return render_template(
            "conversations.html",
            chosen=chosen,
            page=page,
            number=number,
            last=last,
            statuses=[one.value for one in Status],
            first_shown=(number - 1) * PAGE_SIZE + 1,
            looked_through=f"{LOOKED_THROUGH:,}".replace(",", "\u00a0"),
        )

    @pages.get("/conversations/<reference>")
    def message(reference: str) -> AnyResponse | str:
        """A message by row number; by an id that people copy, it leads there."""
        if not reference.isdecimal():
            try:
                return redirect(_address(operations.find(reference)))
            except NotDone as error:
                if error.candidates:
                    return redirect(url_for("pages.conversations", q=reference))
                abort(404)
        return _show(int(reference))

    def _show(row_id: int, *, problem: str | None = None, can_force: str | None = None) -> str:
        try:
            dossier = operations.show(row_id)
        except NotDone:
            abort(404)
        one = dossier.message
        failed = one.state in FAILED
        mine = one.direction is Direction.OUTGOING and one.kind in (Kind.LETTER, Kind.OTHER)
        pending = any(
            job.due is not None and job.task.value in ("send", "deliver") for job in dossier.work
        )
        return render_template(
            "message.html",
            dossier=dossier,
            message=one,
            done=_DONE.get(request.args.get("done", "")),
            problem=problem,
            can_force=can_force,
            may_retry=(pending or failed) and not (failed and mine and one.kind is Kind.LETTER),
            may_resend=mine and failed,
            may_handle=failed and one.handled is None,
        )

    def _do(row_id: int, name: str, act: Callable[[], Message | None]) -> AnyResponse | str:
        try:
            new = act()
        except NotDone as error:
            if error.obstacle is Obstacle.UNKNOWN:
                abort(404)
            return _show(
                row_id,
                problem=_OBSTACLES[error.obstacle],
                can_force=name if error.can_be_forced else None,
            )
        shown = row_id if new is None else new.row_id
        return redirect(url_for("pages.message", reference=shown, done=name), 303)

    @pages.post("/conversations/<int:row_id>/retry")
    def retry(row_id: int) -> AnyResponse | str:
        return _do(row_id, "retry", lambda: operations.retry(row_id, g.who, force=_forced()))

    @pages.post("/conversations/<int:row_id>/resend")
    def resend(row_id: int) -> AnyResponse | str:
        return _do(row_id, "resend", lambda: operations.resend(row_id, g.who, force=_forced()))

    @pages.post("/conversations/<int:row_id>/handled")
    def handled(row_id: int) -> AnyResponse | str:
        reason = request.form.get("reason", "")[:2000]
        return _do(row_id, "handled", lambda: operations.mark_handled(row_id, reason, g.who))

    @pages.get("/conversations/<int:row_id>/evidence.zip")
    def evidence(row_id: int) -> Response:
        file = operations.temporary()
        try:
            operations.export(row_id, file)
        except NotDone:
            file.close()
            abort(404)
        file.seek(0)
        return send_file(
            file, "application/zip", as_attachment=True, download_name=f"evidence-{row_id}.zip"
        )

    return pages


def _address(message: Message) -> str:
    return url_for("pages.message", reference=message.row_id)


def _forced() -> bool:
    return request.form.get("force") == "yes"


def _date(given: str, *, end_of_day: bool = False) -> Any:
    try:
        return read_time(given, end_of_day=end_of_day) if given else None
    except ValueError:
        return None


def colour(status: Status) -> str:
    """Green, red or yellow, as operators know them (registry-and-statuses 6.4)."""
    if status in (Status.LEVERT, Status.LEST, Status.INNKOMMENDE_LEVERT):
        return "green"
    return "red" if status in FAILED else "yellow"


def messages_text(count: int, more: bool = False) -> str:
    """``1 melding``, ``2 meldinger``, ``mer enn 1000 meldinger``."""
    return f"{at_least(count, more)} melding{'' if count == 1 else 'er'}"


def at_least(count: int, more: bool = False) -> str:
    """``7``, or ``mer enn 1000`` when counting stopped there."""
    return f"mer enn {count}" if more else str(count)


def lamp_text(finding: Finding) -> str:
    """What a lamp says, well or not; the cause follows in English."""
    figures = finding.figures
    match finding.subject:
        case Subject.DISK if "free_bytes" in figures:
            return f"{show_size(figures['free_bytes'])} ledig til dokumenter"
        case Subject.CLOCK if "offset_seconds" in figures:
            if finding.well:
                return "stemmer"
            return f"viser {figures['offset_seconds']:+.0f} sekunder feil"
        case Subject.CERTIFICATE if "days" in figures:
            return f"gyldig i {figures['days']} dager"
        case Subject.PUBLISHED:
            return "det samme som vårt" if finding.well else "et annet enn vårt, eller ingen"
        case Subject.REVOCATION if "missing" in figures:
            return f"{figures['missing']} kan ikke hentes" if figures["missing"] else "hentet"
        case Subject.ARCHIVE | Subject.NETWORK if "waiting" in figures:
            what = "avlevering" if finding.subject is Subject.ARCHIVE else "sending"
            return f"{messages_text(figures['waiting'], 'more' in figures)} venter på {what}"
    return "svarer" if finding.well else "svarer ikke"


def short(uri: str | None) -> str:
    """The telling part of a process or document type."""
    if not uri:
        return ""
    if "::" in uri:
        return uri.rpartition("::")[2]
    parts = uri.removeprefix("urn:no:difi:profile:").split(":")
    return " ".join(part for part in parts if not part.startswith("ver"))
