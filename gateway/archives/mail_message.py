"""Mails as streams: text first, then the documents, then the metadata.

Everything is UTF-8 and base64, so that no line can be mistaken for the end of the mail or
of a part. A mail knows its exact size before the first byte is written, and no document
is ever in memory as a whole.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import pybase64
from lxml import etree

from gateway.edu.write import melding_payload
from gateway.errors import DigestMismatch
from gateway.model import CONTENT_REF, Content, Document, Melding

_LINE = 57
"""Bytes that make one base64 line of 76 characters."""
_READ = _LINE * 4096


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file of a mail: its bytes, or content that lies somewhere else."""

    filename: str
    mime_type: str
    content: bytes | Content

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.size


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. `boundary` must hold a character that base64 has not."""

    sender: str
    receivers: tuple[str, ...]
    subject: str
    message_id: str
    date: datetime
    text: str
    attachments: tuple[Attachment, ...]
    boundary: str

    @property
    def size(self) -> int:
        """Exact size in bytes as it is sent, without the final dot."""
        return sum(
            len(piece) if isinstance(piece, bytes) else _encoded_size(piece.size)
            for piece in self._pieces()
        )

    def chunks(self) -> Iterator[bytes]:
        """The mail, ready for the wire. Raises `DigestMismatch` for a changed document."""
        for piece in self._pieces():
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from _encoded(piece)

    def _pieces(self) -> Iterator[bytes | Content]:
        head = EmailMessage(SMTP)
        head["From"] = self.sender
        head["To"] = ", ".join(self.receivers)
        head["Subject"] = _one_line(self.subject)
        head["Date"] = format_datetime(self.date)
        head["Message-ID"] = self.message_id
        head["MIME-Version"] = "1.0"
        # Not by EmailMessage, which would write the parts' frame at once.
        content_type = f'Content-Type: multipart/mixed; boundary="{self.boundary}"\r\n\r\n'
        yield bytes(head).removesuffix(b"\r\n") + content_type.encode("ascii")
        text = self.text.encode("utf-8")
        yield self._part_head('text/plain; charset="utf-8"', None)
        yield _encoded_bytes(text)
        for attachment in self.attachments:
            yield self._part_head(attachment.mime_type, attachment.filename)
            content = attachment.content
            yield _encoded_bytes(content) if isinstance(content, bytes) else content
        yield f"--{self.boundary}--\r\n".encode("ascii")

    def _part_head(self, content_type: str, filename: str | None) -> bytes:
        part = EmailMessage(SMTP)
        part["Content-Type"] = content_type
        part["Content-Transfer-Encoding"] = "base64"
        if filename is not None:
            part.add_header("Content-Disposition", "attachment", filename=filename)
        return f"--{self.boundary}\r\n".encode("ascii") + bytes(part)


def attachments_of(melding: Melding) -> list[Attachment]:
    """The documents of a letter in their order, each with a file name of its own."""
    attachments: list[Attachment] = []
    taken: set[str] = set()
    for number, document in enumerate(_documents(melding), start=1):
        name = _file_name(document.filename) or f"dokument-{number}"
        while name.lower() in taken:
            name = f"{number}-{name}"
        taken.add(name.lower())
        attachments.append(Attachment(name, _mime_type(document.mime_type), document.content))
    return attachments


def metadata_of(melding: Melding) -> bytes:
    """The letter's XML with its documents taken out, UTF-8."""
    root = copy.deepcopy(melding.root)
    for element in root.iter("{*}base64"):
        if CONTENT_REF in element.attrib:
            del element.attrib[CONTENT_REF]
    return b"".join(melding_payload(Melding(root)).chunks())


def split(
    attachments: Sequence[Attachment], room: int
) -> tuple[list[list[Attachment]], list[Attachment]]:
    """Attachments in groups of at most `room` encoded bytes each, and those that fit in none.

    Order is kept within the groups. There is always one group at least.
    """
    groups: list[list[Attachment]] = [[]]
    too_large: list[Attachment] = []
    used = 0
    for attachment in attachments:
        size = _encoded_size(attachment.size) + 1000  # headers with a long encoded name
        if size > room:
            too_large.append(attachment)
            continue
        if used + size > room and groups[-1]:
            groups.append([])
            used = 0
        groups[-1].append(attachment)
        used += size
    return groups, too_large


def _documents(melding: Melding) -> Iterator[Document]:
    for dokument in melding.root.iter("{*}dokument"):
        for encoded in dokument.iter("{*}base64"):
            ref = encoded.get(CONTENT_REF)
            if ref is not None:
                yield Document(
                    _value(dokument, "veFilnavn") or _value(dokument, "dbTittel"),
                    _value(dokument, "veMimeType"),
                    melding.contents[ref],
                )


def _value(dokument: etree._Element, name: str) -> str:
    return (dokument.findtext(f"{{*}}{name}") or "").strip()


def _file_name(name: str) -> str:
    """`name` without what no file system or mail reader should be given."""
    return re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", name).strip(" .")[-120:]


def _mime_type(value: str) -> str:
    plain = re.fullmatch(r"[A-Za-z0-9.+-]{1,100}/[A-Za-z0-9.+-]{1,100}", value)
    composite = value.lower().startswith(("multipart/", "message/"))
    return value if plain and not composite else "application/octet-stream"


def _one_line(value: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", value)


def _encoded_size(size: int) -> int:
    full, rest = divmod(size, _LINE)
    return full * 78 + ((rest + 2) // 3 * 4 + 2 if rest else 0)


def _encoded_bytes(data: bytes) -> bytes:
    return pybase64.encodebytes(data).replace(b"\n", b"\r\n")


def _encoded(content: Content) -> Iterator[bytes]:
    left = content.size
    waiting = b""
    with content.open() as stream:
        while left and (block := stream.read(min(_READ, left))):
            left -= len(block)
            waiting += block
            whole = len(waiting) - len(waiting) % _LINE
            yield _encoded_bytes(waiting[:whole])
            waiting = waiting[whole:]
        if left or stream.read(1):
            raise DigestMismatch("a stored document has not the length that was recorded")
    yield _encoded_bytes(waiting)
