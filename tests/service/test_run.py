"""`edu-gateway run` as a service meets it: signals, temporary files, what is wrong at the start."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.cli.service_files import HEALTH_CHECK

ORGNR = "910075918"
REQUEST = f"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<GetCanReceiveMessageRequest xmlns="http://www.arkivverket.no/Noark/Exchange/types">
<receiver xmlns=""><orgnr>{ORGNR}</orgnr></receiver>
</GetCanReceiveMessageRequest></s:Body></s:Envelope>""".encode()


class Running:
    """The gateway as a process of its own; what it logs can be waited for."""

    def __init__(self, config: Path, *under: str) -> None:
        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "gateway", "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.log: list[str] = []
        self.port = int(self.await_line(r"listening on http://127\.0\.0\.1:(\d+)/")[1])

    def await_line(self, pattern: str) -> re.Match[str]:
        """The next line of the log that fits; fails when the process ends first."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
        pytest.fail(f"ended without {pattern}: {''.join(self.log)}")

    def ask(self) -> int:
        """Ask whether somebody can receive; the HTTP status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/noarkExchange", REQUEST, {"Content-Type": "text/xml"})
        return connection.getresponse().status

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)


@pytest.fixture
def running(settings_file: Path) -> Iterator[Running]:
    gateway = Running(settings_file)
    yield gateway
    gateway.process.kill()
    gateway.process.wait()
    assert gateway.process.stdout is not None
    gateway.process.stdout.close()


def server_url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def slow_network(settings_file: Path) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A registry that sets the first event when asked about ORGNR and answers after the second."""
    asked, answer = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            token = b'{"access_token": "x", "token_type": "Bearer", "expires_in": 600}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(token)))
            self.end_headers()
            self.wfile.write(token)

        def do_GET(self) -> None:
            if ORGNR in self.path:
                asked.set()
                answer.wait(60)
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    text = settings_file.read_text()
    settings_file.write_text(text.replace("http://127.0.0.1:9/", f"{server_url(server)}/"))
    yield asked, answer
    answer.set()
    server.shutdown()
    server.server_close()


def asking(gateway: Running, asked: threading.Event) -> Future[int]:
    """A request that is being answered when this returns."""
    pool = ThreadPoolExecutor(1)
    try:
        future = pool.submit(gateway.ask)
        assert asked.wait(60)
        return future
    finally:
        pool.shutdown(wait=False)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_what_runs_may_end_after_sigterm(
    slow_network: tuple[threading.Event, threading.Event], running: Running
) -> None:
    asked, answer = slow_network
    request = asking(running, asked)
    running.stop()
    running.await_line("stopping")
    assert not request.done()
    answer.set()
    assert request.result(60) == 200  # an answer, although the network was away
    assert running.process.wait(60) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port)).close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_a_second_signal_stops_at_once(
    slow_network: tuple[threading.Event, threading.Event], running: Running
) -> None:
    asking(running, slow_network[0])
    running.stop(signal.SIGINT)
    running.await_line("stopping")
    running.stop(signal.SIGINT)
    assert running.process.wait(60) != 0


def test_the_health_check_of_the_container_is_content(running: Running) -> None:
    check = HEALTH_CHECK.replace("9093", str(running.port))
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
    gone = HEALTH_CHECK.replace("9093", "9")
    assert subprocess.run([sys.executable, "-c", gone], stderr=subprocess.DEVNULL).returncode != 0


# Makes every mount read-only but the folder in $1, and runs the rest.
_READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
awk '{print $5}' /proc/self/mountinfo | while read -r at; do
  case "$at" in "$1"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$at" || true;; esac
done
shift
exec "$@"
"""


def read_only_but(folder: Path) -> list[str]:
    """A command that runs another with nothing writable but `folder`; skips where it cannot."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-r", "--mount"]
    command = [*unshare, "sh", "-c", _READ_ONLY, "sh", str(folder)]
    probe = 'touch "$1" && ! touch /tmp/probe /var/tmp/probe'
    try:
        tried = subprocess.run(
            [*command, "sh", "-c", probe, "sh", str(folder / "probe")], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("unshare is not here")
    if tried.returncode != 0:
        pytest.skip("this machine lets nobody make mounts read-only")
    return command


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are Linux'")
def test_nothing_but_its_folder_needs_to_be_writable(settings_file: Path) -> None:
    data = settings_file.parent / "data"
    data.mkdir()
    gateway = Running(settings_file, *read_only_but(data))
    try:
        files = Path(f"/proc/{gateway.process.pid}/fd")
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(b"POST /noarkExchange HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n")
            held: list[str] = []
            while not held:  # ends with an error when it has all been sent
                connection.sendall(b" " * 100_000)
                opened = [os.readlink(one) for one in files.iterdir() if one.is_symlink()]
                held = [one for one in opened if one.startswith(str(data / "temporary"))]
        gateway.stop()
        gateway.await_line("stopped")
        assert gateway.process.wait(60) == 0
    finally:
        gateway.process.kill()


def test_what_is_in_the_way_at_the_start_is_said_without_a_traceback(
    settings_file: Path, running: Running
) -> None:
    text = settings_file.read_text()
    (settings_file.parent / "in-the-way").touch()
    for change, said in (
        (("port = 0", f"port = {running.port}"), "listen: 127.0.0.1 port"),
        (("[organisation]", 'folder = "in-the-way/data"\n[organisation]'), "folder: "),
        (("keystore_password = ", 'keystore_password = "x'), "not TOML"),
    ):
        settings_file.write_text(text.replace(*change))
        ended = subprocess.run(
            [sys.executable, "-m", "gateway", "run", "--config", str(settings_file)],
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 2
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
