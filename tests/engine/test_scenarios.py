"""The eighteen scenarios of altinn-transport 5.6: nothing lost, nothing doubled.

Each runs whole gateways and archives over real HTTP with the fault injected, except
those marked "transport", which run the adapter alone against the simulated network.
The crashes kill a gateway process (SIGKILL) while the network holds a call.

==  ======================================================================================
 1  test_01_letters_statuses_and_receipts_go_both_ways
 2  test_02_crash_after_initialize
 3  test_03_crash_after_upload_before_it_is_recorded
 4  test_04_lost_answer_to_an_upload
 5  test_05_crash_in_a_download_before_anything_is_stored
 6  test_06_crash_after_storing_before_confirming
 7  test_07_lost_answer_to_a_confirm
 8  test_08_malware_found_once, test_08_malware_found_each_time
 9  test_09_many_letters_waiting (25 letters); 250: benchmarks/many_waiting.py, and the
    adapter alone: test_altinn3_receiving.py::
    test_250_packages_come_in_order_and_are_looked_up_once
10  test_10_flood_for_a_foreign_channel
11  test_11_two_gateways_of_one_organisation_with_channels
12  test_12_tokens_expire_during_an_upload
13  test_13_storm_of_429
14  test_14_same_message_in_two_transfers
15  test_15_poison_zip
16  test_16_expiry_before_pickup
17  test_17_big_letter_with_flat_memory (48 MB); 75 MB: transport, test_altinn3.py::
    test_75_mb_pass_with_flat_memory; 1 GiB: benchmarks/whole_way.py and packaging.py
18  test_18_on_behalf_of_three_organisations_within_the_search_budget
==  ======================================================================================
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from backlog import arrive_in_order
from installations import archive_of, installation
from letters_and_traces import (
    CONTENT,
    Pair,
    arrives_once,
    filed,
    letter_of,
    published,
    receipts,
    send,
    timeline,
    until,
)

from gateway import parts
from gateway.demo import Demo
from gateway.engine import outbound
from gateway.engine.health import Subject
from gateway.engine.operations import Operations
from gateway.model import ReceiptType, Status
from gateway.package import build_package, read_sbd_only
from gateway.ports import Parcel
from gateway.settings import ArchiveSystem, Messages, OnBehalfOf
from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.network import Network as SimulatedNetwork
from gateway.simulators.network import Status as TransferStatus
from gateway.simulators.network.broker import ScanPolicy
from gateway.store import arrivals, messages
from gateway.store.messages import Kind, Role
from gateway.store.tables import message as messages_table
from gateway.transports import pace


def parcel(pair: Pair, data: bytes, reference: str | None = None) -> Parcel:
    """A package from A to B with any bytes."""
    writer = pair.a.gateway.context.blobs.create()
    writer.write(data)
    content = writer.commit()
    pair.a.gateway.context.blobs.keep([content])
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    reference = reference or str(uuid.uuid4())
    return Parcel(pair.a.orgnr, pair.b.orgnr, reference, content, md5)


def put_on_the_network(pair: Pair, package: Parcel) -> str:
    transport = pair.a.gateway.context.transport
    transfer = transport.announce(package)
    transport.upload(transfer, package)
    return transfer


def transfer_status(pair: Pair, transfer: str) -> TransferStatus:
    return next(one.status for one in pair.demo.network.transfers if one.id == transfer)


def test_01_letters_statuses_and_receipts_go_both_ways(troubled: Pair) -> None:
    back = Pair(troubled.demo)
    for pair in (troubled, back):
        if pair is back:
            pair.demo.sides.reverse()
        try:
            conversation_id = send(pair)
            arrives_once(pair, conversation_id)
            until(lambda p=pair, c=conversation_id: Status.LEST in timeline(p.a, c))
        finally:
            if pair is back:
                pair.demo.sides.reverse()
        expected = {Status.OPPRETTET, Status.SENDT, Status.LEVERT, Status.LEST}
        side = troubled.b if pair is back else troubled.a
        assert expected <= set(timeline(side, conversation_id))


# --- crashes --------------------------------------------------------------------------

sys.path.append(str(Path(__file__).parents[1] / "kill"))
from kill_world import Accepted, Node, World  # noqa: E402

if sys.platform == "win32":
    pytest.skip("SIGKILL is not of this platform", allow_module_level=True)


PATIENCE = 120
"""Seconds for what takes a few, also where ten others use the machine."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Gateways as processes of their own; nothing misbehaves by itself."""
    world = World(tmp_path_factory.mktemp("crashes"), seed=1)
    try:
        yield world
        world.settle(PATIENCE)
        assert world.verdict().wrong == []
        assert world.stop() == [0, 0]
    finally:
        world.abandon()


def quiet(world: World) -> None:
    """Wait until nothing of what came before is on its way any more."""

    def at_rest() -> bool:
        return not (world._unread() or any(world._waiting(side) for side in world.sides))

    # Twice: what was between two places during the first look is at one of them by then.
    until(lambda: at_rest() and at_rest(), PATIENCE)


def crash(world: World, victim: Node, call: str, **rule: object) -> str:
    """Send a letter A to B, kill `victim` while it waits for `call`, start it again.

    What the whole comes to is judged when the `world` is left.
    """
    sender, receiver = world.sides
    quiet(world)  # so that the next call is for this letter
    letters = len(receiver.archive.letters)
    caller = next(one.orgnr for one in world.sides if victim in one.nodes)
    fault = world.network.fault(call, caller=caller, **rule)
    content = random.randbytes(50_000)
    conversation_id, answer = sender.archive.send_letter(
        receiver.orgnr, [("Brev.bin", "application/octet-stream", content)]
    )
    assert answer.type is ReceiptType.OK
    checksum = hashlib.sha256(content).hexdigest()
    world.accepted.append(Accepted(sender, receiver, conversation_id, checksum))
    until(lambda: fault.acted if "delay_before" in rule else fault.handled, PATIENCE)
    if call == "confirm":  # it was stored, so the archive gets it meanwhile
        until(lambda: len(receiver.archive.letters) > letters, PATIENCE)
    victim.kill()
    world.network.faults.remove()
    assert fault.handled == (0 if "delay_before" in rule else 1)
    assert len(receiver.archive.letters) - letters == (1 if call == "confirm" else 0)
    victim.start()
    victim.wait()

    def home() -> bool:
        return any(one.conversation_id == conversation_id for one in sender.archive.receipts)

    until(home, PATIENCE)
    found = [one for one in receiver.archive.letters if one.conversation_id == conversation_id]
    assert len(found) == 1
    return conversation_id


def transfers_of(world: World, since: int) -> list[TransferStatus]:
    """The statuses of the transfers with A's letters that came after the first `since`."""
    sender = f"0192:{world.sides[0].orgnr}"
    return [one.status for one in world.network.transfers[since:] if one.sender == sender]


def test_02_crash_after_initialize(world: World) -> None:
    quiet(world)
    before = len(world.network.transfers)
    crash(world, world.sides[0].nodes[0], "initialize", delay_after=10)
    quiet(world)  # a status that is just announced is no orphan
    statuses = transfers_of(world, before)
    assert statuses[0] is TransferStatus.Initialized  # an orphan that nobody ever sees
    assert TransferStatus.Initialized not in statuses[1:]


def test_03_crash_after_upload_before_it_is_recorded(world: World) -> None:
    quiet(world)
    before = len(world.network.transfers)
    world.network.fault("list", times=None, status=503, body="{}")  # nobody fetches it yet
    crash(world, world.sides[0].nodes[0], "upload", delay_after=10)
    quiet(world)
    assert TransferStatus.Initialized not in transfers_of(world, before)


def test_05_crash_in_a_download_before_anything_is_stored(world: World) -> None:
    crash(world, world.sides[1].nodes[0], "download", trickle=5_000)


def test_06_crash_after_storing_before_confirming(world: World) -> None:
    crash(world, world.sides[1].nodes[0], "confirm", delay_before=10)


# --- lost answers, malware, many ------------------------------------------------------


def test_04_lost_answer_to_an_upload(troubled: Pair) -> None:
    troubled.demo.network.fault("upload", drop="after")
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)


def test_07_lost_answer_to_a_confirm(troubled: Pair) -> None:
    troubled.demo.network.fault("confirm", drop="after")
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)
    (transfer,) = published(troubled, conversation_id)
    by_id = {one.id: one for one in troubled.demo.network.transfers}
    until(lambda: by_id[transfer].status.name == "AllConfirmedDownloaded")


@pytest.fixture
def suspicious(troubled: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Scans take long, and the sender looks soon what came of them."""
    monkeypatch.setattr(outbound, "_WATCH", (timedelta(seconds=0.5),))
    troubled.demo.network.broker.scan = ScanPolicy(60)
    yield troubled
    troubled.demo.network.broker.scan = ScanPolicy()


def find_malware(pair: Pair, known: set[str]) -> Callable[[], bool]:
    """Condemns a letter that is being scanned; whether there was a new one."""

    def condemn() -> bool:
        for one in pair.demo.network.transfers:
            scanned = one.status is TransferStatus.UploadProcessing and one.id not in known
            if scanned and one.size > len(CONTENT) // 2:
                known.add(one.id)
                pair.demo.network.force_status(one.id, TransferStatus.Failed, "malware")
                return True
        return False

    return condemn


def test_08_malware_found_once(suspicious: Pair) -> None:
    """A false alarm costs a second transfer, not the letter."""
    conversation_id = send(suspicious)
    until(find_malware(suspicious, set()))
    suspicious.demo.network.broker.scan = ScanPolicy()
    arrives_once(suspicious, conversation_id)


def test_08_malware_found_once_and_the_second_upload_fails(suspicious: Pair) -> None:
    """A transfer that was announced anew is not taken for one that was sent."""
    conversation_id = send(suspicious)
    until(lambda: Status.SENDT in timeline(suspicious.a, conversation_id))
    suspicious.demo.network.fault("upload", times=None, status=503, body="{}")
    until(find_malware(suspicious, set()))
    suspicious.demo.network.broker.scan = ScanPolicy()
    letter = letter_of(suspicious.a, conversation_id)
    assert letter is not None
    seen = Operations(suspicious.a.gateway.context)
    until(lambda: "TransferUnclear" in str(seen.show(letter.row_id).work))
    suspicious.demo.network.faults.remove()
    arrives_once(suspicious, conversation_id)


def test_08_malware_found_each_time(suspicious: Pair) -> None:
    """After three times the archive is told (altinn-transport 6.1); nobody gets the letter."""
    condemned: set[str] = set()
    conversation_id = send(suspicious)
    for _ in range(3):
        until(find_malware(suspicious, condemned))
    until(lambda: receipts(suspicious.a, conversation_id))
    assert [one.type for one in receipts(suspicious.a, conversation_id)] == [ReceiptType.ERROR]
    assert len(condemned) == 3
    assert published(suspicious, conversation_id) == []
    assert filed(suspicious.b, conversation_id) == []
    letter = letter_of(suspicious.a, conversation_id)
    assert letter is not None
    assert letter.state is Status.FEIL


def test_09_many_letters_waiting(troubled: Pair) -> None:
    """All wait before the first is fetched; they are fetched in the order they came."""
    arrive_in_order(troubled, 25, patience=60)


def test_10_flood_for_a_foreign_channel(troubled: Pair) -> None:
    package = parcel(troubled, b"not for us", reference="foreign-7")
    flood = [put_on_the_network(troubled, package) for _ in range(120)]
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)
    assert {transfer_status(troubled, one) for one in flood} == {TransferStatus.Published}
    found = troubled.b.gateway.health.examine()
    left = next(one for one in found if one.subject is Subject.FOREIGN)
    assert left.figures["count"] >= len(flood)
    asked = [line.path for line in troubled.demo.network.requests if line.call == "download"]
    assert not [path for path in asked if any(one in path for one in flood)]
    for one in flood:
        troubled.demo.network.force_status(one, TransferStatus.Purged)
    troubled.a.gateway.blobs.delete(package.content.key)  # type: ignore[attr-defined]


def test_11_two_gateways_of_one_organisation_with_channels(troubled: Pair, tmp_path: Path) -> None:
    """Statuses and the receipt for a channel's letter come to that channel's gateway."""
    with ExitStack() as stack:
        network = troubled.demo.network
        participant = network.organisations[troubled.a.orgnr]
        channel = {"channel": "plan"}
        other = installation(network, participant, tmp_path, stack, network_settings=channel)
        ours = send(troubled)
        theirs, answer = other.archive.send_letter(
            troubled.b.orgnr, [("b.pdf", "application/pdf", CONTENT)]
        )
        assert answer.type is ReceiptType.OK
        arrives_once(troubled, ours)
        until(lambda: receipts(other, theirs))
        until(lambda: Status.LEST in timeline(other, theirs))
        assert len(filed(troubled.b, theirs)) == 1
        assert receipts(troubled.a, theirs) == []
        assert receipts(other, ours) == []


def test_12_tokens_expire_during_an_upload(troubled: Pair) -> None:
    fault = troubled.demo.network.fault("upload", delay_before=1.0)
    conversation_id = send(troubled)
    until(lambda: fault.acted)
    troubled.demo.network.maskinporten.expire_tokens()
    arrives_once(troubled, conversation_id)


def test_13_storm_of_429(troubled: Pair) -> None:
    for call in ("initialize", "upload", "list", "download"):
        troubled.demo.network.fault(call, status=429, body="{}", headers={"Retry-After": "1"})
    arrives_once(troubled, send(troubled))


def test_14_same_message_in_two_transfers(troubled: Pair) -> None:
    """As an Integrasjonspunkt does that retries: filed once, the status repeated."""
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)
    context = troubled.a.gateway.context
    letter = letter_of(troubled.a, conversation_id)
    assert letter is not None
    with context.database.read() as tx:
        built = messages.package(tx, letter.row_id, context.blobs)
    assert built is not None
    content, md5 = built
    again = Parcel(troubled.a.orgnr, troubled.b.orgnr, str(uuid.uuid4()), content, md5)
    transfer = context.transport.announce(again)
    context.transport.upload(transfer, again)

    def confirmed() -> bool:
        with troubled.b.gateway.database.read() as tx:
            return arrivals.state(tx, transfer) is arrivals.ArrivalState.CONFIRMED

    until(confirmed)
    assert len(filed(troubled.b, conversation_id)) == 1
    with troubled.b.gateway.database.read() as tx:
        statuses = messages.select(
            tx,
            messages_table.c.kind == Kind.STATUS,
            messages_table.c.message_id == letter.message_id,
        )
    assert statuses[0].status_value == "LEVERT"
    assert len(statuses) == 3


def test_14_same_id_with_other_content_is_kept_apart(troubled: Pair, tmp_path: Path) -> None:
    conversation_id = send(troubled)
    arrives_once(troubled, conversation_id)
    context = troubled.a.gateway.context
    letter = letter_of(troubled.a, conversation_id)
    assert letter is not None
    with context.database.read() as tx:
        built = messages.package(tx, letter.row_id, context.blobs)
        metadata = messages.documents(tx, letter.row_id, context.blobs, Role.METADATA)
    assert built is not None
    with built[0].open() as package:
        sbd = read_sbd_only(package)
    with (tmp_path / "other.zip").open("xb+") as target:
        build_package(
            target,
            sbd,
            metadata,
            signer=context.identities[0],
            receiver_certificate=troubled.b.gateway.context.identities[0].certificate,
        )
    transfer = put_on_the_network(troubled, parcel(troubled, (tmp_path / "other.zip").read_bytes()))

    def kept() -> bool:
        with troubled.b.gateway.database.read() as tx:
            return arrivals.state(tx, transfer) is arrivals.ArrivalState.QUARANTINED

    until(kept)
    assert len(filed(troubled.b, conversation_id)) == 1
    assert len(receipts(troubled.a, conversation_id)) == 1


def test_15_poison_zip(troubled: Pair) -> None:
    context = troubled.a.gateway.context
    writer = context.blobs.create()
    writer.write(b"this is not a zip")
    content = writer.commit()
    context.blobs.keep([content])
    md5 = hashlib.md5(b"this is not a zip", usedforsecurity=False).hexdigest()
    parcel = Parcel(troubled.a.orgnr, troubled.b.orgnr, str(uuid.uuid4()), content, md5)
    transfer = context.transport.announce(parcel)
    context.transport.upload(transfer, parcel)

    def kept() -> set[str]:
        with troubled.b.gateway.database.read() as tx:
            if arrivals.state(tx, transfer) is not arrivals.ArrivalState.QUARANTINED:
                return set()
            return arrivals.quarantined(tx)

    until(kept)
    blobs = troubled.b.gateway.blobs
    assert b"this is not a zip" in {blobs.content(key, 0, "").path.read_bytes() for key in kept()}
    by_id = {one.id: one for one in troubled.demo.network.transfers}
    until(lambda: by_id[transfer].status.name == "AllConfirmedDownloaded")
    troubled.a.gateway.blobs.delete(content.key)


def test_16_expiry_before_pickup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fetches it: its archive is told once, and nobody gets it from the grave."""
    policy = parts._policy
    monkeypatch.setattr(
        parts, "_policy", lambda settings: replace(policy(settings), deadline_grace=timedelta())
    )
    short = Messages(retry_seconds=0.2, ttl_hours=3 / 3600)
    with Demo(tmp_path / "demo", lambda line: None, messages=short) as demo, ExitStack() as stack:
        pair = Pair(demo)
        sleeper = demo.network.add_organisation("974760673", "Sovende kommune")
        conversation_id, answer = pair.a.archive.send_letter(
            sleeper.orgnr, [("b.pdf", "application/pdf", CONTENT)]
        )
        assert answer.type is ReceiptType.OK
        until(lambda: receipts(pair.a, conversation_id))
        assert [one.type for one in receipts(pair.a, conversation_id)] == [ReceiptType.ERROR]
        (transfer,) = published(pair, conversation_id)
        demo.network.clock.advance(31 * 24 * 3600)
        assert transfer_status(pair, transfer) is TransferStatus.Purged
        late = installation(demo.network, sleeper, tmp_path / "late", stack)
        time.sleep(1.5)
        assert late.archive.letters == []
        assert late.gateway.context.transport.pending(sleeper.orgnr) == []
        assert len(receipts(pair.a, conversation_id)) == 1
        assert timeline(pair.a, conversation_id)[-1] is Status.LEVETID_UTLOPT


def peak_kib(node: Node) -> int:
    """The most memory that the process has ever held."""
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_17_big_letter_with_flat_memory(world: World) -> None:
    sender, receiver = world.sides
    before = [peak_kib(node) for node in world.nodes]
    content = random.randbytes(48 << 20)
    checksum = hashlib.sha256(content).hexdigest()
    conversation_id, answer = sender.archive.send_letter(
        receiver.orgnr, [("stor.bin", "application/octet-stream", content)]
    )
    assert answer.type is ReceiptType.OK
    world.accepted.append(Accepted(sender, receiver, conversation_id, checksum))
    until(
        lambda: any(one.conversation_id == conversation_id for one in sender.archive.receipts), 60
    )
    grown = [peak_kib(node) - start for node, start in zip(world.nodes, before, strict=True)]
    assert max(grown) < 40 * 1024, grown


def test_18_on_behalf_of_three_organisations_within_the_search_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits are on at both ends; a minute has six seconds, so that several pass."""
    minute = 6.0
    monkeypatch.setattr(pace, "_MINUTE", minute)
    served = {"910077473": "havna", "974760673": "skolen", "889640782": "kirken"}
    own, *customers = served
    limited = {"rate_limits": True}
    with SimulatedNetwork(tmp_path / "network", rate_limits=True) as network, ExitStack() as stack:
        network.rate_limiter.minute = minute
        supplier = network.add_organisation(own, "Fjordvik kommune")
        for orgnr in customers:
            network.add_customer(supplier, orgnr, served[orgnr], external_ref=served[orgnr])
        other = network.add_organisation("910075918", "Skogland fylkeskommune")
        b = installation(network, other, tmp_path / "b", stack, network_settings=limited)
        archives = {one: archive_of(one, tmp_path / one, stack, "websak") for one in customers}
        a = installation(
            network,
            supplier,
            tmp_path / "a",
            stack,
            network_settings=limited,
            on_behalf_of=tuple(
                OnBehalfOf(orgnr, served[orgnr], ArchiveSystem("websak", archive.url))
                for orgnr, archive in archives.items()
            ),
        )
        archives[own] = a.archive
        started = time.monotonic()
        ways = []
        for orgnr, archive in archives.items():
            archive.gateway_url = a.gateway.url
            ways += [(archive, b.archive, other.orgnr), (b.archive, archive, orgnr)]
        sent = []
        for sender, receiver, orgnr in ways:
            conversation_id, answer = sender.send_letter(
                orgnr, [("brev.pdf", "application/pdf", CONTENT)]
            )
            assert answer.type is ReceiptType.OK
            sent.append((sender, receiver, conversation_id))

        def home(sender: SimulatedArchive, conversation_id: str) -> list[ReceiptType]:
            return [it.type for it in sender.receipts if it.conversation_id == conversation_id]

        until(lambda: all(home(sender, one) for sender, _, one in sent), 40)
        until(lambda: time.monotonic() - started > 1.5 * minute)
        for sender, _, conversation_id in sent:
            assert home(sender, conversation_id) == [ReceiptType.OK]
        assert {len(one.letters) for one in archives.values()} == {1}
        assert len(b.archive.letters) == 3
        log = network.requests
        assert [line.call for line in log if line.status == 429] == []
        assert {line.caller for line in log if line.call == "list"} == {*served, other.orgnr}
