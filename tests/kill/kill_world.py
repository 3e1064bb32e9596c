"""Two organisations whose gateways are killed again and again while letters flow both ways.

The gateways are processes of their own (``edu-gateway run``) and know nothing of the
test. Network and archives are simulators in this process: they live through every kill,
misbehave at random, and remember everything, so that afterwards `World.verdict` can say
what became of each letter.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import sqlalchemy as sa

from gateway.errors import PackageError
from gateway.model import AppReceipt, Envelope, ReceiptType, StatusMessage
from gateway.package import read_sbd_only
from gateway.simulators.archive import Behaviour, SimulatedArchive
from gateway.simulators.archive_calls import GatewayAnswered
from gateway.simulators.archive_vendors import receipt_for
from gateway.simulators.network import Network, Status

_TROUBLE = (OSError, http.client.HTTPException, GatewayAnswered)
_PUBLISHED = (
    Status.UploadProcessing,
    Status.Published,
    Status.AllConfirmedDownloaded,
    Status.Purged,
)
_ORGANISATIONS = (("A", "910077473", "p360"), ("B", "910075918", "ephorte"))
_REFUSAL = AppReceipt(ReceiptType.ERROR, (StatusMessage("17", "Saken er avsluttet"),))


class PersistentArchive(SimulatedArchive):
    """An archive that keeps its AppReceipts until a gateway has taken them, as real ones do."""

    def __init__(self, *args: object, dice: random.Random, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]
        self.dice = dice
        self.trouble = 0.0
        self.gateways: list[str] = []
        self.waiting: list[tuple[Envelope, AppReceipt]] = []
        self.calm = threading.Event()

    def start(self) -> None:
        super().start()
        threading.Thread(target=self._persist, name="archive receipts", daemon=True).start()

    def any_gateway(self) -> None:
        """Call another node from now on."""
        self.gateway_url = self.dice.choice(self.gateways)

    def _next_behaviour(self) -> Behaviour:
        if self.dice.random() >= self.trouble:
            return self.default
        return self.dice.choice(
            (
                Behaviour(answer="status", status=503, files=False, receipt=None),
                Behaviour(answer="fault", files=False, receipt=None),
                Behaviour(answer="drop"),  # filed, and its receipt sent; the answer is lost
                Behaviour(answer="half"),
                Behaviour(answer="drop", receipt=None),  # filed, and nobody is ever told
                Behaviour(delay=1.0),
                Behaviour(delay=0.3),
                Behaviour(
                    answer="result", type=ReceiptType.ERROR, messages=_REFUSAL.messages,
                    files=False, receipt=None,
                ),
            )
        )  # fmt: skip

    def _meet(self, handler, behaviour, headers, head, soap) -> None:  # type: ignore[no-untyped-def]
        if soap.payload.receipt is not None and not behaviour.type.accepted:
            behaviour = self.default  # refusing a receipt is no trouble of transport
        super()._meet(handler, behaviour, headers, head, soap)

    def _acknowledge(self, behaviour: Behaviour, envelope: Envelope, number: int) -> None:
        if behaviour.receipt is None:
            return
        receipt = receipt_for(self.vendor, envelope, number, str(uuid.uuid4()), datetime.now(UTC))
        if not self._sent(envelope, receipt):
            self.waiting.append((envelope, receipt))

    def _sent(self, envelope: Envelope, receipt: AppReceipt) -> bool:
        self.any_gateway()
        try:
            self.send_receipt(envelope, receipt)
        except _TROUBLE as trouble:
            self.failures.append(f"AppReceipt: {trouble}")
            return False
        return True

    def _persist(self) -> None:
        while not self._stopping.wait(0.3):
            for one in list(self.waiting):
                if self._sent(*one):
                    self.waiting.remove(one)


@dataclass
class Node:
    """One gateway process."""

    name: str
    config: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", str(self.config)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.config.parent,
            )

    def wait(self, seconds: float = 60.0) -> None:
        """Until it listens."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.log}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.03)
        raise RuntimeError(f"{self.name} does not listen: {self.log}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """As a service manager would; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(90)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/noarkExchange"


@dataclass
class Side:
    """One organisation: its archive, its gateway nodes, its database."""

    name: str
    orgnr: str
    archive: PersistentArchive
    nodes: list[Node]
    database_url: str
    blobs: Path


@dataclass
class Accepted:
    """A letter that a gateway answered OK to."""

    sender: Side
    receiver: Side
    conversation_id: str
    checksum: str


@dataclass
class Verdict:
    """What became of everything. `wrong` is empty when every promise was kept."""

    letters: int
    delivered: int
    reported: int
    kills: int
    wrong: list[str] = field(default_factory=list)
    archive_repeats: int = 0
    """Letters and receipts that an archive got more than once, all of them marked."""
    marked: int = 0
    """Messages marked as possible duplicates, whether or not the archive had them."""
    network: Counter[str] = field(default_factory=Counter)


class World:
    """Everything, in `folder`.

    `databases` makes a database URL, by default SQLite files; `nodes` is how many
    gateway processes A and B have.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        databases: Callable[[], str] | None = None,
        nodes: tuple[int, int] = (1, 1),
        trouble: float = 0.06,
    ) -> None:
        self.dice = random.Random(seed)
        self.kills = 0
        self.trouble = trouble
        self.accepted: list[Accepted] = []
        self.refused: list[str] = []
        self._lock = threading.Lock()
        self._sending = threading.Event()
        self.network = Network(folder / "network")
        self.network.start()
        self.sides = [
            self._side(folder / name, name, orgnr, dialect, databases, count)
            for (name, orgnr, dialect), count in zip(_ORGANISATIONS, nodes, strict=True)
        ]
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait()

    @property
    def nodes(self) -> list[Node]:
        return [node for side in self.sides for node in side.nodes]

    def _side(
        self,
        home: Path,
        name: str,
        orgnr: str,
        dialect: str,
        databases: Callable[[], str] | None,
        count: int,
    ) -> Side:
        organisation = self.network.add_organisation(orgnr, f"Kommune {name}")
        (home / "archive").mkdir(parents=True)
        archive = PersistentArchive(
            f"Kommune {name}", orgnr, dialect=dialect, folder=home / "archive",
            dice=random.Random(self.dice.random()),
        )  # fmt: skip
        archive.start()
        url = databases() if databases else f"sqlite:///{home / 'gateway.db'}"
        environment = self.network.environment
        nodes = []
        for number in range(1, count + 1):
            port = _free_port()
            config = home / f"gateway-{number}.toml"
            config.write_text(
                f"""folder = "{home}"
[organisation]
orgnr = "{orgnr}"
keystore = "{organisation.keystore}"
keystore_password = "{organisation.keystore_password}"
[archive]
dialect = "{dialect}"
url = "{archive.url}"
timeout = 20
[network]
token_url = "{environment.token_endpoint}"
token_audience = "{environment.audience}"
exchange_url = "{environment.exchange}"
broker_url = "{environment.broker}"
registry_url = "{environment.registry}"
client_id = "{organisation.client_id}"
system_user = "{organisation.external_ref}"
poll_seconds = 0.3
rate_limits = false
[listen]
port = {port}
[messages]
retry_seconds = 0.4
unclear_seconds = 4
[database]
url = "{url}"
lease_seconds = 3
[alerts]
check_seconds = 1
"""
            )
            nodes.append(Node(f"{name}{number}", config, port, home / f"gateway-{number}.log"))
        archive.gateways = [node.url for node in nodes]
        archive.any_gateway()
        return Side(name, orgnr, archive, nodes, url, home / "blobs")

    # --- making trouble ---------------------------------------------------------------

    def _misbehave(self) -> None:
        chance = self.trouble
        for rule in (
            {"status": 500}, {"status": 503}, {"status": 429, "headers": {"Retry-After": "1"}},
            {"drop": "before"}, {"drop": "after"}, {"delay_after": 0.4}, {"delay_before": 0.2},
        ):  # fmt: skip
            self.network.fault(None, times=None, probability=chance / 7, **rule)
        for call in ("upload", "confirm", "initialize"):
            self.network.fault(call, times=None, probability=chance, drop="after")
        self.network.fault("download", times=None, probability=chance, cut_after=700)
        self.network.fault("download", times=None, probability=chance, flip_byte=400)
        for side in self.sides:
            side.archive.trouble = chance * 2

    def _behave(self) -> None:
        self.network.faults.remove()
        for side in self.sides:
            side.archive.trouble = 0.0

    def run(
        self, kills: int, *, letters_per_second: float = 4.0, say: Callable[[str], object] = str
    ) -> Verdict:
        """Kill `kills` times while letters flow, let the rest settle, and judge."""
        self._misbehave()
        with self.flow(letters_per_second):
            started = time.monotonic()
            while self.kills < kills:
                self._kill_one()
                if self.kills % 25 == 0:
                    say(
                        f"{time.monotonic() - started:7.0f} s  {self.kills} kills,"
                        f" {len(self.accepted)} letters accepted"
                    )
        self.settle()
        return self.verdict()

    @contextlib.contextmanager
    def flow(self, letters_per_second: float = 4.0) -> Iterator[None]:
        """Letters both ways for the time of the block, each until a gateway has taken it."""
        self._sending.set()
        senders = [
            threading.Thread(
                target=self._send,
                args=(sender, receiver, letters_per_second / 2, random.Random(self.dice.random())),
            )
            for sender, receiver in (self.sides, self.sides[::-1])
        ]
        for thread in senders:
            thread.start()
        try:
            yield
        finally:
            self._sending.clear()
            self._behave()
            for thread in senders:
                thread.join()

    def _kill_one(self) -> None:
        node = self.dice.choice(self.nodes)
        # Mostly while it works, sometimes while it starts.
        if self.dice.random() < 0.9:
            with contextlib.suppress(RuntimeError):
                node.wait()
        time.sleep(self.dice.uniform(0.0, 1.2))
        if node.process is not None and node.process.poll() is not None:
            raise RuntimeError(f"{node.name} ended by itself: {node.log}")
        node.kill()
        self.kills += 1
        time.sleep(self.dice.choice((0, 0, self.dice.uniform(0, 0.5))))
        node.start()

    def _send(self, sender: Side, receiver: Side, rate: float, dice: random.Random) -> None:
        urls = cycle(sender.archive.gateways)
        while self._sending.is_set():
            size = dice.choice((200, 2_000, 20_000, 20_000, 300_000))
            content = dice.randbytes(size)
            conversation_id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
            while True:
                sender.archive.gateway_url = next(urls)
                try:
                    _, answer = sender.archive.send_letter(
                        receiver.orgnr,
                        [("Brev.bin", "application/octet-stream", content)],
                        conversation_id=conversation_id,
                    )
                except _TROUBLE:
                    time.sleep(0.2)
                    continue
                break
            if answer.type is not ReceiptType.OK:
                self.refused.append(f"{conversation_id}: {answer}")
                continue
            checksum = hashlib.sha256(content).hexdigest()
            with self._lock:
                self.accepted.append(Accepted(sender, receiver, conversation_id, checksum))
            time.sleep(dice.expovariate(rate))

    # --- afterwards -------------------------------------------------------------------

    def settle(self, seconds: float = 240.0) -> None:
        """Wait until nothing is left to do, or nothing changes any more."""
        for node in self.nodes:
            node.wait()
        deadline = time.monotonic() + seconds
        quiet = 0
        while time.monotonic() < deadline and quiet < 8:
            time.sleep(0.5)
            busy = any(self._waiting(side) for side in self.sides)
            quiet = 0 if busy or self._unread() else quiet + 1

    def _unread(self) -> bool:
        return any(one.status == Status.Published for one in self.network.transfers) or any(
            side.archive.waiting for side in self.sides
        )

    def _waiting(self, side: Side) -> list[str]:
        sql = (
            "SELECT task, kind, direction, due, failures, problem FROM job"
            " JOIN message ON message.id = job.message"
            " WHERE due IS NOT NULL AND task <> 'expire'"
        )
        return [str(tuple(row)) for row in self._query(side, sql)]

    def _query(self, side: Side, sql: str) -> list:
        engine = sa.create_engine(side.database_url)
        try:
            with engine.connect() as connection:
                return list(connection.execute(sa.text(sql)))
        finally:
            engine.dispose()

    def stop(self) -> list[int]:
        """Stop every gateway as a service manager would; their exit codes."""
        codes = [node.stop() for node in self.nodes if node.process is not None]
        for side in self.sides:
            side.archive.stop()
        self.network.stop()
        return codes

    def abandon(self) -> None:
        """Leave no process behind, whatever happened."""
        self._sending.clear()
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()

    # --- judging ----------------------------------------------------------------------

    def verdict(self) -> Verdict:
        verdict = Verdict(len(self.accepted), 0, 0, self.kills)
        wrong = verdict.wrong
        wrong += [f"refused: {one}" for one in self.refused]
        for side in self.sides:
            wrong += [f"{side.name} still waits: {one}" for one in self._waiting(side)]
            wrong += self._damage(side)
        marks = {side.name: self._marked(side) for side in self.sides}
        verdict.marked = sum(len(one) for one in marks.values())
        for letter in self.accepted:
            self._judge(letter, verdict, marks)
        self._judge_network(verdict)
        return verdict

    def _judge(self, letter: Accepted, verdict: Verdict, marks: dict[str, set]) -> None:
        identity = f"{letter.sender.name}>{letter.receiver.name} {letter.conversation_id}"
        filed = [
            one
            for one in letter.receiver.archive.letters
            if one.conversation_id == letter.conversation_id
        ]
        receipts = [
            one
            for one in letter.sender.archive.receipts
            if one.conversation_id == letter.conversation_id
        ]
        kinds = {one.type for one in receipts}
        if not receipts:
            verdict.wrong.append(f"{identity}: no receipt; filed {len(filed)} times")
        if len({(one.type, one.messages) for one in receipts}) > 1:
            verdict.wrong.append(f"{identity}: different receipts {kinds}")
        if not filed and ReceiptType.OK in kinds:
            verdict.wrong.append(f"{identity}: receipt OK, but not filed")
        if any(one.documents[0].content.sha256 != letter.checksum for one in filed):
            verdict.wrong.append(f"{identity}: filed with other content")
        if filed:
            verdict.delivered += 1
        elif receipts:
            verdict.reported += 1
        for got, side, kind in (
            (len(filed), letter.receiver, "letter"),
            (len(receipts), letter.sender, "receipt"),
        ):
            if got > 1:
                verdict.archive_repeats += got - 1
                if (letter.conversation_id, kind) not in marks[side.name]:
                    verdict.wrong.append(f"{identity}: {kind} {got} times, and not marked")

    def _marked(self, side: Side) -> set[tuple[str, str]]:
        rows = self._query(
            side,
            "SELECT archive_conversation_id, kind FROM message WHERE direction = 'INCOMING'"
            " AND CAST(warnings AS TEXT) LIKE '%possible duplicate%'",
        )
        return {(row[0], "letter" if row[1] == "letter" else "receipt") for row in rows}

    def _judge_network(self, verdict: Verdict) -> None:
        """Everything that was published, by what it is; nothing may be there twice."""
        published: dict[tuple, int] = defaultdict(int)
        receipts: dict[str, set[str]] = defaultdict(set)
        for transfer in self.network.transfers:
            if transfer.status not in _PUBLISHED or transfer.file is None:
                continue
            try:
                with transfer.file.open("rb") as file:
                    sbd = read_sbd_only(file)
            except PackageError as error:
                verdict.wrong.append(f"transfer {transfer.id} is no package: {error}")
                continue
            published[sbd.type, sbd.sender, sbd.message_id, sbd.status] += 1
            verdict.network[sbd.type] += 1
            if sbd.type == "arkivmelding_kvittering":
                receipts[sbd.related_to_message_id or ""].add(sbd.message_id)
        for key, times in published.items():
            if times > 1:
                verdict.wrong.append(f"{times} times on the network: {key}")
        for letter in self.accepted:
            if published["arkivmelding", letter.sender.orgnr, letter.conversation_id, None] != 1:
                verdict.wrong.append(f"{letter.conversation_id}: not once on the network")
            if len(receipts[letter.conversation_id]) != 1:
                count = len(receipts[letter.conversation_id])
                verdict.wrong.append(f"{letter.conversation_id}: {count} kvitteringer")

    def _damage(self, side: Side) -> list[str]:
        """Rows without their files, and a database that is not whole."""
        wrong = []
        rows = self._query(side, "SELECT blob, start, size, sha256 FROM document")
        for key, start, size, sha256 in rows:
            path = side.blobs / key[:2] / key
            if not path.exists() or _checksum(path, start, size) != sha256:
                wrong.append(f"{side.name}: blob {key} is missing or damaged")
        if side.database_url.startswith("sqlite"):
            ((answer,),) = self._query(side, "PRAGMA integrity_check")
            if answer != "ok":
                wrong.append(f"{side.name}: database: {answer}")
        return wrong


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _checksum(path: Path, start: int, size: int) -> str:
    """SHA-256 of a part of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while size and (block := file.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()
