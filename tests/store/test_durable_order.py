"""OK means durable: what the kernel was asked, in which order (performance 3.2).

A kill does not show whether anything was synced; a trace of the system calls does.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

_SERVER = """
import sys, tempfile
from pathlib import Path
from gateway.engine.context import Context, Policy, Served
from gateway.engine.intake import Intake
from gateway.engine.ledger import Ledger
from gateway.model import Recipient
from gateway.soap.listener import Listener
from gateway.soap.server import create_app
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.translate import load_mapping

class Anything:
    largest = None

class Everybody:
    def find(self, orgnr, process=None):
        return Recipient(orgnr, "Mottaker", "DPO", process or "p", security_level=3)

folder = Path(sys.argv[1])
blobs = BlobStore(folder / "blobs")
context = Context(
    database=Database(f"sqlite:///{folder / 'gateway.db'}"), blobs=blobs, transport=Anything(),
    addresses=Everybody(), archives={}, identities=[], mapping=load_mapping(),
    policy=Policy((Served("991825827", "p360"),), "urn:test"),
)
listener = Listener(create_app(Intake(context, Ledger(context)), blobs))
listener.start()
print(listener.port, flush=True)
sys.stdin.readline()
listener.stop(5)
"""
_REQUEST = """
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<PutMessageRequest xmlns="http://www.arkivverket.no/Noark/Exchange/types">
<envelope xmlns="" conversationId="7f2b1f0e-64c2-4d3c-9a52-3d5e8c2a9b11">
<receiver><orgnr>974760673</orgnr></receiver></envelope>
<payload xmlns=""><Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types">
<journpost xmlns=""><dokument><fil><base64>SGVpIQ==</base64></fil></dokument></journpost>
<noarksak xmlns=""/></Melding></payload></PutMessageRequest></s:Body></s:Envelope>
"""
_CALLS = "openat,fsync,fdatasync,rename,renameat,renameat2,pwrite64,sendto,send"
_STEPS = (
    ("the file is synced", r"f(data)?sync\(\d+<.*/blobs/incoming/\w+>\)"),
    ("then it gets its name", r'rename\w*\(.*"[^"]*/blobs/incoming/\w+", .*"[^"]*/blobs/\w\w/\w+"'),
    ("its name is synced", r"fsync\(\d+<.*/blobs/\w\w>\)"),
    ("the rows are written", r"pwrite64\(\d+<.*/gateway\.db-wal>"),
    ("and synced", r"f(data)?sync\(\d+<.*/gateway\.db-wal>\)"),
    ("only then the archive is answered", r"send\w*\(\d+<.*HTTP/1\.1 200 OK"),
)


def _strace_works() -> bool:
    strace = shutil.which("strace")
    return (
        strace is not None and subprocess.run([strace, "-qq", "true"], check=False).returncode == 0
    )


@pytest.mark.skipif(not _strace_works(), reason="needs strace and the right to use it")
def test_everything_is_synced_and_named_before_the_answer(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-s", "200", "-e", f"trace={_CALLS}", "-o", str(trace)]
    server = subprocess.Popen(
        [*command, sys.executable, "-c", _SERVER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    port = int(server.stdout.readline())
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/noarkExchange",
            content=_REQUEST.encode(),
            headers={"Content-Type": "text/xml; charset=utf-8"},
        )
    finally:
        server.communicate("\n", timeout=20)
    assert 'type="OK"' in answer.text
    lines = iter(trace.read_text(errors="replace").splitlines())
    for step, pattern in _STEPS:
        assert any(re.search(pattern, line) for line in lines), f"not in this order: {step}"
