"""What goes past the archives: an avtalt is sent by a person and picked up by one.

Also messages of types that we do not know are kept for pick-up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from gateway.engine.operations import NotDone, Obstacle, Operations
from gateway.lifecycle import Fact
from gateway.model import Content, Direction, Document, Status
from gateway.store import messages
from gateway.store.blobs import Blob
from gateway.store.messages import Kind, Message, Role

AVTALT_TYPE = "urn:no:difi:avtalt:xsd::avtalt"
AVTALT_PROCESS = "urn:no:difi:profile:avtalt:avtalt:ver1.0"

_PIECE = 1 << 20


class Avtalt:
    """Sends and picks up. `who` is noted in timelines."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def pick_up(self, row_id: int, folder: Path, who: str) -> list[Path]:
        """Write a message that is not for the archive to `folder`; the files.

        Its sender gets LEVERT once everything is durably written. Picking it up again
        writes it again and tells nobody. Raises `NotDone`, `FileExistsError`.
        """
        dossier = self._operations.show(row_id)
        message = dossier.message
        if message.kind is not Kind.OTHER or message.direction is not Direction.INCOMING:
            raise NotDone(Obstacle.NOT_FOR_PICKUP)
        folder.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        written = [_write(folder, one, taken) for _, one in dossier.documents]
        with self._operations.ledger.entry() as entry:
            if messages.get(entry.tx, row_id).state is Status.INNKOMMENDE_LEVERT:
                entry.note(message, f"Hentet igjen av {who}")
            else:
                entry.record(message, Fact.PICKED_UP, f"Hentet av {who}")
        return written

    def send(
        self,
        receiver: str,
        identifier: str,
        content: object,
        files: Iterable[tuple[str, str, BinaryIO]],
        who: str,
        *,
        process: str = AVTALT_PROCESS,
        sender: str | None = None,
    ) -> Message:
        """Send what two parties agreed on: any JSON `content`, and files with name and type.

        `sender` is one of the organisations that we serve, our own when it is left out.
        Accepted means durable; the gateway sends it as it sends letters. Raises `NotDone`.
        """
        books = self._operations.books
        ours = books.policy.find(sender) if sender else books.policy.own
        if ours is None:
            raise NotDone(Obstacle.NOT_SERVED)
        said = json.dumps({"identifier": identifier, "content": content}, ensure_ascii=False)
        kept: list[Content] = []
        business = Document("avtalt.json", "application/json", self._keep([said.encode()], kept))
        documents = [
            Document(name, mime, self._keep(_pieces(stream), kept)) for name, mime, stream in files
        ]
        new_id = books.new_id()
        books.blobs.keep(kept)
        with self._operations.ledger.entry() as entry:
            stored = messages.add(
                entry.tx,
                Message(
                    direction=Direction.OUTGOING,
                    kind=Kind.OTHER,
                    message_id=new_id,
                    conversation_id=new_id,
                    sender=ours.orgnr,
                    receiver=receiver,
                    process=process,
                    document_type=AVTALT_TYPE,
                    channel=books.policy.channel,
                    transport_ref=books.new_id(),
                    created=entry.now,
                    expires=entry.now + books.policy.time_to_live,
                ),
            )
            messages.add_documents(entry.tx, stored.row_id, [business], Role.BUSINESS)
            messages.add_documents(entry.tx, stored.row_id, documents)
            entry.record(stored, Fact.ACCEPTED, f"Sendt av {who}")
        return stored

    def _keep(self, pieces: Iterable[bytes], kept: list[Content]) -> Blob:
        writer = self._operations.books.blobs.create(beside=kept)
        try:
            for piece in pieces:
                writer.write(piece)
            content = writer.commit()
        finally:
            writer.discard()
        kept.append(content)
        return content


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _write(folder: Path, document: Document, taken: set[str]) -> Path:
    """Copy a document to a new file, durably. The name was checked when it was unpacked.

    A sender may call a file as we call what lies outside the files; then it gets a number.
    """
    name = Path(document.filename).name
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{Path(document.filename).stem}-{number}{Path(document.filename).suffix}"
    taken.add(name.lower())
    path = folder / name
    with document.content.open() as source, path.open("xb") as target:
        for piece in _pieces(source):
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    return path
