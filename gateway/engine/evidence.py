"""Everything that is known of one message: as values, as plain data, as a zip."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any, BinaryIO

from gateway.engine.masking import masked_values
from gateway.model import Document, Event
from gateway.store.messages import Message, Role
from gateway.store.overview import Transfer, Work


@dataclass(frozen=True, slots=True)
class Dossier:
    """One message with all that belongs to it.

    `related` is the rest of its conversation, each with its timeline; `package` the
    finished package of an outgoing message.
    """

    message: Message
    events: Sequence[Event]
    work: Sequence[Work]
    transfers: Sequence[Transfer]
    documents: Sequence[tuple[Role, Document]]
    related: Sequence[tuple[Message, Sequence[Event]]]


def plain(value: Any) -> Any:
    """Dataclasses, times and enumerations as what JSON can hold; times in UTC."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def message_record(message: Message) -> dict[str, Any]:
    """A message as plain data. Values that were lost in translation are left out: they
    may be anything that a case worker wrote."""
    record = asdict(message)
    record["losses"] = [loss._asdict() for loss in message.losses]
    for loss in record["losses"]:
        del loss["value"]
    return masked_values(plain(record))  # type: ignore[no-any-return]


def timeline_record(events: Sequence[Event]) -> list[dict[str, Any]]:
    """A timeline as plain data."""
    return masked_values(plain([asdict(one) for one in events]))  # type: ignore[no-any-return]


def record(dossier: Dossier) -> dict[str, Any]:
    """The whole dossier as plain data, without the content of documents."""
    return {
        "message": message_record(dossier.message),
        "timeline": timeline_record(dossier.events),
        "work": masked_values(plain([asdict(one) for one in dossier.work])),
        "transfers": plain([asdict(one) for one in dossier.transfers]),
        "documents": [
            {
                "role": role.value,
                "filename": masked_values(one.filename),
                "mime_type": one.mime_type,
                "size": one.content.size,
                "sha256": one.content.sha256,
            }
            for role, one in dossier.documents
        ],
        "related": [
            {"message": message_record(one), "timeline": timeline_record(events)}
            for one, events in dossier.related
        ],
    }


def write_evidence(
    dossier: Dossier, target: BinaryIO, written: datetime, *, documents: bool = False
) -> None:
    """A zip that shows what happened to a message, for a dispute or a support case.

    Holds ``message.json``, ``timeline.json``, ``related.json``, ``arkivmelding.xml`` and
    the package as it was sent; the documents themselves only when asked for. `target`
    needs no seeking. Content is copied as a stream.
    """
    whole = record(dossier)
    whole["exported"] = plain(written)
    related = whole.pop("related")
    timeline = whole.pop("timeline")
    roles = {Role.METADATA, Role.BUSINESS, Role.PACKAGE} | ({Role.FILE} if documents else set())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (
            ("message.json", whole),
            ("timeline.json", timeline),
            ("related.json", related),
        ):
            archive.writestr(name, json.dumps(data, ensure_ascii=False, indent=2))
        for role, one in dossier.documents:
            if role not in roles:
                continue
            folder = "documents/" if role is Role.FILE else ""
            entry = zipfile.ZipInfo(folder + one.filename, written.timetuple()[:6])
            # Packages are encrypted, and documents mostly compressed already.
            packed = role in (Role.METADATA, Role.BUSINESS)
            entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            with one.content.open() as source, archive.open(entry, "w", force_zip64=True) as file:
                shutil.copyfileobj(source, file, 1 << 20)
