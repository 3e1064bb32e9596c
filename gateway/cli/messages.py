"""``edu-gateway messages``: see and steer what a gateway has, while it runs."""

from __future__ import annotations

import getpass
import json
import mimetypes
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.avtalt import AVTALT_PROCESS, Avtalt
from gateway.engine.evidence import Dossier, message_record, record
from gateway.engine.masking import masked
from gateway.engine.operations import NotDone, Operations
from gateway.errors import ConfigurationError, StorageFull
from gateway.model import Direction, Status
from gateway.store.messages import Kind, Message
from gateway.store.search import CONVERSATIONS, COUNTED, LOOKED_THROUGH, Filter

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_KINDS = {"all": tuple(Kind), **{one.value: (one,) for one in Kind}}
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_id = click.argument("reference", metavar="ID")


@click.group(name="messages")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
    help="The settings of the gateway whose messages these are.",
)
@click.pass_context
def command(context: click.Context, config: Path) -> None:
    """See and steer messages; the gateway may be running meanwhile.

    ID is a row number, a message id or a conversation id. Exit code 1: it could not be
    done, or nothing was found; 2: wrong use or wrong settings.
    """
    context.obj = config


def _operating(function: Callable[..., None]) -> Callable[..., None]:
    """Hand the command `Operations` on the settings' store, and explain what fails."""

    @click.pass_obj
    @wraps(function)
    def run(config: Path, /, **arguments: Any) -> None:
        from gateway.parts import open_books
        from gateway.settings import load_settings

        with _explained():
            books = open_books(load_settings(config))
            try:
                function(Operations(books), **arguments)
            finally:
                books.database.close()

    return run


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        click.echo(f"{error.detail}\n{error.operator}", err=True)
        sys.exit(2)
    except NotDone as error:
        click.echo(f"not done: {error}", err=True)
        for one in error.candidates:
            click.echo(f"  {_line(one)}", err=True)
        if error.can_be_forced:
            click.echo("  --force does it all the same", err=True)
        sys.exit(1)
    except FileExistsError as error:
        click.echo(f"not done: {error.filename} is there already", err=True)
        sys.exit(1)
    except StorageFull as error:
        click.echo(f"not done: {error.detail}\n{error.operator}", err=True)
        sys.exit(1)
    except SQLAlchemyError as error:
        click.echo(f"not done: the database does not answer ({type(error).__name__})", err=True)
        sys.exit(1)


# --- seeing ---------------------------------------------------------------------------


@command.command(name="list")
@click.argument("text", required=False, default="")
@click.option("--direction", type=click.Choice(["out", "in"]))
@click.option("--kind", type=click.Choice(sorted(_KINDS)), help="Default: letters and receipts.")
@click.option(
    "--status",
    "states",
    type=click.Choice([one.value for one in Status], case_sensitive=False),
    multiple=True,
)
@click.option("--sender", help="Organisation number.")
@click.option("--receiver", help="Organisation number.")
@click.option("--reference", help="The archive's own, such as 42-3.")
@click.option("--since", type=click.DateTime(), help="Last event at this time (UTC) or later.")
@click.option("--until", type=click.DateTime(), help="Last event before this time (UTC).")
@click.option("--attention", is_flag=True, help="Failed, and not marked as handled.")
@click.option("--waiting", is_flag=True, help="Kept for pick-up and not fetched.")
@click.option(
    "--everything",
    is_flag=True,
    help=f"Look through all messages, not only the newest {LOOKED_THROUGH}, and count them all.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_json
@_operating
def list_messages(
    operations: Operations,
    text: str,
    direction: str | None,
    kind: str | None,
    states: tuple[str, ...],
    sender: str | None,
    receiver: str | None,
    reference: str | None,
    since: datetime | None,
    until: datetime | None,
    attention: bool,
    waiting: bool,
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Messages, newest first. TEXT finds ids, statuses, organisations; && and || combine.

    Ids, their beginnings (8 characters or more), organisations, references, failures and
    times are found however old they are.
    """
    wanted = Filter(
        text=text,
        direction={"out": Direction.OUTGOING, "in": Direction.INCOMING}.get(direction or ""),
        kinds=_KINDS[kind] if kind else CONVERSATIONS,
        states=tuple(Status(one.upper()) for one in states),
        sender=sender,
        receiver=receiver,
        reference=reference,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
        attention=attention,
        waiting=waiting,
    )
    page = operations.page(
        wanted,
        size=limit,
        count_to=sys.maxsize - 1 if everything else COUNTED,
        everything=everything,
    )
    if as_json:
        _print_json(
            {
                "total": page.total.number,
                "more": page.total.more,
                "back_to": page.back_to and page.back_to.isoformat(),
                "messages": [message_record(one) for one in page.messages],
            }
        )
    else:
        for one in page.messages:
            click.echo(_line(one))
        shown = len(page.messages)
        all_ = shown == page.total.number and not page.total.more
        click.echo(f"{shown} found" if all_ else f"{shown} of {page.total} shown")
        if page.back_to is not None:
            click.echo(
                f"only the newest {LOOKED_THROUGH} messages that it can be were looked through,"
                f" back to {_time(page.back_to)}; --everything looks through all of them,"
                " --until further back"
            )
    if not page.messages:
        sys.exit(1)


@command.command()
@_id
@_json
@_operating
def show(operations: Operations, reference: str, as_json: bool) -> None:
    """All that is known of a message: timeline, documents, losses, jobs, transfers."""
    dossier = operations.show(operations.find(reference).row_id)
    if as_json:
        _print_json(record(dossier))
        return
    for line in _described(dossier):
        click.echo(masked(line))


@command.command()
@_id
@click.option("--out", type=click.Path(path_type=Path), help="Default: evidence-<message id>.zip")
@click.option("--documents", is_flag=True, help="With the documents themselves.")
@_operating
def export(operations: Operations, reference: str, out: Path | None, documents: bool) -> None:
    """Write the evidence of a message to a zip."""
    message = operations.find(reference)
    path = out or Path(f"evidence-{message.message_id}.zip")
    with path.open("xb") as target:
        operations.export(message.row_id, target, documents=documents)
    click.echo(path)


# --- doing ----------------------------------------------------------------------------


@command.command()
@_id
@click.option("--force", is_flag=True, help="Although its sender was told that it failed.")
@_operating
def retry(operations: Operations, reference: str, force: bool) -> None:
    """Try now what waits, or once more what was given up."""
    message = operations.find(reference)
    operations.retry(message.row_id, getpass.getuser(), force=force)
    click.echo(f"{message.message_id} is tried again now")


@command.command()
@_id
@click.option("--force", is_flag=True, help="Although it has not failed.")
@_operating
def resend(operations: Operations, reference: str, force: bool) -> None:
    """Send a failed outgoing letter once more, as a new message."""
    message = operations.find(reference)
    new = operations.resend(message.row_id, getpass.getuser(), force=force)
    click.echo(f"{message.message_id} is sent again as {new.message_id}")


@command.command()
@_id
@click.option("--reason", required=True, help="What was done about it.")
@_operating
def handled(operations: Operations, reference: str, reason: str) -> None:
    """Take a message off the list of those that need attention."""
    message = operations.find(reference)
    operations.mark_handled(message.row_id, reason, getpass.getuser())
    click.echo(f"{message.message_id} is marked as handled")


@command.command()
@_id
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder; default: a new one named by the message id.",
)
@_operating
def pickup(operations: Operations, reference: str, out: Path | None) -> None:
    """Fetch a message that is not for the archive, such as an avtalt."""
    message = operations.find(reference)
    folder = out or Path(message.message_id)
    for path in Avtalt(operations).pick_up(message.row_id, folder, getpass.getuser()):
        click.echo(path)


@command.command()
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--type", "kind", type=click.Choice(["avtalt"]), default="avtalt", show_default=True)
@click.option("--to", "receiver", required=True, help="Organisation number.")
@click.option("--from", "sender", help="One of the organisations that we serve. Default: our own.")
@click.option("--identifier", required=True, help="What the parties call this kind of content.")
@click.option("--content", type=_FILE, help="JSON file; any value. Default: null.")
@click.option("--process", default=AVTALT_PROCESS, show_default=True)
@_operating
def send(
    operations: Operations,
    files: tuple[Path, ...],
    kind: str,
    receiver: str,
    sender: str | None,
    identifier: str,
    content: Path | None,
    process: str,
) -> None:
    """Send an avtalt with FILES, past the archive."""
    if not (receiver.isdecimal() and len(receiver) == 9):
        raise click.BadParameter("must be nine digits", param_hint="--to")
    if len({one.name for one in files}) < len(files):
        raise click.BadParameter("two files have the same name", param_hint="FILES")
    try:
        said = None if content is None else json.loads(content.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--content") from error
    with ExitStack() as open_files:
        streams = [
            (
                one.name,
                mimetypes.guess_type(one.name)[0] or "application/octet-stream",
                open_files.enter_context(one.open("rb")),
            )
            for one in files
        ]
        sent = Avtalt(operations).send(
            receiver,
            identifier,
            said,
            streams,
            getpass.getuser(),
            process=process,
            sender=sender,
        )
    click.echo(sent.message_id)


# --- telling --------------------------------------------------------------------------


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _line(message: Message) -> str:
    arrow = "→" if message.direction is Direction.OUTGOING else "←"
    about = message.status_value or message.reference or ""
    handled = " handled" if message.handled else ""
    return masked(
        f"{message.id:>7}  {_time(message.updated or message.created)}  {message.kind:<7} {arrow} "
        f"{message.sender} {message.receiver}  {message.state}{handled:<8}  "
        f"{message.archive_conversation_id or message.conversation_id}  {about}"
    )


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _described(dossier: Dossier) -> Iterator[str]:
    message = dossier.message
    yield f"{message.kind} {message.direction.lower()}, number {message.id}: {message.state}"
    for label, value in (
        ("message id", message.message_id),
        ("conversation id", message.conversation_id),
        ("the archive's id", message.archive_conversation_id),
        ("sender", message.sender),
        ("receiver", message.receiver),
        ("sender's reference", message.sender_ref),
        ("receiver's reference", message.receiver_ref),
        ("reference", message.reference),
        ("process", message.process),
        ("document type", message.document_type),
        ("channel", message.channel),
        ("created", _time(message.created)),
        ("deadline", message.expires and _time(message.expires)),
        ("handled", message.handled and _time(message.handled)),
    ):
        if value:
            yield f"  {label + ':':<22}{value}"
    if message.receipt is not None:
        what = "the archive's answer" if message.kind is Kind.LETTER else "receipt"
        yield f"{what}: {message.receipt.type}"
        for said in message.receipt.messages:
            yield f"  {said.code}: {said.text}"
    yield "timeline"
    for event in dossier.events:
        yield f"  {_time(event.at)}  {event.status:<20}{event.description or ''}"
    for title, lines in (
        ("warnings", list(message.warnings)),
        (
            "documents",
            [
                f"{role.value:<9}{one.filename}  {one.content.size} bytes  "
                f"SHA-256 {one.content.sha256}"
                for role, one in dossier.documents
            ],
        ),
        (
            "lost or changed in translation",
            [f"{one.outcome.value:<10}{one.path}: {one.reason}" for one in message.losses],
        ),
        (
            "jobs",
            [
                f"{one.task.value}: {'done' if one.due is None else 'next ' + _time(one.due)}, "
                f"{one.failures} failures{', last: ' + one.problem if one.problem else ''}"
                + (f", waits with the others for {one.waits_for}" if one.waits_for else "")
                for one in dossier.work
            ],
        ),
        (
            "transfers",
            [
                f"{one.transfer_id}  announced {_time(one.created)}"
                + (f", uploaded {_time(one.uploaded)}" if one.uploaded else "")
                + (f", given up {_time(one.abandoned)}" if one.abandoned else "")
                for one in dossier.transfers
            ],
        ),
        ("same conversation", [_line(one) for one, _ in dossier.related]),
    ):
        if lines:
            yield title
            yield from (f"  {line}" for line in lines)
