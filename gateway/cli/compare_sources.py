"""Recordings and outputs on disk, read as letters to compare.

A folder may hold, in any mixture and depth: SOAP requests (PutMessage), bare ``Melding``
and ``AppReceipt`` documents, ``arkivmelding.xml`` (alone, or with its documents in the
same folder), packages of the network (``sbd.zip``) and plain or ASiC-E zips.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, BinaryIO
from xml.parsers import expat

from lxml import etree

from gateway.arkivmelding import FILENAME, read_arkivmelding, read_noark5
from gateway.compare import (
    Letter,
    Names,
    RuleBook,
    from_arkivmelding,
    from_melding,
    from_receipt,
)
from gateway.edu.noark4 import read_noark4
from gateway.edu.payload import Payload, PayloadKind, read_payload
from gateway.edu.reader import read_request
from gateway.errors import GatewayError, TranslationImpossible
from gateway.masks import Masks
from gateway.model import (
    AppReceipt,
    Content,
    Envelope,
    Melding,
    StatusMessage,
)
from gateway.package import Identity, open_package
from gateway.record import Record
from gateway.spool import Checksum, ChecksumSpool, FolderSpool
from gateway.translate import Facts, to_arkivmelding
from gateway.translate import Mapping as Translation

MELDING, ARKIVMELDING, PACKAGE, CONTAINER, UNKNOWN = (
    "melding", "arkivmelding", "package", "container", "unknown",
)  # fmt: skip
_ROOTS = {
    "Envelope": MELDING,
    "Melding": MELDING,
    "MeldingType": MELDING,
    "AppReceipt": MELDING,
    "AppReceiptType": MELDING,
    "arkivmelding": ARKIVMELDING,
}
UNFINISHED = ".part"
"""How the names of files end that the tap, or `translate`, is still writing."""
_BESIDE = {FILENAME, "sbd.json", "manifest.xml", "mimetype"}
_CHUNK = 256 * 1024
_MOST_XML = 100_000
"""Characters of XML kept for the report, per letter."""


@dataclass(frozen=True, slots=True)
class Source:
    """One letter on disk. `documents` lie beside an arkivmelding.xml."""

    path: Path
    name: str
    kind: str
    documents: tuple[Path, ...] = ()


def find_sources(root: Path) -> Iterator[Source]:
    """Every letter under `root`, in the order of names; other files come as UNKNOWN."""
    if root.is_file():
        yield Source(root, root.name, sniff(root))
        return
    for folder, subfolders, files in os.walk(root):
        subfolders.sort()
        complete = sorted(name for name in files if not name.endswith(UNFINISHED))
        yield from _in_folder(root, Path(folder), complete)


def _in_folder(root: Path, folder: Path, files: list[str]) -> Iterator[Source]:
    kinds = {name: sniff(folder / name) for name in files}
    main = FILENAME if kinds.get(FILENAME) == ARKIVMELDING else None
    beside: set[str] = set()
    if main is not None:
        beside = {
            name for name in files if name not in _BESIDE and kinds[name] not in (MELDING, PACKAGE)
        }
    for name in files:
        if name in beside or (main is not None and name in _BESIDE - {FILENAME}):
            continue
        path = folder / name
        documents = tuple(folder / it for it in sorted(beside)) if name == main else ()
        yield Source(path, path.relative_to(root).as_posix(), kinds[name], documents)


def sniff(path: Path) -> str:
    """What a file is, by its first bytes; never by its name."""
    with path.open("rb") as file:
        head = file.read(64 * 1024)
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                return PACKAGE if "sbd.json" in archive.namelist() else CONTAINER
        except (zipfile.BadZipFile, OSError):
            return UNKNOWN
    return _ROOTS.get(_root_name(head) or "", UNKNOWN)


def _root_name(head: bytes) -> str | None:
    found: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: found.append(name)
    with suppress(expat.ExpatError, ValueError):  # cut off, or no XML: what was found decides
        parser.Parse(head, False)
    return found[0].rpartition(":")[2] if found else None


@dataclass(slots=True)
class LetterReader:
    """Turns sources into letters; one side of a comparison.

    With `translation` a Melding becomes the arkivmelding that we would send, at the time
    `now`. `metadata_only`: documents are not looked at, nor required. With `masks` letters
    are read as if they had been recorded masked. Raises leaves of `GatewayError` for what
    cannot be read.
    """

    names: Names
    book: RuleBook
    schemas: Translation
    now: datetime
    translation: Translation | None = None
    metadata_only: bool = False
    dialect: str | None = None
    identities: tuple[Identity, ...] = ()
    sender: str = "000000000"
    keep_xml: bool = True
    masks: Masks | None = None
    _folder: TemporaryDirectory[str] | None = field(default=None)

    def read(self, source: Source) -> Letter:
        """The letter of `source`."""
        if source.kind == MELDING:
            return self._melding(source)
        if source.kind == ARKIVMELDING:
            return self._file(source)
        if source.kind == PACKAGE:
            return self._package(source)
        if source.kind == CONTAINER:
            return self._container(source)
        raise GatewayError(f"{source.name}: neither a letter, a receipt nor a package")

    # --- BEST/EDU ---------------------------------------------------------------------

    def _melding(self, source: Source) -> Letter:
        with source.path.open("rb") as file:
            envelope, payload = _payload(source, file)
        conversation = envelope.conversation_id if envelope is not None else None
        size = source.path.stat().st_size
        if payload.receipt is not None:
            return Letter(
                source.name,
                "kvittering",
                from_receipt(self._masked_receipt(payload.receipt)),
                conversation,
                self._dialect(source, None),
                size=size,
            )
        if payload.melding is None:
            raise GatewayError(f"{source.name}: {payload.problem or 'the payload is empty'}")
        melding = payload.melding
        if self.masks is not None:
            self.masks.tree(melding.root)
            contents = {ref: self._masked(it) for ref, it in melding.contents.items()}
            melding = Melding(melding.root, contents)
        raw, files = read_noark4(melding.root, self.schemas.edu_schema)
        plain = from_melding(raw, files, melding.contents, with_contents=not self.metadata_only)
        dialect = self._dialect(source, self.book.dialect_of(plain))
        if self.translation is None:
            return Letter(
                source.name,
                "melding",
                plain,
                conversation,
                dialect,
                not self.metadata_only,
                size,
                self._xml(melding.root),
            )
        sender = envelope.sender.orgnr if envelope is not None and envelope.sender else None
        facts = Facts(
            conversation or source.path.stem, dialect or "", self.now, sender or self.sender
        )
        made = to_arkivmelding(melding, facts, self.translation, sending=not self.metadata_only)
        documents = {it.filename: it.content for it in made.documents}
        letter = self._letter(
            source,
            made.root,
            None if self.metadata_only else documents,
            conversation,
            dialect,
            size,
            plain,
        )
        # Without an envelope the id in it is only the file's name.
        return letter if conversation else replace(letter, conversation=None)

    # --- arkivmelding -----------------------------------------------------------------

    def _file(self, source: Source) -> Letter:
        with source.path.open("rb") as file:
            root = read_arkivmelding(file)
        documents = None
        size = source.path.stat().st_size
        if source.documents and not self.metadata_only:
            documents = {}
            for path in source.documents:
                with path.open("rb") as file:
                    documents[path.name] = _measured(file)
                size += documents[path.name].size
        return self._letter(source, root, documents, None, self._dialect(source, None), size)

    def _container(self, source: Source) -> Letter:
        with _zip(source) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            main = next((name for name in names if name.rpartition("/")[2] == FILENAME), None)
            if main is None:
                raise GatewayError(f"{source.name}: holds no {FILENAME}")
            prefix = main[: -len(FILENAME)]
            with archive.open(main) as entry:
                root = read_arkivmelding(entry)  # type: ignore[arg-type]
            documents: dict[str, Content] = {}
            if not self.metadata_only:
                for name in names:
                    own = name.removeprefix(prefix)
                    if own in _BESIDE or own.startswith("META-INF/") or name == main:
                        continue
                    with archive.open(name) as entry:
                        documents[own] = _measured(entry)
        size = source.path.stat().st_size
        return self._letter(
            source,
            root,
            None if self.metadata_only else documents,
            None,
            self._dialect(source, None),
            size,
        )

    def _package(self, source: Source) -> Letter:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="edu-gateway-compare-")
        spool = FolderSpool(Path(self._folder.name))
        with source.path.open("rb") as file:
            opened = open_package(file, identities=self.identities, spool=spool)
        size = source.path.stat().st_size
        sbd = opened.sbd
        if sbd.receipt is not None:
            record = from_receipt(self._masked_receipt(sbd.receipt))
            dialect = self._dialect(source, None)
            return Letter(
                source.name, "kvittering", record, sbd.conversation_id, dialect, size=size
            )
        contents = {it.filename: it.content for it in opened.documents}
        try:
            main = contents.pop(FILENAME, None)
            if main is None:
                raise GatewayError(f"{source.name}: a {sbd.type}, not a letter")
            with main.open() as file:
                root = read_arkivmelding(file)
            return self._letter(
                source, root, contents, sbd.conversation_id, self._dialect(source, None), size
            )
        finally:
            spool.release(it.content for it in opened.documents)

    def _letter(
        self,
        source: Source,
        root: etree._Element,
        documents: Mapping[str, Content] | None,
        conversation: str | None,
        dialect: str | None,
        size: int,
        sent: Record | None = None,
    ) -> Letter:
        if self.masks is not None and sent is None:  # else it is made of a masked letter
            self.masks.tree(root)
            documents = documents and {
                self.masks.text("referanseDokumentfil", name): self._masked(content)
                for name, content in documents.items()
            }
        record = from_arkivmelding(read_noark5(root, self.schemas.am_schema), documents, self.names)
        return Letter(
            source.name,
            "arkivmelding",
            record,
            conversation or record.values.get("meldingId") or None,
            dialect or record.values.get("system", "").strip().lower() or None,
            documents is not None,
            size,
            self._xml(root),
            sent,
        )

    def _masked(self, content: Content) -> Content:
        assert self.masks is not None
        mask = Checksum()
        mask.write(self.masks.content(content.sha256))
        return mask

    def _masked_receipt(self, receipt: AppReceipt) -> AppReceipt:
        if self.masks is None:
            return receipt
        texts = [(it.code, self.masks.text("text", it.text)) for it in receipt.messages]
        return AppReceipt(receipt.type, tuple(StatusMessage(*it) for it in texts))

    def _dialect(self, source: Source, by_marks: str | None) -> str | None:
        """As told; else by the name of a folder on the way; else by marks in the letter."""
        if self.dialect is not None:
            return self.dialect
        folders = {part.lower() for part in Path(source.name).parts[:-1]}
        return next((name for name in self.book.marks if name in folders), by_marks)

    def _xml(self, root: etree._Element) -> str | None:
        if not self.keep_xml:
            return None
        text: str = etree.tostring(root, encoding="unicode", pretty_print=True)
        return text if len(text) <= _MOST_XML else text[:_MOST_XML] + "\n…"


def _payload(source: Source, file: BinaryIO) -> tuple[Envelope | None, Payload]:
    chunks = iter(lambda: file.read(_CHUNK), b"")
    head = file.read(64 * 1024)
    file.seek(0)
    if _root_name(head) == "Envelope":
        request = read_request(chunks, ChecksumSpool())
        envelope, payload = request.envelope, request.payload
    else:
        envelope, payload = None, read_payload(chunks, ChecksumSpool())
    if payload.kind in (PayloadKind.BROKEN, PayloadKind.UNKNOWN):
        raise TranslationImpossible(f"{source.name}: {payload.problem}")
    return envelope, payload


@contextmanager
def _zip(source: Source) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(source.path) as archive:
            yield archive
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as trouble:
        raise GatewayError(f"{source.name}: not a readable zip: {trouble}") from trouble


def _measured(stream: IO[bytes]) -> Checksum:
    found = Checksum()
    while chunk := stream.read(_CHUNK):
        found.write(chunk)
    return found
