"""Dropped connections, a full disk and a kill during upload: no half letter, no false OK."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

import httpx
import pytest
from letters_and_traces import melding, put_message, until
from sqlalchemy.exc import OperationalError

from gateway.simulators.network import Network
from gateway.store import leases
from gateway.store.database import Database

OWN, OTHER = "910077473", "910075918"


class Gateway:
    """``edu-gateway run`` as a process of its own, with its data in `folder`."""

    def __init__(self, network: Network, folder: Path, more: str = "") -> None:
        own = network.organisations[OWN]
        environment = network.environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.log = folder / "log"
        self.config = folder / "gateway.toml"
        self.config.write_text(
            f"""
folder = "data"
[organisation]
orgnr = "{OWN}"
keystore = '{own.keystore}'
keystore_password = "{own.keystore_password}"
[archive]
dialect = "p360"
url = "http://127.0.0.1:9/closed"
[network]
token_url = "{environment.token_endpoint}"
token_audience = "{environment.audience}"
exchange_url = "{environment.exchange}"
broker_url = "{environment.broker}"
registry_url = "{environment.registry}"
client_id = "{own.client_id}"
system_user = "{own.external_ref}"
poll_seconds = 1
[listen]
port = {self.port}
{more}""",
            encoding="utf-8",
        )
        self.url = f"http://127.0.0.1:{self.port}/noarkExchange"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", "--config", str(self.config)],
            stdout=subprocess.DEVNULL,
            stderr=self.log.open("ab"),
        )
        until(self._answers, 60)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url + "?wsdl", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def post(self, body: bytes) -> httpx.Response:
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        return httpx.post(self.url, content=body, headers=headers, timeout=120)

    def blob_files(self) -> list[Path]:
        return [path for path in (self.folder / "data" / "blobs").rglob("*") if path.is_file()]

    def messages(self) -> int:
        with sqlite3.connect(self.folder / "data" / "gateway.db") as db:
            return db.execute("select count(*) from message").fetchone()[0]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Network(tmp_path_factory.mktemp("network")) as running:
        running.add_organisation(OWN, "Fjordvik kommune")
        running.add_organisation(OTHER, "Skogland fylkeskommune")
        # Nothing leaves, so what is stored is what was taken in.
        running.fault("initialize", times=None, status=503, body="{}")
        yield running


@pytest.fixture
def gateway(network: Network, tmp_path: Path) -> Iterator[Gateway]:
    one = Gateway(network, tmp_path)
    one.start()
    yield one
    one.kill()


def big_request(megabytes: int, conversation_id: str) -> bytes:
    """A PutMessage whose document is sent as one long line of base64."""
    letter = melding(("stor.pdf", b"@@"))
    content = base64.b64encode(bytes(range(256)) * 4096 * megabytes).decode()
    letter = letter.replace(base64.b64encode(b"@@").decode(), "@@")
    body = put_message(letter, receiver=OTHER, conversation_id=conversation_id)
    return body.replace(escape("@@").encode(), content.encode())


def test_a_kill_during_upload_leaves_nothing_and_the_letter_can_be_sent_again(
    gateway: Gateway,
) -> None:
    conversation_id = str(uuid.uuid4())
    body = big_request(120, conversation_id)
    before = set(gateway.blob_files())
    sender = socket.create_connection(("127.0.0.1", gateway.port))
    head = (
        f"POST /noarkExchange HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    sender.sendall(head.encode() + body)
    until(lambda: set(gateway.blob_files()) - before, 60)  # it is being decoded
    gateway.kill()
    sender.close()
    assert set(gateway.blob_files()) - before, "the kill came too late to prove anything"

    gateway.start()
    time.sleep(1.5)  # a file younger than the start might still be written
    gateway.kill()
    gateway.start()
    until(lambda: set(gateway.blob_files()) == before, 30)
    assert gateway.messages() == 0
    assert '<result type="OK"/>' in gateway.post(body).text
    assert gateway.messages() == 1


def test_what_was_answered_ok_is_there_after_a_kill_in_the_next_moment(gateway: Gateway) -> None:
    """The predecessor answered before its broker had acknowledged (2.2, loss 10)."""
    body = put_message(
        melding(("brev.txt", b"x" * 20_000)), receiver=OTHER, conversation_id=str(uuid.uuid4())
    )
    assert '<result type="OK"/>' in gateway.post(body).text
    gateway.kill()
    assert gateway.messages() == 1
    with sqlite3.connect(gateway.folder / "data" / "gateway.db") as db:
        documents = db.execute(
            "select blob, start, size, sha256 from document where role <> 'package'"
        ).fetchall()
    files = {path.name: path.read_bytes() for path in gateway.blob_files()}
    assert len(documents) == 2
    for blob, start, size, sha256 in documents:
        assert hashlib.sha256(files[blob][start : start + size]).hexdigest() == sha256


def test_documents_lie_encrypted_when_a_key_is_configured(network: Network, tmp_path: Path) -> None:
    gateway = Gateway(network, tmp_path, f'[database]\ndocument_key = "{"0f" * 32}"\n')
    gateway.start()
    try:
        secret = b"taushetsbelagt " * 100
        body = put_message(
            melding(("brev.txt", secret)), receiver=OTHER, conversation_id=str(uuid.uuid4())
        )
        assert '<result type="OK"/>' in gateway.post(body).text
        files = gateway.blob_files()
        assert files
        assert not [one for one in files if b"taushetsbelagt" in one.read_bytes()]
        assert not [one for one in files if b"<arkivmelding" in one.read_bytes()]
    finally:
        gateway.kill()


def test_a_connection_dropped_in_mid_letter_leaves_nothing(gateway: Gateway) -> None:
    body = big_request(3, str(uuid.uuid4()))
    sender = socket.create_connection(("127.0.0.1", gateway.port))
    sender.sendall(
        f"POST /noarkExchange HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    sender.sendall(body[: len(body) // 2])
    sender.close()
    time.sleep(1)
    assert gateway.blob_files() == []
    assert gateway.messages() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("a small file system cannot be mounted here; needs root on Linux")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_a_fault_and_never_a_false_ok(network: Network, small_disk: Path) -> None:
    gateway = Gateway(network, small_disk)
    gateway.start()
    try:
        refused = gateway.post(big_request(40, str(uuid.uuid4())))
        assert refused.status_code == 500
        assert "Server</faultcode>" in refused.text
        assert gateway.blob_files() == []
        assert gateway.messages() == 0
        assert '<result type="OK"/>' in gateway.post(big_request(2, str(uuid.uuid4()))).text
    finally:
        gateway.kill()


def health(gateway: Gateway) -> dict:
    return httpx.get(f"http://127.0.0.1:{gateway.port}/manage/health", timeout=30).json()


def test_a_disk_without_a_byte_left_refuses_alarms_and_recovers_without_a_restart(
    network: Network, small_disk: Path
) -> None:
    """Database and documents are both on it; the letter is taken when there is room again."""
    gateway = Gateway(
        network, small_disk, "[alerts]\ncheck_seconds = 1\nmin_free_bytes = 1048576\n"
    )
    gateway.start()
    letter = put_message(
        melding(("brev.txt", b"x" * 50_000)), receiver=OTHER, conversation_id=str(uuid.uuid4())
    )
    try:
        assert health(gateway)["components"]["diskSpace"]["status"] == "UP"
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        refused = gateway.post(letter)
        assert refused.status_code == 500
        assert "Server</faultcode>" in refused.text
        assert health(gateway)["components"]["diskSpace"]["status"] == "DOWN"
        filler.unlink()
        until(lambda: gateway.post(letter).status_code == 200)
        assert '<result type="OK"/>' in gateway.post(letter).text
        assert gateway.messages() == 1
        until(lambda: health(gateway)["components"]["diskSpace"]["status"] == "UP")
    finally:
        gateway.kill()


@pytest.fixture
def read_only_disk(small_disk: Path) -> Iterator[Path]:
    """The same, which can be made to take no writes."""
    yield small_disk
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_a_read_only_disk_refuses_alarms_and_recovers_without_a_restart(
    network: Network, read_only_disk: Path
) -> None:
    gateway = Gateway(network, read_only_disk, "[alerts]\ncheck_seconds = 1\n")
    gateway.start()
    gateway.kill()
    letter = put_message(
        melding(("brev.txt", b"x" * 5_000)), receiver=OTHER, conversation_id=str(uuid.uuid4())
    )
    subprocess.run(["mount", "-o", "remount,ro", str(read_only_disk)], check=True)
    gateway.log = Path("/dev/null")
    gateway.start()
    try:
        refused = gateway.post(letter)
        assert refused.status_code == 500
        assert "Server</faultcode>" in refused.text
        assert health(gateway)["components"]["db"]["status"] == "DOWN"
        assert health(gateway)["components"]["diskSpace"]["status"] == "DOWN"
        subprocess.run(["mount", "-o", "remount,rw", str(read_only_disk)], check=True)
        until(lambda: health(gateway)["components"]["db"]["status"] == "UP")
        assert '<result type="OK"/>' in gateway.post(letter).text
        assert gateway.messages() == 1
    finally:
        gateway.kill()


def test_a_database_that_many_read_while_read_only_takes_writes_again(read_only_disk: Path) -> None:
    """SQLite looks at the disk anew only when nothing of the process has the file open."""
    url = f"sqlite:///{read_only_disk / 'gateway.db'}"
    killed = "import os, sys; from gateway.store.database import Database; Database(sys.argv[1])"
    subprocess.run([sys.executable, "-c", f"{killed}; os._exit(0)", url], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(read_only_disk)], check=True)
    database = Database(url)

    def write() -> None:
        with database.write() as tx:
            leases.acquire(tx, "test", "test", datetime.now(UTC), datetime.now(UTC))

    with contextlib.ExitStack() as readers:
        for _ in range(5):
            readers.enter_context(database.read())
    with pytest.raises(OperationalError, match="readonly") as held:
        write()
    subprocess.run(["mount", "-o", "remount,rw", str(read_only_disk)], check=True)

    def recovered() -> bool:
        with database.read():
            pass
        with contextlib.suppress(OperationalError):
            write()
            return True
        return False

    until(recovered)
    assert held.value is not None  # as an alarm or a log may keep it
    database.close()
