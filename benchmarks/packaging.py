"""How fast packages are written and opened, beside what the machine can do at most.

Run ``python benchmarks/packaging.py [MIB]`` (default 256); files lie in ``TMPDIR``. Each
step runs in a process of its own, so that peak memory is that step's. The floor is the
same bytes through SHA-256, AES-256-CBC and a file, and nothing else.

Before it come packages of a letter of 20 KB, by one thread and by two. Their floor (F3 of
performance 1.4) is SHA-256 and deflate of the same documents, one signature and one key
encryption with RSA, one AES pass, measured in turn.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.model import Document
from gateway.package import Identity, arkivmelding_sbd, build_package, open_package

MIB = 1024 * 1024
PIECE = MIB


@dataclass(frozen=True)
class File:
    path: Path
    size: int
    sha256: str

    def open(self) -> BinaryIO:
        return self.path.open("rb")


class Folder:
    """A spool that writes plain files, without syncing them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def create(self) -> Writer:
        self._count += 1
        return Writer(self._folder / f"{self._count}")


class Writer:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> File:
        self._file.close()
        return File(self._path, self._path.stat().st_size, "")

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def identity(bits: int = 3072) -> Identity:
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("2.5.4.97"), "NTRNO-991825827")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return Identity(key, certificate)


def measured(step: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Seconds, and growth of peak memory in MiB over the start, of `step` in a new process."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_timed, args=(send, step, arguments))
    process.start()
    send.close()  # so that a dead child is noticed
    result: dict[str, float] = receive.recv()
    process.join()
    return result


def _timed(send: Any, step: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    before = _peak()
    start = time.perf_counter()
    step(*arguments)
    seconds = time.perf_counter() - start
    send.send({"seconds": seconds, "growth_mib": _peak() - before})


def _peak() -> float:
    """Peak resident memory of this process alone; Linux only, else 0."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def write_package(document: File, name: str, target: Path, who: Identity) -> None:
    now = datetime.now(UTC)
    sbd = arkivmelding_sbd(
        sender="991825827",
        receiver="991825827",
        message_id="3f0a9f3c-0b1e-4a57-9d0c-0c4f0a1d2e3f",
        conversation_id="3f0a9f3c-0b1e-4a57-9d0c-0c4f0a1d2e3f",
        created=now,
        expires=None,
    )
    with target.open("wb") as file:
        build_package(
            file,
            sbd,
            [Document(name, "", document)],
            signer=who,
            receiver_certificate=who.certificate,
        )


def read_package(source: Path, folder: Path, who: Identity) -> None:
    with source.open("rb") as file:
        open_package(file, identities=[who], spool=Folder(folder))


def floor(source: Path, target: Path, decrypt: bool) -> None:
    """Digest, cipher and write; the order of the two differs between the directions."""
    cipher = Cipher(AES(bytes(32)), CBC(bytes(16)))
    transform = cipher.decryptor() if decrypt else cipher.encryptor()
    digest = hashlib.sha256()
    with source.open("rb") as file, target.open("wb") as out:
        while piece := file.read(PIECE):
            if decrypt:
                clear = transform.update(piece)
                digest.update(clear)
                out.write(clear)
            else:
                digest.update(piece)
                out.write(transform.update(piece))


@dataclass(frozen=True)
class Held:
    """A document in memory."""

    data: bytes
    size: int
    sha256: str

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def held(data: bytes) -> Held:
    return Held(data, len(data), hashlib.sha256(data).hexdigest())


def small_package(documents: list[Document], who: Identity) -> None:
    sbd = arkivmelding_sbd(
        sender="991825827",
        receiver="991825827",
        message_id="3f0a9f3c-0b1e-4a57-9d0c-0c4f0a1d2e3f",
        conversation_id="3f0a9f3c-0b1e-4a57-9d0c-0c4f0a1d2e3f",
        created=datetime.now(UTC),
        expires=None,
    )
    build_package(io.BytesIO(), sbd, documents, signer=who, receiver_certificate=who.certificate)


def small_floor(documents: list[Document], who: Identity) -> bytes:
    packed = b""
    for document in documents:
        with document.content.open() as stream:
            data = stream.read()
        hashlib.sha256(data).digest()
        packed += zlib.compress(data)
    who.private_key.sign(packed[:32], padding.PKCS1v15(), hashes.SHA256())
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    who.certificate.public_key().encrypt(bytes(32), oaep)  # type: ignore[union-attr,call-arg,arg-type]
    encryptor = Cipher(AES(bytes(32)), CBC(bytes(16))).encryptor()
    return encryptor.update(packed + bytes(-len(packed) % 16))


def cost(act: Callable[[], object], times: int = 100) -> float:
    """Milliseconds of processor time for one call; others on the machine do not count."""
    started = time.thread_time()
    for _ in range(times):
        act()
    return (time.thread_time() - started) / times * 1000


def rate(act: Callable[[], object], threads: int, seconds: float = 0.4) -> float:
    """Calls a second by `threads` threads together."""
    end = time.perf_counter() + seconds

    def run() -> int:
        count = 0
        while time.perf_counter() < end:
            act()
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        counts = [pool.submit(run) for _ in range(threads)]
        return sum(one.result() for one in counts) / (time.perf_counter() - started)


def small_documents() -> list[Document]:
    return [
        Document("arkivmelding.xml", "text/xml", held(b"<journalpost/>" * 220)),
        Document("brev.pdf", "application/pdf", held(os.urandom(20_000))),
    ]


def small(who: Identity) -> None:
    documents = small_documents()
    one: Callable[[], None] = lambda: small_package(documents, who)  # noqa: E731
    pairs = [(cost(one), cost(lambda: small_floor(documents, who))) for _ in range(9)]
    ours, floors = (statistics.median(column) for column in zip(*pairs, strict=True))
    share = statistics.median(least / mine for mine, least in pairs)
    gain = statistics.median(rate(one, 2) / rate(one, 1) for _ in range(9))
    print(
        f"20 KB: {ours:.2f} ms, floor {floors:.2f} ms, share of floor {share:.2f};"
        f"  two threads make {gain:.2f} times what one makes",
        flush=True,
    )


def make_document(path: Path, size: int, text: bool) -> File:
    digest = hashlib.sha256()
    line = b"Saksframlegg: vurdering av klage, se vedlegg og tidligere vedtak i saken.\n"
    with path.open("wb") as file:
        for _ in range(size // PIECE):
            piece = os.urandom(PIECE)
            if text:
                words = os.urandom(PIECE // 16).hex().encode()
                rows = (words[at : at + 10] + line for at in range(0, PIECE // 8, 10))
                piece = b"".join(rows)[:PIECE]
            digest.update(piece)
            file.write(piece)
    return File(path, size, digest.hexdigest())


def main() -> None:
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    who = identity()
    small(who)
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, filename, text in (
            ("random, as PDF", "stor.pdf", False),
            ("text, as TXT", "stor.txt", True),
        ):
            document = make_document(folder / "document", mib * MIB, text)
            package, out = folder / "sbd.zip", folder / "out"
            out.mkdir(exist_ok=True)
            for step, work, limit in (
                (
                    "write",
                    (write_package, document, filename, package, who),
                    (floor, document.path, folder / "floor", False),
                ),
                (
                    "open and verify",
                    (read_package, package, out, who),
                    (floor, document.path, folder / "floor", True),
                ),
            ):
                # Alternating, the best of three: a busy machine slows both or neither.
                pairs = [(measured(*work), measured(*limit)) for _ in range(3)]
                ours = min((it for it, _ in pairs), key=lambda it: it["seconds"])
                best = min((it for _, it in pairs), key=lambda it: it["seconds"])
                row = {
                    "step": step,
                    "data": label,
                    "MiB": mib,
                    "MB/s": round(mib * MIB / 1e6 / ours["seconds"]),
                    "floor MB/s": round(mib * MIB / 1e6 / best["seconds"]),
                    "share of floor": round(best["seconds"] / ours["seconds"], 2),
                    "peak growth MiB": round(ours["growth_mib"], 1),
                }
                results.append(row)
                print("  ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
    if path := os.environ.get("BENCHMARK_JSON"):
        Path(path).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
