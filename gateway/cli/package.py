"""``edu-gateway package``: what is in this zip, who signed it, is it intact."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gateway.certificates import load_keystore, load_trust, read_certificates
from gateway.cli.passwords import keystore_password, password_file
from gateway.errors import ConfigurationError, GatewayError, PackageError
from gateway.http import new_client
from gateway.model import Document
from gateway.package import (
    Identity,
    Opened,
    Sbd,
    arkivmelding_sbd,
    build_package,
    entry_sizes,
    open_package,
    read_envelope,
    read_sbd_only,
)
from gateway.package.sbd import ADMINISTRASJON
from gateway.revocation import Revocation, over_http
from gateway.spool import FolderSpool
from gateway.vetting import Vetting

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_package = click.argument("package", metavar="FILE", type=_FILE)
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_keystores = click.option(
    "--keystore", "keystores", type=_FILE, multiple=True,
    help="PKCS12 or PEM with the receiver's key; repeat it for the previous one.",
)  # fmt: skip


@click.group(name="package")
def command() -> None:
    """Build, open and examine packages (sbd.zip)."""


@command.command()
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("documents", nargs=-1, required=True, type=_FILE)
@click.option("--keystore", required=True, type=_FILE, help="The sender's, for the signature.")
@click.option("--receiver-certificate", required=True, type=_FILE, help="PEM or DER.")
@click.option("--sender", required=True, help="Organisation number.")
@click.option("--receiver", required=True, help="Organisation number.")
@click.option("--process", default=ADMINISTRASJON, show_default=True)
@click.option("--message-id", default=lambda: str(uuid.uuid4()), help="A random one unless given.")
@click.option("--hours", default=24, show_default=True, help="Until the message expires.")
@password_file
def build(
    target: Path,
    documents: tuple[Path, ...],
    keystore: Path,
    receiver_certificate: Path,
    sender: str,
    receiver: str,
    process: str,
    message_id: str,
    hours: int,
    password_file: Path | None,
) -> None:
    """Make the package FILE of DOCUMENTS; the first one is arkivmelding.xml."""
    now = datetime.now(UTC)
    with _explained():
        signer = load_keystore(keystore, keystore_password(password_file))
        sbd = arkivmelding_sbd(
            sender=sender,
            receiver=receiver,
            message_id=message_id,
            conversation_id=message_id,
            created=now,
            expires=now + timedelta(hours=hours),
            process=process,
        )
        with tempfile.TemporaryDirectory() as folder, target.open("xb") as file:
            try:
                built = build_package(
                    file,
                    sbd,
                    _as_documents(documents, FolderSpool(Path(folder))),
                    signer=signer,
                    receiver_certificate=read_certificates(receiver_certificate)[0],
                )
            except GatewayError:
                file.close()
                target.unlink()
                raise
    click.echo(f"{target}: {built.size} bytes, MD5 {built.md5}, message {message_id}")


@command.command(name="open")
@_package
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@_keystores
@_json
@password_file
def open_(
    package: Path, out: Path, keystores: tuple[Path, ...], as_json: bool, password_file: Path | None
) -> None:
    """Verify FILE and write its documents into the folder OUT."""
    with _explained(), _opened(package, keystores, password_file) as opened:
        out.mkdir(parents=True, exist_ok=True)
        files = [
            {"document": document.filename, "written_as": _write(document, out)}
            for document in opened.documents
        ]
        _show({"sbd": _plain(opened.sbd), "files": files, "notes": opened.notes}, as_json)


@command.command()
@_package
@_keystores
@_json
@password_file
def inspect(
    package: Path, keystores: tuple[Path, ...], as_json: bool, password_file: Path | None
) -> None:
    """Show what FILE says of itself, and with a keystore what is inside.

    Works on damaged packages too: it shows what can be read and why the rest cannot.
    """
    facts: dict[str, Any] = {"file": str(package), "problems": []}
    with package.open("rb") as source:
        for name, read in (
            ("entries", lambda: entry_sizes(source)),
            ("sbd", lambda: _plain(read_sbd_only(source, allow_icd_9908=True))),
            ("envelope", lambda: _envelope(read_envelope(source))),
        ):
            try:
                facts[name] = read()
            except PackageError as error:
                facts["problems"].append(f"{type(error).__name__}: {error.detail}")
    if keystores:
        try:
            with _opened(package, keystores, password_file) as opened:
                facts |= _contents(opened)
        except PackageError as error:
            facts["problems"].append(f"{type(error).__name__}: {error.detail}")
        except ConfigurationError as error:
            raise click.ClickException(error.detail) from error
    facts["problems"] = list(dict.fromkeys(facts["problems"]))
    _show(facts, as_json)
    if facts["problems"]:
        raise SystemExit(1)


@command.command()
@_package
@_keystores
@click.option(
    "--trusted", "trusted", multiple=True, type=click.Path(exists=True, path_type=Path),
    help="Certificates of the authorities (files or folders); the signer's chain is checked.",
)  # fmt: skip
@click.option("--environment", type=click.Choice(["prod", "test"]), default="prod")
@click.option(
    "--authorities", type=_FILE, help="A list of your own instead of mappings/tillit.toml."
)
@click.option(
    "--revocation", is_flag=True, help="With --trusted: ask the authorities' revocation lists too."
)
@_json
@password_file
def verify(
    package: Path,
    keystores: tuple[Path, ...],
    trusted: tuple[Path, ...],
    environment: str,
    authorities: Path | None,
    revocation: bool,
    as_json: bool,
    password_file: Path | None,
) -> None:
    """Check digests and signature of FILE, and who signed it. Exit code 1: not sound."""
    with _explained(), _opened(package, keystores, password_file) as opened:
        facts = {"file": str(package), "intact": True} | _contents(opened)
        problems: list[str] = []
        if trusted:
            lists = Revocation(over_http(new_client()), seconds=30) if revocation else None
            trust = load_trust(environment, trusted, authorities)
            problems = [*Vetting(trust, revocation=lists).signer(opened)]
        _show(facts | {"problems": problems}, as_json)
    if problems:
        raise SystemExit(1)


@contextmanager
def _explained() -> Iterator[None]:
    """Our own errors as one line and exit code 1."""
    try:
        yield
    except FileExistsError as error:
        raise click.UsageError(f"{error.filename} exists already; it is left alone.") from error
    except GatewayError as error:
        raise click.ClickException(f"{type(error).__name__}: {error.detail}") from error


@contextmanager
def _opened(
    package: Path, keystores: Iterable[Path], password_file: Path | None
) -> Iterator[Opened]:
    """The package opened into a private folder that vanishes afterwards."""
    paths = list(keystores)
    identities: list[Identity] = []
    if paths:
        password = keystore_password(password_file)
        identities = [load_keystore(path, password) for path in paths]
    with tempfile.TemporaryDirectory() as folder, package.open("rb") as source:
        yield open_package(
            source, identities=identities, spool=FolderSpool(Path(folder)), allow_icd_9908=True
        )


def _as_documents(paths: Iterable[Path], store: FolderSpool) -> list[Document]:
    documents = []
    for path in paths:
        writer = store.create()
        with path.open("rb") as stream:
            while piece := stream.read(1024 * 1024):
                writer.write(piece)
        documents.append(Document(path.name, "", writer.commit()))
    return documents


def _write(document: Document, folder: Path) -> str:
    """Write it under a name that is safe on every system; the name. Nothing is replaced."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", document.filename).strip(". ")[-150:] or "_"
    for attempt in range(1_000):
        target = folder / (f"{attempt} {name}" if attempt else name)
        try:
            with target.open("xb") as file, document.content.open() as stream:
                shutil.copyfileobj(stream, file, 1024 * 1024)
        except FileExistsError:
            continue
        return target.name
    raise click.ClickException(f"{folder} holds a thousand files named {name!r}")


def _contents(opened: Opened) -> dict[str, Any]:
    signature = None
    if opened.signature is not None:
        signature = asdict(opened.signature)
        del signature["certificate_pem"], signature["chain_pem"]
    return {
        "sbd": _plain(opened.sbd),
        "documents": [
            {
                "name": it.filename,
                "media_type": it.mime_type,
                "bytes": it.content.size,
                "sha256": it.content.sha256,
            }
            for it in opened.documents
        ],
        "signature": signature,
        "notes": opened.notes,
    }


def _envelope(envelope: Any) -> dict[str, Any] | None:
    if envelope is None:
        return None
    return {
        "cipher": envelope.content_algorithm,
        "locked_for": [asdict(it) for it in envelope.recipients],
    }


def _plain(sbd: Sbd) -> dict[str, Any]:
    return {name: value for name, value in asdict(sbd).items() if value is not None}


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, indent=2, default=str))
    else:
        _table(facts, 0)


def _table(value: Any, depth: int) -> None:
    margin = "  " * depth
    items: Iterable[tuple[Any, Any]] = (
        value.items()
        if isinstance(value, dict)
        else ((f"{i}.", it) for i, it in enumerate(value, 1))
    )
    for name, item in items:
        if isinstance(item, dict | list | tuple):
            click.echo(f"{margin}{name}" + ("" if item else "  none"))
            _table(item, depth + 1)
        else:
            click.echo(f"{margin}{name:{max(1, 20 - 2 * depth)}} {item}")
