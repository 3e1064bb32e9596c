"""What the tap costs the traffic: MB/s of a big letter, milliseconds of small ones, memory.

    python benchmarks/tap.py [--mib 1024] [--small 500] [--rounds 3] [--rate 110]

The same bytes go through `edu-gateway tap`, recording plainly and masked, and through a
plain relay of sockets that does nothing else; both are processes of their own, and so is
the endpoint, which reads and throws away. MiB are those of the request. After each round
the tap gets time to record what passed. The last line is one more big letter at `--rate`
MiB/s (110 is a network of 1 Gbit/s): what is recorded then.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.archive_delivery import drain

CHUNK = 256 * 1024
BLOCK = b"QUJD" * (CHUNK // 4)
T = "http://www.arkivverket.no/Noark/Exchange/types"
HEAD, TAIL = (
    f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    f'<PutMessageRequest xmlns="{T}"><envelope conversationId="c-1" xmlns=""><sender>'
    "<orgnr>991825827</orgnr></sender><receiver><orgnr>974760673</orgnr></receiver></envelope>"
    '<payload xmlns=""><Melding><journpost><jpId>1</jpId><jpInnhold>Brev</jpInnhold><dokument>'
    "<dlRnr>1</dlRnr><dbTittel>Brev</dbTittel><veVariant>P</veVariant><fil><base64>".encode(),
    b"</base64></fil><veFilnavn>brev.pdf</veFilnavn><veMimeType>application/pdf</veMimeType>"
    b"</dokument></journpost><noarksak><saId>1</saId><saTittel>Sak</saTittel></noarksak></Melding>"
    b"</payload></PutMessageRequest></s:Body></s:Envelope>",
)


def relay(port: int, ready: Connection) -> None:
    """Sockets and nothing else."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        buffer = memoryview(bytearray(CHUNK))
        while count := source.recv_into(buffer):
            target.sendall(buffer[:count])
        target.shutdown(socket.SHUT_WR)

    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname()[1])
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        for ends in ((client, server), (server, client)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


def send(port: int, blocks: int, rate: float = 0) -> float:
    """Seconds for one letter of `blocks` blocks, until its answer is read.

    `rate` is MiB/s at most; 0 is as fast as it goes.
    """
    begin = time.perf_counter()

    def body() -> Iterator[bytes]:
        yield HEAD
        for number in range(blocks):
            if rate:
                early = begin + number * CHUNK / (rate * (1 << 20)) - time.perf_counter()
                time.sleep(max(0.0, early))
            yield BLOCK
        yield TAIL

    size = len(HEAD) + blocks * len(BLOCK) + len(TAIL)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Content-Type": "text/xml; charset=utf-8", "Content-Length": str(size)}
    connection.request("POST", "/noarkExchange", body(), headers)
    answer = connection.getresponse().read()
    assert b'type="OK"' in answer, answer
    connection.close()
    return time.perf_counter() - begin


def memory(pid: int) -> tuple[float, float]:
    """Resident now and at most, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    now, peak = (re.search(rf"{key}:\s+(\d+)", status) for key in ("VmRSS", "VmHWM"))
    assert now is not None
    assert peak is not None
    return int(now[1]) / 1024, int(peak[1]) / 1024


class Tap:
    """`edu-gateway tap` in front of `port`, recording into `folder`."""

    def __init__(self, port: int, folder: Path, *options: str) -> None:
        self._record = folder
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "tap", "--listen", "127.0.0.1:0"),
                *("--to", f"http://127.0.0.1:{port}", "--record", str(folder)),
                *("--log-level", "ERROR", *options),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        found = re.search(r":(\d+),", self.process.stdout.readline())
        assert found is not None
        self.port = int(found[1])

    def recorded(self) -> int:
        file = self._record / "exchanges.jsonl"
        return len(file.read_bytes().splitlines()) if file.exists() else 0

    def settle(self, letters: int) -> None:
        """Until it has recorded `letters`, or makes no progress for a minute."""
        quiet = 0
        while self.recorded() < letters and quiet < 600:
            before = self.recorded()
            time.sleep(0.1)
            quiet = 0 if self.recorded() > before else quiet + 1

    def stop(self) -> str:
        self.process.terminate()
        assert self.process.stdout is not None
        said = self.process.stdout.read().strip()
        self.process.wait()
        return said


def times(seconds: list[float]) -> str:
    p99 = statistics.quantiles(seconds, n=100)[98]
    return f"p50 {statistics.median(seconds) * 1e3:.2f} ms p99 {p99 * 1e3:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--small", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=110)
    options = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    endpoint = spawn.Process(target=drain, args=(theirs,), daemon=True)
    endpoint.start()
    port = mine.recv()
    plain = spawn.Process(target=relay, args=(port, theirs), daemon=True)
    plain.start()
    limit_port = mine.recv()
    blocks = options.mib * (1 << 20) // CHUNK
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_bytes(b"en nokkel bare for malingen")
        for name, extra in (("plain", ()), ("masked", ("--mask-key-file", str(key)))):
            tap = Tap(port, Path(folder) / name, *extra)
            send(tap.port, 1)
            tap.settle(1)
            idle, _ = memory(tap.process.pid)
            big, limit, small, small_limit = [], [], [], []
            for round_ in range(options.rounds):
                limit.append(send(limit_port, blocks))
                big.append(send(tap.port, blocks))
                tap.settle(round_ + 2)
            for _ in range(options.small):
                small_limit.append(send(limit_port, 0))
                small.append(send(tap.port, 0))
            tap.settle(1 + options.rounds + options.small)
            before = tap.recorded()
            send(tap.port, blocks, options.rate)
            tap.settle(before + 1)
            _, peak = memory(tap.process.pid)
            print(
                f"{name:>6}: {options.mib} MiB at {options.mib / min(big):.0f} MiB/s, "
                f"limit {options.mib / min(limit):.0f} MiB/s, ratio {min(limit) / min(big):.2f}; "
                f"memory +{peak - idle:.0f} MiB over {idle:.0f}\n"
                f"        small {times(small)}, limit {times(small_limit)}\n"
                f"        {before - 1} of {options.rounds + options.small} recorded; "
                f"at {options.rate:.0f} MiB/s {tap.recorded() - before} of 1\n"
                f"        {tap.stop()}",
                flush=True,
            )
    plain.terminate()
    endpoint.terminate()


if __name__ == "__main__":
    main()
