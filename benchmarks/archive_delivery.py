"""How fast, and in how much memory, a letter is delivered to an archive.

    python benchmarks/archive_delivery.py [--mb 1 10 100 1000] [--rounds 3] [--json]

Beside each figure stands the limit of the same work, measured in turn with it: the
standard library's HTTP client, reading the file, base64, writing to a socket, and lxml
for the letter's XML and the answer's, with nothing else. The archive is another process
that reads and throws away. MB/s counts bytes of the document; figures are medians, the
ratio is the median of the pairs.
"""

from __future__ import annotations

import argparse
import html
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pybase64
from lxml import etree

BLOCK = 3 * 128 * 1024
ANSWER = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<t:PutMessageResponse xmlns:t="http://www.arkivverket.no/Noark/Exchange/types">'
    b'<result type="OK"/></t:PutMessageResponse></s:Body></s:Envelope>'
)


def drain(ready: Connection) -> None:
    """An archive that reads requests with a Content-Length and answers OK."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname()[1])
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    while True:
        connection, _ = listener.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                block = connection.recv(65536)
                if not block:
                    break
                head += block
            headers, _, rest = head.partition(b"\r\n\r\n")
            if not headers:
                continue
            length = next(
                int(line.split(b":")[1])
                for line in headers.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            left = length - len(rest)
            while left > 0:
                count = connection.recv_into(view[: min(left, len(buffer))])
                if not count:
                    break
                left -= count
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n" % len(ANSWER) + ANSWER
            )


def peak_mib() -> float:
    """Highest resident memory of this process so far."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    if sys.platform == "win32":
        return float("nan")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)


def measure(megabytes: int, rounds: int, port: int, folder: str, result: Connection) -> None:
    """One size, in a process of its own, so that peaks do not mix."""
    from gateway.archives.settings import ArchiveSettings
    from gateway.archives.soap import SoapArchive
    from gateway.model import MELDING_NAMESPACE, OK, Envelope, Melding, Party
    from gateway.ports import Delivery
    from gateway.spool import FileContent

    size = megabytes * 1_000_000
    file = Path(folder) / f"{megabytes}.bin"
    with file.open("wb") as stream:
        block = os.urandom(1_000_000)
        for _ in range(megabytes):
            stream.write(block)

    root = etree.fromstring(
        f'<Melding xmlns="{MELDING_NAMESPACE}"><journpost xmlns=""><jpInnhold>Brev</jpInnhold>'
        '<dokument><fil><base64 ref="a"/></fil><veFilnavn>a.bin</veFilnavn></dokument></journpost>'
        "</Melding>"
    )
    envelope = Envelope(Party("991825827"), Party("974760673"), "samtale")
    delivery = Delivery(envelope, Melding(root, {"a": FileContent(file, size, "")}))
    archive = SoapArchive(ArchiveSettings("arkiv", "p360", f"http://127.0.0.1:{port}/"))
    idle = peak_mib()
    assert archive.put_message(delivery) == OK
    peak = peak_mib()
    deliveries: list[float] = []
    floors: list[float] = []
    for _ in range(max(rounds, min(50, 200 // megabytes))):
        begin = time.perf_counter()
        assert archive.put_message(delivery) == OK
        deliveries.append(time.perf_counter() - begin)
        floors.append(floor(file, size, port, root))
    file.unlink()
    ratios = [least / ours for least, ours in zip(floors, deliveries, strict=True)]
    result.send(
        {
            "document_mb": megabytes,
            "mb_per_s": round(megabytes / statistics.median(deliveries), 1),
            "limit_mb_per_s": round(megabytes / statistics.median(floors), 1),
            "ratio": round(statistics.median(ratios), 2),
            "growth_mib": round(peak - idle, 1),
            "idle_mib": round(idle, 1),
        }
    )


def floor(file: Path, size: int, port: int, root: etree._Element) -> float:
    """Seconds for XML, HTTP, read, base64 and socket alone."""
    begin = time.perf_counter()
    head = html.escape(etree.tostring(root, encoding="unicode")).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Type", "text/xml; charset=utf-8")
    connection.putheader("Content-Length", str(len(head) + (size + 2) // 3 * 4))
    connection.endheaders(head)
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            connection.send(pybase64.b64encode(block))
    answer = etree.fromstring(connection.getresponse().read())
    connection.close()
    assert answer.find(".//result").get("type") == "OK"  # type: ignore[union-attr]
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mb", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    server = spawn.Process(target=drain, args=(theirs,), daemon=True)
    server.start()
    port = mine.recv()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in options.mb:
            mine, theirs = spawn.Pipe()
            child = spawn.Process(
                target=measure, args=(megabytes, options.rounds, port, folder, theirs)
            )
            child.start()
            theirs.close()
            rows.append(mine.recv())
            child.join()
            if not options.json:
                print(
                    "{document_mb:>5} MB  {mb_per_s:>7} MB/s  limit {limit_mb_per_s:>7} MB/s  "
                    "ratio {ratio:.2f}  +{growth_mib} MiB over {idle_mib} MiB".format(**rows[-1]),
                    flush=True,
                )
    server.terminate()
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
