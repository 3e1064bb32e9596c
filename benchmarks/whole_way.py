"""One big letter the whole way: archive, gateway, network, gateway, archive.

Each gateway is a process of its own; the network and the archives run in this one. What
is printed for each size: seconds from PutMessage until the receipt is home, whether the
checksum agrees, and by how much each gateway's peak memory (VmHWM) grew over idle.
The limit in the same run is copying the same bytes between two files with a SHA-256,
once for each of the six times that they are written to disk on the way.

    python benchmarks/whole_way.py [MEGABYTES | 1GiB ...]      (default: 1 10 100)
    python benchmarks/whole_way.py --forms [cdata nested wrapped crlf] --size 1GiB

The second sends one letter in each form of payload that archives are known to write; the
first lets the archive choose.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))
from soap_intake import BLOCK as PIECE
from soap_intake import LINE_ENDS, Body

from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.network import Network, Organisation

MEGABYTE = 1_000_000
GIB = 1024**3
LARGEST_PACKAGE = 2 * GIB  # a document of 1 GiB needs a little more than that
TIMES_WRITTEN = 6
BLOCK = 1 << 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """``edu-gateway run`` for one organisation; on SQLite without `database_url`."""

    def __init__(
        self,
        network: Network,
        own: Organisation,
        archive: SimulatedArchive,
        folder: Path,
        *,
        poll_seconds: float = 0.5,
        database_url: str | None = None,
    ) -> None:
        folder.mkdir()
        port = free_port()
        places = network.environment
        database = "" if database_url is None else f'[database]\nurl = "{database_url}"\n'
        config = folder / "gateway.toml"
        config.write_text(
            f"""
[organisation]
orgnr = "{own.orgnr}"
keystore = '{own.keystore}'
keystore_password = "{own.keystore_password}"
[archive]
dialect = "{archive.vendor.name}"
url = "{archive.url}"
timeout = 900
[network]
token_url = "{places.token_endpoint}"
token_audience = "{places.audience}"
exchange_url = "{places.exchange}"
broker_url = "{places.broker}"
registry_url = "{places.registry}"
client_id = "{own.client_id}"
system_user = "{own.external_ref}"
poll_seconds = {poll_seconds}
max_package_bytes = {LARGEST_PACKAGE}
rate_limits = false
[listen]
port = {port}
{database}""",
            encoding="utf-8",
        )
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", "--config", str(config)],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        archive.gateway_url = f"http://127.0.0.1:{port}/noarkExchange"
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise SystemExit(f"the gateway did not start; see {folder / 'log'}")

    def cpu(self) -> float:
        """Seconds of processor time so far, also of threads that have ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak(self) -> float:
        """MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1024

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self._log.close()


def make_document(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        left = size
        while left:
            block = os.urandom(min(BLOCK, left))
            digest.update(block)
            file.write(block)
            left -= len(block)
    return digest.hexdigest()


def limit(source: Path, folder: Path) -> float:
    """Seconds for the unavoidable writing and hashing alone."""
    started = time.monotonic()
    for _ in range(TIMES_WRITTEN):
        digest = hashlib.sha256()
        with source.open("rb") as reading, (folder / "copy").open("wb") as writing:
            while block := reading.read(BLOCK):
                digest.update(block)
                writing.write(block)
            writing.flush()
            os.fsync(writing.fileno())
    (folder / "copy").unlink()
    return time.monotonic() - started


def main(sizes: list[int], forms: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="whole-way-") as name:
        folder = Path(name)
        with Network(folder / "network") as network:
            for one in network.broker.resources.values():
                one.max_size = LARGEST_PACKAGE
            a = network.add_organisation("910077473", "Fjordvik kommune")
            b = network.add_organisation("910075918", "Skogland fylkeskommune")
            archive_a = SimulatedArchive(a.name, a.orgnr, dialect="p360")
            archive_b = SimulatedArchive(b.name, b.orgnr, dialect="ephorte")
            with archive_a, archive_b:
                archive_a.timeout = 900
                gateways = [
                    Process(network, a, archive_a, folder / "a"),
                    Process(network, b, archive_b, folder / "b"),
                ]
                try:
                    if forms:
                        measure_forms(forms, sizes[0], archive_a, archive_b, gateways)
                    else:
                        measure(sizes, folder, archive_a, archive_b, gateways)
                finally:
                    for gateway in gateways:
                        gateway.stop()


def measure(
    sizes: list[int],
    folder: Path,
    sender: SimulatedArchive,
    receiver: SimulatedArchive,
    gateways: list[Process],
) -> None:
    # A small letter first, so that idle has everything loaded that a letter needs.
    whole_way(sender, receiver, [("varm.txt", "text/plain", b"opp")])
    idle = [gateway.peak() for gateway in gateways]
    print(f"{'MB':>6} {'seconds':>8} {'limit':>7} {'ratio':>6}  growth of A and B in MiB")
    for size in sizes:
        document = folder / "document.pdf"
        checksum = make_document(document, size)
        floor = limit(document, folder)
        seconds, arrived = whole_way(
            sender, receiver, [("document.pdf", "application/pdf", document)]
        )
        growth = [gateway.peak() - before for gateway, before in zip(gateways, idle, strict=True)]
        verdict = "" if arrived == [checksum] else "  CHECKSUM DIFFERS"
        print(
            f"{size / MEGABYTE:6.0f} {seconds:8.1f} {floor:7.1f} {floor / seconds:6.2f}  "
            f"{growth[0]:.0f} {growth[1]:.0f}{verdict}",
            flush=True,
        )
        document.unlink()


def measure_forms(
    forms: list[str],
    size: int,
    sender: SimulatedArchive,
    receiver: SimulatedArchive,
    gateways: list[Process],
) -> None:
    whole_way(sender, receiver, [("varm.txt", "text/plain", b"opp")])
    idle = [gateway.peak() for gateway in gateways]
    for form in forms:
        conversation_id = str(uuid.uuid4())
        body = Body(
            form,
            size,
            f'<envelope xmlns="" conversationId="{conversation_id}"><sender><orgnr>{sender.orgnr}'
            f"</orgnr></sender><receiver><orgnr>{receiver.orgnr}</orgnr></receiver></envelope>",
            "<jpInnhold>Stort vedlegg</jpInnhold><avsmot><amIhtype>1</amIhtype></avsmot>",
            "<veFilnavn>stort.bin</veFilnavn><veMimeType>application/pdf</veMimeType>",
        )
        digest = hashlib.sha256()
        for _ in range(body.document_size // PIECE):
            digest.update(bytes(range(256)) * (PIECE // 256))
        started = time.monotonic()
        assert sender.gateway_url is not None
        post(sender.gateway_url, body)
        wait_for_receipt(sender, conversation_id, started)
        seconds = time.monotonic() - started
        growth = [gateway.peak() - before for gateway, before in zip(gateways, idle, strict=True)]
        arrived = checksums(receiver, conversation_id)
        verdict = "equal" if arrived == [digest.hexdigest()] else "CHECKSUM DIFFERS"
        print(
            f"{form:8} {body.document_size / MEGABYTE:6.0f} MB in {seconds:.1f} s, "
            f"checksum {verdict}, growth of A and B {growth[0]:.0f} and {growth[1]:.0f} MiB",
            flush=True,
        )


def post(url: str, body: Body) -> None:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=900)
    headers = {"Content-Type": "text/xml", "Content-Length": str(body.length())}
    connection.request("POST", place.path, body.chunks(), headers)
    answer = connection.getresponse().read()
    if b'type="OK"' not in answer:
        raise SystemExit(f"refused: {answer!r}")
    connection.close()


def whole_way(
    sender: SimulatedArchive,
    receiver: SimulatedArchive,
    documents: list[tuple[str, str, bytes | Path]],
) -> tuple[float, list[str]]:
    """Seconds until the receipt is home, and the checksums that arrived."""
    started = time.monotonic()
    conversation_id, answer = sender.send_letter(receiver.orgnr, documents)
    if answer.messages:
        raise SystemExit(f"refused: {answer}")
    wait_for_receipt(sender, conversation_id, started)
    return time.monotonic() - started, checksums(receiver, conversation_id)


def wait_for_receipt(sender: SimulatedArchive, conversation_id: str, started: float) -> None:
    while not any(one.conversation_id == conversation_id for one in sender.receipts):
        if time.monotonic() - started > 900:
            raise SystemExit("no receipt after 15 minutes")
        time.sleep(0.02)


def checksums(receiver: SimulatedArchive, conversation_id: str) -> list[str]:
    (letter,) = [one for one in receiver.letters if one.conversation_id == conversation_id]
    return [one.content.sha256 for one in letter.documents]


def bytes_of(size: str) -> int:
    return GIB if size == "1GiB" else int(size) * MEGABYTE


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=bytes_of, help="megabytes, or 1GiB")
    parser.add_argument("--forms", nargs="+", choices=("escaped", "cdata", "nested", *LINE_ENDS))
    parser.add_argument("--size", type=bytes_of, default=GIB, help="of the letters in --forms")
    options = parser.parse_args()
    if options.forms:
        main([options.size], options.forms)
    else:
        main(options.sizes or [MEGABYTE, 10 * MEGABYTE, 100 * MEGABYTE], [])
