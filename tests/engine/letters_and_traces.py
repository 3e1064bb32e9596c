"""Requests, and what can be seen of them afterwards, for the tests of the engine."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape

import httpx
from cryptography import x509

from gateway.demo import Demo, Side
from gateway.model import (
    EXCHANGE_NAMESPACE,
    MELDING_NAMESPACE,
    Direction,
    Document,
    ReceiptType,
    Status,
)
from gateway.package import Sbd, build_package
from gateway.ports import Parcel
from gateway.store import messages
from gateway.store.messages import Kind, Message, Role
from gateway.store.tables import message as messages_table

UNKNOWN_ORGNR = "889640782"
CONTENT = random.Random(1).randbytes(300_000)


@dataclass
class Pair:
    """A (P360) and B (ePhorte)."""

    demo: Demo

    @property
    def a(self) -> Side:
        return self.demo.sides[0]

    @property
    def b(self) -> Side:
        return self.demo.sides[1]


def melding(
    *files: tuple[str, bytes],
    title: str = "Svar på søknad",
    journpost: bool = True,
    noarksak: bool = True,
) -> str:
    """A small letter of our own."""
    documents = "".join(
        f"<dokument><dlRnr>{number}</dlRnr><dlType>{'H' if number == 1 else 'V'}</dlType>"
        f"<dbTittel>{escape(name)}</dbTittel><veVariant>P</veVariant>"
        f"<fil><base64>{base64.b64encode(data).decode()}</base64></fil>"
        f"<veFilnavn>{escape(name)}</veFilnavn><veMimeType>text/plain</veMimeType></dokument>"
        for number, (name, data) in enumerate(files, start=1)
    )
    post = (
        f'<journpost xmlns=""><jpId>17</jpId><jpJaar>2026</jpJaar><jpJpostnr>3</jpJpostnr>'
        f"<jpNdoktype>U</jpNdoktype><jpInnhold>{escape(title)}</jpInnhold>"
        f"<avsmot><amIhtype>1</amIhtype><amNavn>Skogland</amNavn></avsmot>{documents}</journpost>"
    )
    sak = '<noarksak xmlns=""><saId>42</saId><saTittel>Byggesak</saTittel></noarksak>'
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Melding xmlns="{MELDING_NAMESPACE}">'
        f"{post if journpost else ''}{sak if noarksak else ''}</Melding>"
    )


def put_message(
    payload: str, *, receiver: str, conversation_id: str | None, sender: str = ""
) -> bytes:
    """A PutMessage with `payload` as escaped text."""
    conversation = "" if conversation_id is None else f' conversationId="{conversation_id}"'
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<PutMessageRequest xmlns="{EXCHANGE_NAMESPACE}">'
        f'<envelope contentNamespace="{MELDING_NAMESPACE}"{conversation} xmlns="">'
        f"<sender><orgnr>{sender}</orgnr></sender>"
        f"<receiver><orgnr>{receiver}</orgnr></receiver></envelope>"
        f'<payload xmlns="">{escape(payload)}</payload>'
        "</PutMessageRequest></s:Body></s:Envelope>"
    ).encode()


def post(side: Side, body: bytes) -> httpx.Response:
    """As curl would."""
    return httpx.post(
        side.gateway.url,
        content=body,
        headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'},
        timeout=30,
    )


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for `condition`; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def letter_of(side: Side, conversation_id: str) -> Message | None:
    """The outgoing letter that the archive of `side` calls `conversation_id`."""
    with side.gateway.database.read() as tx:
        return messages.find(
            tx,
            messages_table.c.archive_conversation_id == conversation_id,
            messages_table.c.kind == Kind.LETTER,
            messages_table.c.sender == side.orgnr,
        )


def timeline(side: Side, conversation_id: str) -> list[Status]:
    letter = letter_of(side, conversation_id)
    assert letter is not None
    with side.gateway.database.read() as tx:
        return [one.status for one in messages.events(tx, letter.row_id)]


def receipts(side: Side, conversation_id: str) -> list:
    return [one for one in side.archive.receipts if one.conversation_id == conversation_id]


def filed(side: Side, conversation_id: str) -> list:
    return [one for one in side.archive.letters if one.conversation_id == conversation_id]


def stored_traces(side: Side) -> tuple[int, int]:
    """How many messages and blob files there are."""
    with side.gateway.database.read() as tx:
        rows = len(messages.select(tx, limit=100_000))
    return rows, sum(1 for path in side.gateway.blobs.folder.rglob("*") if path.is_file())


def send(pair: Pair, content: bytes = CONTENT) -> str:
    """A letter from A to B that A's gateway takes; what the archive calls it."""
    conversation_id, answer = pair.a.archive.send_letter(
        pair.b.orgnr, [("brev.pdf", "application/pdf", content)]
    )
    assert answer.type is ReceiptType.OK
    return conversation_id


def arrives_once(
    pair: Pair, conversation_id: str, seconds: float = 30, content: bytes = CONTENT
) -> None:
    """Filed once, intact, with one receipt home, and published once on the network."""
    until(lambda: Status.LEVERT in timeline(pair.a, conversation_id), seconds)
    until(lambda: receipts(pair.a, conversation_id), seconds)
    (letter,) = filed(pair.b, conversation_id)
    assert [one.content.sha256 for one in letter.documents] == [hashlib.sha256(content).hexdigest()]
    assert [one.type for one in receipts(pair.a, conversation_id)] == [ReceiptType.OK]
    assert len(published(pair, conversation_id)) == 1


def published(pair: Pair, conversation_id: str) -> list[str]:
    """The transfers with this letter of which the network has the bytes."""
    letter = letter_of(pair.a, conversation_id)
    assert letter is not None
    return [
        one.id
        for one in pair.demo.network.transfers
        if one.reference == letter.transport_ref
        and one.sender.endswith(pair.a.orgnr)
        and one.file is not None
        and one.size > len(CONTENT) // 2  # statuses and receipts echo the reference
    ]


def inject(pair: Pair, sbd: Sbd, *documents: Document) -> None:
    """Put any message from B on the network, as another vendor's software would."""
    context = pair.b.gateway.context
    certificate = None
    if documents:
        pem = context.addresses.find(sbd.receiver).certificate_pem
        assert pem is not None
        certificate = x509.load_pem_x509_certificate(pem.encode())
    package = io.BytesIO()
    built = build_package(
        package,
        sbd,
        documents,
        signer=context.identities[0],
        receiver_certificate=certificate,
    )
    writer = context.blobs.create()
    writer.write(package.getvalue())
    content = writer.commit()
    context.blobs.keep([content])
    parcel = Parcel(sbd.sender, sbd.receiver, str(uuid.uuid4()), content, built.md5)
    context.transport.upload(context.transport.announce(parcel), parcel)


def content_of(side: Side, conversation_id: str) -> tuple[Document, ...]:
    """The arkivmelding and the files of a letter that `side` has sent or received."""
    with side.gateway.database.read() as tx:
        letter = messages.find(
            tx,
            messages_table.c.archive_conversation_id == conversation_id,
            messages_table.c.kind == Kind.LETTER,
        )
        assert letter is not None
        return messages.documents(tx, letter.row_id, side.gateway.blobs, Role.METADATA, Role.FILE)


def received(side: Side, message_id: str, kind: Kind = Kind.LETTER) -> Message | None:
    """What came to `side` from the network under this message id."""
    with side.gateway.database.read() as tx:
        return messages.find(
            tx,
            messages_table.c.message_id == message_id,
            messages_table.c.kind == kind,
            messages_table.c.direction == Direction.INCOMING,
        )


def sent_by(side: Side, kind: Kind, related_to: str) -> list[Message]:
    """What the gateway of `side` made itself because of a message, oldest first."""
    with side.gateway.database.read() as tx:
        found = messages.select(
            tx,
            messages_table.c.kind == kind,
            messages_table.c.related_to == related_to,
            messages_table.c.direction == Direction.OUTGOING,
        )
    return found[::-1]
