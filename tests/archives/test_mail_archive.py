"""Mail, through a real SMTP server on loopback, read back as a mail reader would."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from archive_letters import ENVELOPE, make_melding
from archive_stand_ins import Mailbox, MailConversation, server_tls
from lxml import etree

from gateway.archives.mail import MailArchive, MailSettings
from gateway.archives.mail_message import attachments_of
from gateway.errors import ArchiveFault, ArchiveUnclear, ArchiveUnreachable, ConfigurationError
from gateway.model import OK, AppReceipt, Envelope, Party, ReceiptType, StatusMessage
from gateway.ports import Delivery

LETTER = Delivery(ENVELOPE, make_melding(b"%PDF-1.4 " + bytes(range(256)) * 40, b"", b".\r\n.\r\n"))


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def archive(mailbox: Mailbox) -> Callable[..., MailArchive]:
    def make(**settings: Any) -> MailArchive:
        values: dict[str, Any] = {
            "name": "post",
            "host": "127.0.0.1",
            "port": mailbox.port,
            "sender": "gateway@kommune.example",
            "receivers": ("postmottak@kommune.example", "arkiv@kommune.example"),
            "security": "none",
            "timeout": 5.0,
            **settings,
        }
        return MailArchive(MailSettings(**values))

    return make


def _files(mail: EmailMessage) -> dict[str, bytes]:
    return {
        part.get_filename() or "": part.get_payload(decode=True) or b""  # type: ignore[misc]
        for part in mail.iter_attachments()
    }


def test_letter_arrives_with_text_first_and_every_document(
    mailbox: Mailbox, archive: Callable[..., MailArchive]
) -> None:
    """The predecessor put the text last and declared UTF-8 bytes to be Latin-1."""
    assert archive().put_message(LETTER) == OK
    (mail,) = mailbox.mails
    parts = list(mail.iter_parts())
    assert parts[0].get_content_type() == "text/plain"
    assert "BestEdu-melding" in parts[0].get_content()
    assert "fått" in parts[0].get_content()
    assert mail["Subject"] == (
        "Integrasjonspunkt: melding fra 991825827, "
        "conversationId=6f3c2b7e-55c1-4a0e-9d0a-0d3f6e7e2f10"
    )
    assert mail["To"] == "postmottak@kommune.example, arkiv@kommune.example"
    files = _files(mail)
    assert list(files) == ["dokument-1.pdf", "dokument-2.pdf", "dokument-3.pdf", "payload.xml"]
    assert files["dokument-1.pdf"] == b"%PDF-1.4 " + bytes(range(256)) * 40
    assert files["dokument-2.pdf"] == b""
    assert files["dokument-3.pdf"] == b".\r\n.\r\n"
    metadata = etree.fromstring(files["payload.xml"])
    assert metadata.findtext("journpost/jpInnhold") == "Svar på søknad"
    assert {element.text for element in metadata.iter("base64")} == {None}
    assert files["payload.xml"].startswith(b'<?xml version="1.0" encoding="UTF-8"?>')


def test_stated_size_is_exact(mailbox: Mailbox, archive: Callable[..., MailArchive]) -> None:
    archive().put_message(LETTER)
    assert mailbox.stated_sizes == [len(mailbox.raw[0])]


def test_receipt_says_what_the_archive_said(
    mailbox: Mailbox, archive: Callable[..., MailArchive]
) -> None:
    receipt = AppReceipt(ReceiptType.WARNING, (StatusMessage("Merk", "ålesund"),) * 2)
    assert archive().put_message(Delivery(ENVELOPE, receipt)) == OK
    (mail,) = mailbox.mails
    text = next(mail.iter_parts()).get_content()
    assert "Kvittering (AppReceipt) mottatt" in text
    assert "WARNING" in text
    assert text.count("Merk: ålesund") == 2
    assert b"WARNING" in _files(mail)["kvittering.xml"]


def test_letter_larger_than_the_server_takes_is_split_and_nothing_is_lost(
    mailbox: Mailbox, archive: Callable[..., MailArchive]
) -> None:
    """The predecessor sent a notice instead, dropped the letter, and reported it delivered."""
    documents = [bytes([number]) * 60_000 for number in range(5)]
    mailbox.size_limit = "200000"
    assert archive().put_message(Delivery(ENVELOPE, make_melding(*documents))) == OK
    assert len(mailbox.mails) == 3
    assert all(len(raw) <= 200_000 for raw in mailbox.raw)
    assert "(2 av 3)" in mailbox.mails[1]["Subject"]
    files = {name: data for mail in mailbox.mails for name, data in _files(mail).items()}
    assert [files[f"dokument-{number}.pdf"] for number in range(1, 6)] == documents
    assert "payload.xml" in files
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 3


def test_document_that_fits_in_no_mail_is_stored_and_pointed_to(
    mailbox: Mailbox, archive: Callable[..., MailArchive], tmp_path: Path
) -> None:
    large = b"stor" * 100_000
    letter = Delivery(ENVELOPE, make_melding(b"liten", large))
    assert archive(max_size=100_000, overflow_folder=tmp_path / "f").put_message(letter) == OK
    (stored,) = (tmp_path / "f").iterdir()
    assert stored.read_bytes() == large
    text = next(mailbox.mails[0].iter_parts()).get_content()
    assert str(stored) in text.replace("\n", "")
    assert hashlib.sha256(large).hexdigest() in text
    assert "dokument-1.pdf" in _files(mailbox.mails[0])


def test_without_a_folder_the_letter_is_refused_before_anything_is_sent(
    mailbox: Mailbox, archive: Callable[..., MailArchive]
) -> None:
    letter = Delivery(ENVELOPE, make_melding(b"liten", b"stor" * 100_000))
    answer = archive(max_size=100_000).put_message(letter)
    assert answer.type is ReceiptType.ERROR
    assert "dokument-2.pdf" in answer.messages[0].text
    assert mailbox.mails == []


def test_repetition_has_the_same_message_id(
    mailbox: Mailbox, archive: Callable[..., MailArchive]
) -> None:
    archive().put_message(LETTER)
    archive().put_message(LETTER)
    assert mailbox.mails[0]["Message-ID"] == mailbox.mails[1]["Message-ID"]


def test_headers_cannot_be_injected(mailbox: Mailbox, archive: Callable[..., MailArchive]) -> None:
    odd = Envelope(Party("99\r\nBcc: x@y.example"), None, "a\nb\x00æ")
    archive().put_message(Delivery(odd, LETTER.payload))
    assert mailbox.mails[0]["Bcc"] is None
    assert mailbox.mails[0]["Subject"].endswith("conversationId=a b æ")


def test_file_names_are_safe_and_distinct() -> None:
    melding = make_melding(b"1", b"2", b"3", b"4")
    names = ["../../etc/passwd", "a.pdf", "A.PDF", ""]
    for element, name in zip(melding.root.iter("veFilnavn"), names, strict=True):
        element.text = name
    for element in melding.root.iter("veMimeType"):
        element.text = "text/html\r\nX: y"
    found = attachments_of(melding)
    assert [item.filename for item in found] == ["_.._etc_passwd", "a.pdf", "3-A.PDF", "Dokument 4"]
    assert {item.mime_type for item in found} == {"application/octet-stream"}


@pytest.mark.parametrize(
    ("verb", "answer", "error"),
    [
        ("MAIL", b"550 not allowed", ArchiveFault),
        ("RCPT", b"550 no such user", ArchiveFault),
        ("RCPT", b"450 greylisted", ArchiveUnreachable),
        ("DATA", b"554 no", ArchiveFault),
        ("END", b"552 too large", ArchiveFault),
        ("END", b"451 try later", ArchiveUnreachable),
        ("EHLO", b"421 closing", ArchiveUnreachable),
    ],
)
def test_refusals_are_told_apart(
    mailbox: Mailbox,
    archive: Callable[..., MailArchive],
    verb: str,
    answer: bytes,
    error: type[Exception],
) -> None:
    mailbox.answers[verb] = answer
    if verb == "EHLO":
        mailbox.answers["HELO"] = answer
    with pytest.raises(error, match=answer.decode().split(" ", 1)[1]):
        archive().put_message(LETTER)


def test_lost_connection_after_the_mail_leaves_it_in_doubt(
    mailbox: Mailbox, archive: Callable[..., MailArchive]
) -> None:
    mailbox.drop_after_data = 1
    with pytest.raises(ArchiveUnclear):
        archive().put_message(LETTER)


def test_trouble_after_the_last_mail_was_accepted_changes_nothing(
    mailbox: Mailbox, archive: Callable[..., MailArchive]
) -> None:
    mailbox.answers["QUIT"] = b"500 what?"
    assert archive().put_message(LETTER) == OK


def test_half_a_letter_is_in_doubt(
    mailbox: Mailbox, archive: Callable[..., MailArchive], monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.size_limit = "200000"
    real = MailConversation._read_mail

    def refuse_second(self: MailConversation) -> bool:
        if self.server.mails:
            self.server.answers["END"] = b"552 full"
        return real(self)

    monkeypatch.setattr(MailConversation, "_read_mail", refuse_second)
    letter = Delivery(ENVELOPE, make_melding(*[b"x" * 100_000] * 3))
    with pytest.raises(ArchiveUnclear, match="1 of several"):
        archive().put_message(letter)


def test_server_that_is_not_there_is_unreachable(archive: Callable[..., MailArchive]) -> None:
    with pytest.raises(ArchiveUnreachable):
        archive(port=1).put_message(LETTER)


def test_starttls_and_login(
    mailbox: Mailbox, archive: Callable[..., MailArchive], tmp_path: Path
) -> None:
    mailbox.tls, ca_file = server_tls(tmp_path)
    login = {"security": "starttls", "ca_file": ca_file, "username": "gateway"}
    assert archive(**login, password="hemmelig").put_message(LETTER) == OK
    assert mailbox.logins == [b"\0gateway\0hemmelig"]
    with pytest.raises(ArchiveFault, match="wrong password") as caught:
        archive(**login, password="feil").put_message(LETTER)
    assert caught.value.fault_code == "SMTP 535"
    assert len(mailbox.mails) == 1


def test_mail_server_with_an_unknown_certificate_gets_nothing(
    mailbox: Mailbox, archive: Callable[..., MailArchive], tmp_path: Path
) -> None:
    mailbox.tls, _ = server_tls(tmp_path)
    with pytest.raises(ArchiveUnreachable, match="CERTIFICATE"):
        archive(security="starttls").put_message(LETTER)
    assert mailbox.mails == []


def test_missing_starttls_is_not_worked_around(archive: Callable[..., MailArchive]) -> None:
    with pytest.raises(ConfigurationError, match="STARTTLS"):
        archive(security="starttls").put_message(LETTER)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"receivers": ()}, "receivers"),
        ({"sender": "nobody"}, "nobody"),
        ({"receivers": ("a@b>\r\nRCPT TO:<c@d",)}, "address"),
        ({"security": "maybe"}, "security"),
        ({"password": "x"}, "password"),
        ({"max_size": 100}, "max_size"),
    ],
)
def test_wrong_setting_is_named(
    archive: Callable[..., MailArchive], change: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        archive(**change)
