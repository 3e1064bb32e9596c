"""A person is called: once a cause, again while it lasts, and when it is over."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from gateway.engine.alerts import Alerts, Kind, Notice
from gateway.engine.context import Books, Policy, Served
from gateway.engine.health import Finding, Health, Limits, Subject
from gateway.errors import ConfigurationError, Unavailable
from gateway.model import Direction, Status
from gateway.notices import MailChannel, MailServer, WebhookChannel
from gateway.store import messages
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.messages import Message

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class MailSink(socketserver.ThreadingTCPServer):
    """A mail server that keeps what it is given; SMTP over a real socket."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        super().__init__(("127.0.0.1", 0), _Smtp)


class _Smtp(socketserver.StreamRequestHandler):
    server: MailSink

    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part.removeprefix(b".") if part.startswith(b"..") else part)
                parsed = message_from_bytes(b"".join(lines), policy=policy.default)
                assert isinstance(parsed, EmailMessage)
                self.server.mails.append(parsed)
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")
            if verb == b"QUIT":
                return


class HookSink(ThreadingHTTPServer):
    """Keeps what is posted to it; answers `status`."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], dict[str, str]]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Hook)


class _Hook(BaseHTTPRequestHandler):
    server: HookSink

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with MailSink() as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        yield sink
        sink.shutdown()


@pytest.fixture
def hook() -> Iterator[HookSink]:
    with HookSink() as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        yield sink
        sink.shutdown()


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(tmp_path: Path, clock: Clock) -> Iterator[Books]:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield Books(
        database=database,
        blobs=BlobStore(tmp_path / "blobs"),
        policy=Policy((Served("910077473", "p360"),), "p"),
        now=clock,
    )
    database.close()


def fail(books: Books, number: int = 1) -> Message:
    """A message that failed."""
    with books.database.write() as tx:
        return messages.add(
            tx,
            Message(
                Direction.OUTGOING,
                messages.Kind.LETTER,
                f"00000000-0000-4000-8000-{number:012}",
                f"00000000-0000-4000-8000-{number:012}",
                "910077473",
                "910075918",
                books.now(),
                state=Status.FEIL,
            ),
        )


def mail_channel(sink: MailSink) -> MailChannel:
    return MailChannel(
        MailServer(
            "127.0.0.1",
            "gateway@kommune.example",
            ["drift@kommune.example", "vakt@kommune.example"],
            port=sink.server_address[1],
            security="none",
        )
    )


def hook_channel(sink: HookSink, token: str | None = None) -> WebhookChannel:
    return WebhookChannel(f"http://127.0.0.1:{sink.server_address[1]}/in", httpx.Client(), token)


def test_a_cause_is_told_once_then_reminded_then_resolved(
    books: Books, clock: Clock, mail: MailSink, hook: HookSink
) -> None:
    health = Health(books, limits=Limits(free_bytes=0))
    alerts = Alerts(books, health, [mail_channel(mail), hook_channel(hook, "hemmelig")])
    assert alerts.check() == []

    failed = fail(books)
    for _ in range(3):
        alerts.check()
        clock.now += timedelta(minutes=1)
    assert [post["kind"] for _, post in hook.posts] == ["raised"]
    headers, post = hook.posts[0]
    assert headers["Authorization"] == "Bearer hemmelig"
    assert post["cause"] == "dead letters"
    assert post["orgnr"] == "910077473"
    (told,) = mail.mails
    assert told["Subject"] == "edu-gateway 910077473: dead letters needs attention"
    assert told["To"] == "drift@kommune.example, vakt@kommune.example"
    assert "1 messages failed" in told.get_content()

    clock.now += timedelta(hours=24)
    alerts.check()
    assert [post["kind"] for _, post in hook.posts] == ["raised", "reminder"]

    with books.database.write() as tx:
        messages.change(tx, failed.row_id, handled=clock.now)
    alerts.check()
    alerts.check()
    assert [post["kind"] for _, post in hook.posts] == ["raised", "reminder", "resolved"]
    assert len(mail.mails) == 3


def test_a_restart_and_a_second_node_do_not_tell_it_again(books: Books, hook: HookSink) -> None:
    health = Health(books, limits=Limits(free_bytes=0))
    fail(books)
    for _ in range(3):
        Alerts(books, health, [hook_channel(hook)]).check()
    assert len(hook.posts) == 1


def test_more_of_it_is_told_after_an_hour_and_not_after_a_day(
    books: Books, clock: Clock, hook: HookSink
) -> None:
    alerts = Alerts(books, Health(books, limits=Limits(free_bytes=0)), [hook_channel(hook)])
    fail(books, 1)
    alerts.check()
    fail(books, 2)
    clock.now += timedelta(minutes=30)
    assert alerts.check() == []
    clock.now += timedelta(minutes=31)
    (again,) = alerts.check()
    assert again.kind is Kind.REMINDER
    assert "2 messages" in again.summary


def test_one_channel_that_fails_does_not_silence_the_other(
    books: Books, mail: MailSink, hook: HookSink
) -> None:
    hook.status = 500
    fail(books)
    health = Health(books, limits=Limits(free_bytes=0))
    Alerts(books, health, [hook_channel(hook), mail_channel(mail)]).check()
    assert len(mail.mails) == 1


def test_a_database_that_is_away_is_told_once_and_resolved_when_it_is_back(
    books: Books, hook: HookSink, tmp_path: Path
) -> None:
    health = Health(books, limits=Limits(free_bytes=0))
    alerts = Alerts(books, health, [hook_channel(hook)])
    here, away = tmp_path / "gateway.db", tmp_path / "away"
    books.database.close()
    here.rename(away)
    here.mkdir()  # nothing can be opened under this name
    alerts.check()
    alerts.check()
    assert [(post["cause"], post["kind"]) for _, post in hook.posts] == [("database", "raised")]
    here.rmdir()
    away.rename(here)
    alerts.check()
    assert hook.posts[-1][1]["kind"] == "resolved"
    assert len(hook.posts) == 2


def test_a_full_disk_and_failing_polls_are_causes_of_their_own(
    books: Books, hook: HookSink
) -> None:
    health = Health(
        books,
        limits=Limits(free_bytes=1 << 60),
        network_problem=lambda: (START, "TokenRefused: invalid_grant 01010112345"),
    )
    Alerts(books, health, [hook_channel(hook)]).check()
    said = {post["cause"]: post["summary"] for _, post in hook.posts}
    assert set(said) == {"disk", "network"}
    assert "invalid_grant ***********" in said["network"]


def test_numbers_that_may_be_a_persons_are_masked(books: Books, hook: HookSink) -> None:
    class Fixed(Health):
        def examine(self) -> list[Finding]:
            return [Finding(Subject.ARCHIVE, False, "failed: 01010112345")]

    Alerts(books, Fixed(books), [hook_channel(hook)]).check()
    assert hook.posts[0][1]["summary"] == "failed: ***********"


def test_a_mail_server_that_is_not_there_is_an_outage_and_not_a_crash() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = MailServer("127.0.0.1", "a@b.example", ["c@d.example"], port=port, security="none")
    with pytest.raises(Unavailable):
        MailChannel(server).tell(Notice(Kind.RAISED, "disk", "full", START, START, "910077473"))


@pytest.mark.parametrize(
    "wrong",
    [{"security": "maybe"}, {"receivers": [""]}, {"sender": ""}, {"password": "x"}],
)
def test_wrong_mail_settings_are_named_at_start(wrong: dict[str, object]) -> None:
    server = MailServer("h", "a@b.example", ["c@d.example"], security="none", username="u")
    with pytest.raises(ConfigurationError, match=r"alerts\.mail_"):
        MailChannel(replace(server, **wrong))  # type: ignore[arg-type]
