"""``edu-gateway translate``: letters and arkivmeldinger into each other, from files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
from lxml import etree

from gateway.arkivmelding import NAMESPACE, read_arkivmelding
from gateway.edu.payload import Payload, PayloadKind, read_payload
from gateway.edu.reader import read_request
from gateway.edu.write import melding_payload
from gateway.errors import ConfigurationError, GatewayError, TranslationImpossible
from gateway.model import Document, Envelope, Loss
from gateway.spool import ChecksumSpool
from gateway.translate import Facts, load_mapping, to_arkivmelding, to_melding
from gateway.translate import Mapping as Translation

_CHUNK = 64 * 1024
_EDU, _ARKIVMELDING = "edu", "arkivmelding"


@dataclass(frozen=True)
class _OnDisk:
    """A document beside us, for the way back."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def sha256(self) -> str:
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def open(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass(frozen=True)
class _Settings:
    mapping: Translation
    to: str | None
    system: str
    conversation_id: str | None
    files: Path | None


@dataclass
class _Result:
    """One input's outcome. `chunks` is the translation, None when there is none."""

    chunks: Iterable[bytes] | None = None
    losses: tuple[Loss, ...] = ()
    problems: list[str] = field(default_factory=list)
    note: str | None = None


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--to", type=click.Choice([_EDU, _ARKIVMELDING]), help="Follows from the input.")
@click.option("--profile", default="faithful", show_default=True, help="faithful or rich.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for results.")
@click.option("--switch", "switches", multiple=True, metavar="NAME=on|off", help="May be repeated.")
@click.option(
    "--mappings",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with changed mapping files.",
)
@click.option("--system", default="p360", show_default=True, help="The archive system's name.")
@click.option("--conversation-id", help="For input that does not say it.")
@click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Documents for the way to EDU: by name, in it or in a folder called as the input.",
)
@click.option("--report", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    inputs: tuple[str, ...],
    to: str | None,
    profile: str,
    out: Path | None,
    switches: tuple[str, ...],
    mappings: Path | None,
    system: str,
    conversation_id: str | None,
    files: Path | None,
    report: str,
) -> None:
    """Translate a SOAP PutMessage, a Melding, or an arkivmelding.xml.

    INPUT is a file, a folder of .xml files, or - for standard input. One translation goes
    to standard output, many go to --out under their own names. What the receiver will not
    see as it was sent stands on standard error.
    """
    try:
        mapping = load_mapping(profile, mappings, _switches(switches))
    except ConfigurationError as error:
        raise click.UsageError(error.detail) from error
    paths = list(_paths(inputs))
    if out is None and len(paths) != 1:
        raise click.UsageError("several inputs need --out DIR")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_same_names(paths)
    settings = _Settings(mapping, to, system, conversation_id, files)
    with_bar = out is not None and report == "text" and sys.stderr.isatty()
    if with_bar:
        failed = _with_bar(paths, out, settings)
    else:
        failed = 0
        for path in paths:
            result = _translate_to(path, out, settings)
            _report(path, result, report)
            failed += bool(result.problems)
    if failed:
        sys.exit(1)


def _switches(texts: Iterable[str]) -> dict[str, bool]:
    chosen = {}
    for text in texts:
        name, _, value = text.partition("=")
        if value not in ("on", "off"):
            raise click.UsageError(f"--switch {text}: say NAME=on or NAME=off")
        chosen[name] = value == "on"
    return chosen


def _paths(inputs: Iterable[str]) -> Iterator[Path | None]:
    """Files to read; None is standard input."""
    for name in inputs:
        path = Path(name)
        if name == "-":
            yield None
        elif path.is_dir():
            yield from sorted(child for child in path.iterdir() if child.suffix.lower() == ".xml")
        else:
            yield path


def _refuse_same_names(paths: Iterable[Path | None]) -> None:
    counted = Counter(_name(path).lower() for path in paths)
    doubled = [name for name, count in counted.items() if count > 1]
    if doubled:
        raise click.UsageError(f"several inputs are called {doubled[0]}; results would mix")


def _name(path: Path | None) -> str:
    return "stdin.xml" if path is None else path.name


def _with_bar(paths: list[Path | None], out: Path | None, settings: _Settings) -> int:
    failed = 0
    losses: Counter[str] = Counter()
    with click.progressbar(paths, file=sys.stderr, label="Translating") as bar:
        for path in bar:
            result = _translate_to(path, out, settings)
            losses.update(str(loss.outcome) for loss in result.losses)
            if result.problems:
                failed += 1
                click.echo("\r\033[K", nl=False, err=True)
                _report(path, result, "text", with_losses=False)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(losses.items()))
    click.echo(
        f"{len(paths)} read, {failed} with errors; values: {summary or 'all seen'}", err=True
    )
    return failed


def _translate_to(path: Path | None, out: Path | None, settings: _Settings) -> _Result:
    """Translate one input and write the result; what fails is named in `problems`."""
    try:
        result = _translate(path, settings)
        if result.chunks is not None:
            _write(result.chunks, None if out is None else out / _name(path))
    except TranslationImpossible as error:
        return _Result(problems=[error.text])
    except GatewayError as error:
        return _Result(problems=[error.detail])
    except BrokenPipeError:
        raise
    except OSError as error:
        return _Result(problems=[f"{error.strerror or error}"])
    return result


def _write(chunks: Iterable[bytes], target: Path | None) -> None:
    if target is None:
        stdout = sys.stdout.buffer
        for chunk in chunks:
            stdout.write(chunk)
        stdout.write(b"\n")
        stdout.flush()
        return
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _translate(path: Path | None, settings: _Settings) -> _Result:
    opened = contextlib.nullcontext(sys.stdin.buffer) if path is None else path.open("rb")
    with opened as stream:
        head = stream.read(_CHUNK)
        root = _root(head)
        chunks = _chunks(head, stream)
        if root is not None and root.startswith(f"{{{NAMESPACE}}}"):
            _agree(settings.to, _EDU)
            return _to_edu(path, chunks, settings)
        _agree(settings.to, _ARKIVMELDING)
        return _to_arkivmelding(root, chunks, settings)


def _agree(wanted: str | None, found: str) -> None:
    if wanted not in (None, found):
        raise TranslationImpossible(peer_text=f"the input cannot be translated to {wanted}")


def _root(head: bytes) -> str | None:
    """Name of the root element in lxml's notation; None when the head does not say."""
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True)
    # The real reader says what is wrong; the root may have come before it.
    with contextlib.suppress(etree.XMLSyntaxError):
        parser.feed(head)
    try:
        for _, element in parser.read_events():
            return str(element.tag)  # type: ignore[union-attr]
    except etree.XMLSyntaxError:
        return None
    return None


def _chunks(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield head
    while chunk := stream.read(_CHUNK):
        yield chunk


class _Rejoined:
    """Chunks as a stream again, for the reader that wants one."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int = -1, /) -> bytes:
        return next(self._chunks, b"")


def _to_arkivmelding(root: str | None, chunks: Iterator[bytes], settings: _Settings) -> _Result:
    envelope: Envelope | None = None
    if root is not None and root.rpartition("}")[2] == "Envelope":
        request = read_request(chunks, ChecksumSpool())
        envelope, payload = request.envelope, request.payload
    else:
        payload = read_payload(chunks, ChecksumSpool())
    if payload.kind is not PayloadKind.MELDING or payload.melding is None:
        raise TranslationImpossible(peer_text=_not_a_letter(payload))
    stated = envelope.conversation_id if envelope is not None else None
    sender = envelope.sender if envelope is not None else None
    facts = Facts(
        settings.conversation_id or stated or str(uuid.uuid4()),
        settings.system,
        datetime.now(UTC),
        (sender.orgnr if sender is not None else None) or "",
    )
    result = to_arkivmelding(payload.melding, facts, settings.mapping, sending=False)
    return _Result([result.xml], result.losses, list(result.problems))


def _not_a_letter(payload: Payload) -> str:
    if payload.kind is PayloadKind.APPRECEIPT:
        return "an AppReceipt, not a letter: it has no arkivmelding"
    if payload.problem is not None:
        return payload.problem
    return "neither a Melding nor an arkivmelding"


def _to_edu(path: Path | None, chunks: Iterator[bytes], settings: _Settings) -> _Result:
    root = read_arkivmelding(_Rejoined(chunks))  # type: ignore[arg-type]
    stated = root.findtext(f"{{{NAMESPACE}}}meldingId")
    facts = Facts(
        settings.conversation_id or stated or str(uuid.uuid4()),
        settings.system,
        datetime.now(UTC),
        "",
    )
    documents = _documents(path, settings.files)
    result = to_melding(
        root, documents, facts, settings.mapping, delivering=settings.files is not None
    )
    empty = len(list(result.melding.root.iter("base64"))) - len(result.melding.contents)
    note = f"{empty} documents are left empty; --files says where they are" if empty else None
    return _Result(melding_payload(result.melding).chunks(), result.losses, note=note)


def _documents(path: Path | None, folder: Path | None) -> Mapping[str, Document]:
    """Files by name; a folder called as the input goes before the common one."""
    if folder is None:
        return {}
    own = folder / (path.stem if path is not None else "stdin")
    found: dict[str, Document] = {}
    for place in (folder, own):
        if place.is_dir():
            for file in place.iterdir():
                if file.is_file():
                    found[file.name] = Document(file.name, "", _OnDisk(file))
    return found


def _report(path: Path | None, result: _Result, form: str, *, with_losses: bool = True) -> None:
    name = "-" if path is None else str(path)
    losses = result.losses if with_losses else ()
    if form == "json":
        click.echo(
            json.dumps(
                {
                    "input": name,
                    "translated": result.chunks is not None,
                    "problems": result.problems,
                    "note": result.note,
                    "losses": [_as_json(loss) for loss in losses],
                },
                ensure_ascii=False,
            ),
            err=True,
        )
        return
    for problem in result.problems:
        click.echo(f"{name}: error: {problem}", err=True)
    if result.note is not None:
        click.echo(f"{name}: note: {result.note}", err=True)
    for loss in losses:
        home = f" (rich: {loss.home})" if loss.home else ""
        value = "" if loss.value is None else f" {_shortened(loss.value)!r}"
        click.echo(f"{name}: {loss.outcome}: {loss.path}{value}: {loss.reason}{home}", err=True)


def _shortened(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:60]}…"


def _as_json(loss: Loss) -> dict[str, str | None]:
    return {
        "path": loss.path,
        "outcome": str(loss.outcome),
        "kind": loss.kind,
        "reason": loss.reason,
        "home": loss.home,
        "value": loss.value,
    }
