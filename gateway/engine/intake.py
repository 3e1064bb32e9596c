"""What the archive is answered: PutMessage and GetCanReceiveMessage.

The order of the checks is the decision table of bestedu-soap 3 and 4; the letters and
numbers in comments are its rows. OK means durable (design, decision 6).
"""

from __future__ import annotations

import copy
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from lxml import etree
from sqlalchemy.engine import Connection

from gateway.edu.payload import Payload, PayloadKind
from gateway.engine.context import Context, Served
from gateway.engine.ledger import LETTER_TYPE, RECEIPT_PROCESS, RECEIPT_TYPE, Ledger
from gateway.engine.new_letters import NewLetter, NewLetters
from gateway.engine.own_receipt import record_late_receipt
from gateway.engine.prompt import Prompt
from gateway.errors import (
    CannotHandle,
    ConversationConflict,
    GatewayError,
    MessageRefused,
    PayloadMissing,
    PayloadUnreadable,
    ReceiverMissing,
    ReceiverNotOnNetwork,
    RequestRefused,
    TooLarge,
)
from gateway.model import (
    CONTENT_REF,
    OK,
    AppReceipt,
    Content,
    Direction,
    Document,
    Envelope,
    Melding,
    Party,
    Recipient,
)
from gateway.package import LARGEST, size_at_most
from gateway.store import jobs, messages
from gateway.store.jobs import Task
from gateway.store.messages import Duplicate, Kind, Message
from gateway.translate import Facts, to_arkivmelding

log = logging.getLogger(__name__)
audit = logging.getLogger("gateway.audit")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ELEVEN_DIGITS = re.compile(r"\d{11}")
_DIALOGUE_SECONDS = 5.0


class Intake:
    """Accepts what the archive hands us."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._context = context
        self._ledger = ledger
        self._policy = context.policy
        self._letters = NewLetters(ledger)
        self._prompt = Prompt(_DIALOGUE_SECONDS)

    def can_receive(self, orgnr: str | None) -> bool:
        """Whether a letter to `orgnr` would be sent. Never raises (G1-G6).

        Somebody waits in front of a dialogue: after 5 s without an answer it is false.
        """
        if not orgnr or _ELEVEN_DIGITS.search(orgnr):
            return False
        try:
            return self._prompt.ask(lambda: self._context.addresses.find(orgnr).service == "DPO")
        except MessageRefused:
            return False
        except TimeoutError:
            log.warning("GetCanReceiveMessage answered false: the registry is slow")
            return False
        except GatewayError as error:
            log.warning("GetCanReceiveMessage answered false: %s", error)
            return False

    def put_message(
        self, envelope: Envelope | None, payload: Payload, speaker: str | None = None
    ) -> AppReceipt:
        """Take a letter or a receipt; what the archive is answered.

        `speaker` is the organisation whose archive called, when its address told; the
        sender that it states is stronger.
        Raises `RequestRefused` and, when nothing can be decided now, `Unavailable` or
        `NeedsOperator`; those become Faults and the archive tries again.
        """
        if envelope is None:
            raise RequestRefused("EnvelopeMissing", "envelope is missing")  # P0
        try:
            return self._put_message(envelope, payload, speaker)
        except MessageRefused as refused:
            audit.info(
                "refused conversation_id=%s: %s", envelope.conversation_id, type(refused).__name__
            )
            return refused.receipt

    def _put_message(self, envelope: Envelope, payload: Payload, speaker: str | None) -> AppReceipt:
        is_receipt = payload.kind is PayloadKind.APPRECEIPT
        if is_receipt:
            envelope = self._parties_of_receipt(envelope, speaker)  # P1
        stated = self._policy.find(envelope.sender.orgnr if envelope.sender else None)
        ours = stated or self._policy.find(speaker)
        receiver = envelope.receiver.orgnr if envelope.receiver else None
        if is_receipt and receiver == self._policy.fallback_sender:  # P2
            audit.info("receipt to the fallback sender was discarded")
            return OK
        if not receiver:
            raise ReceiverMissing("the receiver's orgnr is missing")  # P3a, P3c
        recipient = self._context.addresses.find(receiver)  # P3b, P3d
        if is_receipt and recipient.service != "DPO":  # P4
            audit.info("receipt to %s was discarded: not on DPO", receiver)
            return OK
        match payload.kind:
            case PayloadKind.EMPTY:  # P6-P8
                if (ours or self._policy.own).ok_on_empty_payload:
                    return OK
                raise PayloadMissing("the payload is missing or empty")
            case PayloadKind.APPRECEIPT if payload.receipt is not None:  # P9
                return self._receipt(envelope, ours, receiver, payload.receipt)
            case PayloadKind.MELDING if payload.melding is not None:  # P10
                ours = ours or self._policy.own
                return self._letter(envelope, ours, recipient, payload.melding, payload.warnings)
        raise PayloadUnreadable(payload.problem or "neither a Melding nor an AppReceipt")  # M8

    def _parties_of_receipt(self, envelope: Envelope, speaker: str | None) -> Envelope:
        """P360 writes the parties of the letter; turn them round (bestedu-soap 3.6)."""
        sender, receiver = envelope.sender, envelope.receiver
        if sender is None or receiver is None:  # P1b
            missing = "sender" if sender is None else "receiver"
            raise RequestRefused("PartyMissing", f"envelope/{missing} is missing")
        if self._as_in_the_letter(envelope.conversation_id, sender.orgnr, receiver.orgnr, speaker):
            return replace(envelope, sender=receiver, receiver=sender)
        return envelope

    def _as_in_the_letter(
        self,
        conversation_id: str | None,
        sender: str | None,
        receiver: str | None,
        speaker: str | None,
    ) -> bool:
        """Whether a receipt's parties are those of its letter.

        The one who answers is ours. When both are, the letter that has come tells who.
        """
        if speaker is not None and (speaker == sender) != (speaker == receiver):
            return speaker == receiver
        one, other = self._policy.find(sender), self._policy.find(receiver)
        usual = (other or one or self._policy.own).parties_original
        if one is not None and other is not None and one is not other:
            with self._context.database.read() as tx:
                return self._answered(tx, conversation_id or "", one.orgnr, other.orgnr) is not None
        if (one is None) == (other is None) or not sender or not receiver:
            return usual
        if usual is not (other is not None):
            log.warning("the receipt was addressed to ourselves; taken the other way round")
        return other is not None

    # --- letters ----------------------------------------------------------------------

    def _letter(
        self,
        envelope: Envelope,
        ours: Served,
        recipient: Recipient,
        melding: Melding,
        warnings: tuple[str, ...],
    ) -> AppReceipt:
        archive_id = envelope.conversation_id or None
        content_hash = _content_hash(envelope, melding)
        key = (
            None
            if archive_id is None
            else f"out|{ours.orgnr}|{archive_id.lower()}|{recipient.orgnr}"
        )
        if key is not None:
            known = self._known(key)
            if known is not None:
                return _same_or_conflict(known, content_hash)  # M18
        if recipient.service != "DPO":
            raise ReceiverNotOnNetwork(f"{recipient.orgnr} is on {recipient.service}")  # M5
        recipient = self._context.addresses.find(recipient.orgnr, self._policy.process)  # M4

        now = self._context.now()
        facts = Facts(
            conversation_id=archive_id or self._context.new_id(),
            system=ours.system,
            now=now,
            sender_orgnr=ours.orgnr,
        )
        translated = to_arkivmelding(melding, facts, self._context.mapping)  # M9-M19
        size = sum(one.content.size for one in translated.documents)
        if size > self._policy.max_letter_bytes:
            raise TooLarge(f"{size} bytes of documents, {self._policy.max_letter_bytes} allowed")
        packed = size_at_most(
            [*(it.content.size for it in translated.documents), len(translated.xml)]
        )
        if packed > (largest := self._context.transport.largest or LARGEST):
            raise TooLarge(f"a package of up to {packed} bytes, {largest} can be sent")
        contents = [one.content for one in translated.documents]
        contents.append(metadata := self._write_metadata(translated.xml, contents))
        sender = envelope.sender or Party(None)
        notes = ()
        if sender.orgnr and sender.orgnr != ours.orgnr:  # P5, P5b
            notes = (f"envelope/sender/orgnr was not ours; sent as {ours.orgnr}",)
        letter = Message(
            direction=Direction.OUTGOING,
            kind=Kind.LETTER,
            message_id="",  # both are given when it is stored
            conversation_id="",
            archive_conversation_id=archive_id,
            sender=ours.orgnr,
            receiver=recipient.orgnr,
            sender_ref=sender.ref or None,
            receiver_ref=(envelope.receiver.ref if envelope.receiver else None) or None,
            process=self._policy.process,
            document_type=LETTER_TYPE,
            channel=self._policy.channel,
            channel_id=self._context.new_id() if self._policy.channel else None,
            transport_ref=self._context.new_id(),
            security_level=recipient.security_level,
            reference=_reference(melding),
            losses=translated.losses,
            warnings=(*warnings, *notes),
            content_hash=content_hash,
            duplicate_key=key,
            created=now,
            expires=now + self._policy.time_to_live,
        )
        # Kept before the commit: if its outcome is unclear, the sweep at the next start
        # decides, and never a row without its file.
        self._context.blobs.keep(contents)
        try:
            self._letters.store(
                NewLetter(
                    letter,
                    self._context.new_id(),
                    Document("arkivmelding.xml", "text/xml", metadata),
                    translated.documents,
                )
            )
        except Duplicate as duplicate:  # the same request arrived twice at the same time
            self._context.blobs.discard(metadata)
            known = self._known(str(duplicate))
            assert known is not None
            return _same_or_conflict(known, content_hash)
        return OK  # M21

    def _known(self, key: str) -> Message | None:
        with self._context.database.read() as tx:
            return messages.find(tx, duplicate_key=key)

    def _write_metadata(self, xml: bytes, beside: Sequence[Content]) -> Content:
        writer = self._context.blobs.create(beside)
        try:
            writer.write(xml)
            return writer.commit()
        finally:
            writer.discard()

    # --- receipts ---------------------------------------------------------------------

    def _receipt(
        self, envelope: Envelope, ours: Served | None, receiver: str, receipt: AppReceipt
    ) -> AppReceipt:
        archive_id = envelope.conversation_id
        if not archive_id:
            raise MessageRefused(
                "conversationId is missing", peer_text="conversationId is missing"
            )  # A4
        with self._ledger.entry() as entry:
            letter = self._answered(
                entry.tx, archive_id, receiver, None if ours is None else ours.orgnr
            )
            if letter is None:
                answering = (ours or self._policy.own).orgnr
                letter = self._unknown_letter(archive_id, receiver, answering)  # A5, A6
            else:  # an attempt whose answer was lost need not be made again
                messages.lock(entry.tx, letter.row_id)
                entry.hurry(letter, Task.DELIVER)
                jobs.cancel(entry.tx, letter.row_id, Task.RECEIPT)
                earlier = entry.answered(letter)
                if earlier is not None:  # the sender gets one answer (design, decision 8)
                    audit.info("another receipt for %s was not passed on", letter.message_id)
                    if earlier != receipt:
                        record_late_receipt(entry, letter, earlier, receipt)
                    return OK
            key = (
                f"receipt|{letter.receiver}|{letter.message_id}|{receiver}|{_receipt_hash(receipt)}"
            )
            try:
                entry.send_receipt(letter, receipt, duplicate_key=key)
            except Duplicate:
                audit.info("the archive repeated its receipt for %s", letter.message_id)
        return OK  # A7

    def _answered(
        self, tx: Connection, archive_id: str, sender: str, receiver: str | None
    ) -> Message | None:
        """The letter from `sender` that a receipt is for; to `receiver` when that is known."""
        known = {} if receiver is None else {"receiver": receiver}
        return messages.find(
            tx,
            direction=Direction.INCOMING,
            kind=Kind.LETTER,
            archive_conversation_id=_canonical(archive_id),
            sender=sender,
            **known,
        )

    def _unknown_letter(self, archive_id: str, sender: str, receiver: str) -> Message:
        """A stand-in for a letter that we never saw, so that its receipt still goes out."""
        if not _UUID.fullmatch(archive_id):
            raise CannotHandle(
                f"no letter is known by conversationId {archive_id!r}",
                explanation="conversationId er ukjent.",
            )
        log.warning("receipt for conversation %s, which is not known here", archive_id)
        return Message(
            direction=Direction.INCOMING,
            kind=Kind.LETTER,
            message_id=archive_id.lower(),
            conversation_id=archive_id.lower(),
            archive_conversation_id=archive_id,
            sender=sender,
            receiver=receiver,
            process=RECEIPT_PROCESS,
            document_type=RECEIPT_TYPE,
            created=self._context.now(),
        )


def _canonical(conversation_id: str) -> str:
    return conversation_id.lower() if _UUID.fullmatch(conversation_id) else conversation_id


def _same_or_conflict(known: Message, content_hash: str) -> AppReceipt:
    if known.content_hash == content_hash:
        audit.info("the archive repeated message %s; answered OK again", known.message_id)
        return OK
    raise ConversationConflict("conversationId was used before with other content")


def _content_hash(envelope: Envelope, melding: Melding) -> str:
    """What makes two requests the same letter: parties' refs, metadata and documents."""
    root = copy.deepcopy(melding.root)
    for element in root.iter():
        reference = element.get(CONTENT_REF) if isinstance(element.tag, str) else None
        if reference is not None:
            content = melding.contents.get(reference)
            element.set(CONTENT_REF, content.sha256 if content else "")
    digest = hashlib.sha256(etree.tostring(root, method="c14n"))
    for party in (envelope.sender, envelope.receiver):
        digest.update(f"|{party.ref if party else ''}".encode())
    return digest.hexdigest()


def _receipt_hash(receipt: AppReceipt) -> str:
    return hashlib.sha256(repr(receipt).encode()).hexdigest()[:16]


def _reference(melding: Melding) -> str | None:
    """``saId-jpJpostnr``, by which people know the letter (bestedu-soap 3.2.2)."""

    def text(group: str, name: str) -> str:
        found = melding.root.xpath(
            "*[local-name()=$group]/*[local-name()=$name]/text()", group=group, name=name
        )
        return str(found[0]).strip() if isinstance(found, list) and found else ""

    number = text("journpost", "jpJpostnr")
    return f"{text('noarksak', 'saId')}-{number}" if number else None
