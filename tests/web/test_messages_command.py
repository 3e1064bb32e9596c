"""``edu-gateway messages`` on the store of a gateway that is running."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from operators import of_kind, send, send_refused, stored, until, write_settings

from gateway.cli import main
from gateway.demo import Demo, Side
from gateway.model import Direction, Document, Status
from gateway.package import Sbd, avtalt_sbd, build_package, read_sbd_only
from gateway.ports import Parcel
from gateway.simulators.archive import Behaviour
from gateway.store import arrivals
from gateway.store.messages import Kind


class Command:
    """The command with the settings of one organisation."""

    def __init__(self, settings: Path) -> None:
        self._settings = settings

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["messages", "--config", str(self._settings), *arguments])


@pytest.fixture
def at_a(a: Side, tmp_path: Path) -> Command:
    return Command(write_settings(a, tmp_path))


@pytest.fixture
def at_b(b: Side, tmp_path: Path) -> Command:
    return Command(write_settings(b, tmp_path))


def test_list_filters_and_says_by_its_exit_code_whether_there_is_anything(
    demo: Demo, at_a: Command, b: Side
) -> None:
    good, bad = send(demo), send_refused(demo)
    listed = at_a("list", "--attention", "--receiver", b.orgnr)
    assert listed.exit_code == 0
    assert bad in listed.output
    assert good not in listed.output
    found = at_a("list", good, "--direction", "out", "--kind", "letter", "--json")
    (message,) = json.loads(found.output)["messages"]
    assert message["archive_conversation_id"] == good
    assert message["state"] == "LEST"
    nothing = at_a("list", good, "--status", "feil")
    assert nothing.exit_code == 1
    assert "0 found" in nothing.output


def test_show_tells_timeline_documents_losses_and_jobs_and_masks_numbers(
    demo: Demo, at_a: Command, at_b: Command
) -> None:
    conversation_id = send_refused(demo)
    shown = at_a("show", conversation_id).output
    for expected in ("OPPRETTET", "FEIL", "a.txt", "SHA-256", "transfers", "lost or changed"):
        assert expected in shown
    told = at_b("show", conversation_id).output
    assert "Saken er avsluttet for ***********" in told
    as_json = at_b("show", conversation_id, "--json")
    assert "01010112345" not in told + as_json.output
    assert [one["status"] for one in json.loads(as_json.output)["timeline"]] == [
        "INNKOMMENDE_MOTTATT",
        "FEIL",
    ]


def test_what_is_unknown_or_wrong_is_said_with_its_exit_code(at_a: Command, tmp_path: Path) -> None:
    assert at_a("show", "11111111-1111-4111-8111-111111111111").exit_code == 1
    assert at_a("show").exit_code == 2
    assert at_a("handled", "1").exit_code == 2
    assert at_a("list", "--status", "nonsense").exit_code == 2
    missing = Command(tmp_path / "absent.toml")("list")
    assert missing.exit_code == 2
    assert "absent.toml" in missing.output


def test_resend_is_for_what_failed_and_can_be_forced(demo: Demo, at_a: Command, a: Side) -> None:
    conversation_id = send(demo)
    refused = at_a("resend", conversation_id)
    assert refused.exit_code == 1
    assert "--force" in refused.output
    bad = send_refused(demo)
    again = at_a("resend", bad)
    assert again.exit_code == 0
    new_id = again.output.split()[-1]
    until(lambda: "LEST" in at_a("show", new_id).output)
    assert stored(a, bad).handled is not None


def test_retry_hurries_what_waits(demo: Demo, at_b: Command, a: Side, b: Side) -> None:
    """B's archive is down for so long that the next attempt is a minute away."""
    down = Behaviour(answer="status", status=503, files=False, receipt=None)
    b.archive.behave(*[down] * 4)
    conversation_id, _ = a.archive.send_letter(b.orgnr, [("a.txt", "text/plain", b"senere")])

    def failures() -> int:
        shown = at_b("show", conversation_id, "--json")
        if shown.exit_code:
            return 0
        return sum(int(job["failures"]) for job in json.loads(shown.output)["work"])

    until(lambda: failures() >= 2)
    for _ in range(30):
        if stored(b, conversation_id).state is Status.INNKOMMENDE_LEVERT:
            break
        at_b("retry", conversation_id)
        time.sleep(0.2)
    until(lambda: stored(b, conversation_id).state is Status.INNKOMMENDE_LEVERT)
    assert "bestilt av" in at_b("show", conversation_id).output


def test_an_outgoing_letter_that_was_given_up_is_not_retried_but_sent_again(
    demo: Demo, at_a: Command
) -> None:
    answer = at_a("retry", send_refused(demo))
    assert answer.exit_code == 1
    assert "send it again as new" in answer.output


def test_handled_needs_a_reason_and_is_seen_in_the_timeline(demo: Demo, at_a: Command) -> None:
    conversation_id = send_refused(demo)
    assert at_a("handled", conversation_id, "--reason", " ").exit_code == 1
    assert at_a("handled", conversation_id, "--reason", "ringt 01010112345").exit_code == 0
    assert "ringt ***********" in at_a("show", conversation_id).output
    assert conversation_id not in at_a("list", "--attention").output


def test_export_writes_evidence_and_never_over_a_file(
    demo: Demo, at_a: Command, tmp_path: Path
) -> None:
    conversation_id = send(demo)
    out = tmp_path / "evidence.zip"
    assert at_a("export", conversation_id, "--out", str(out), "--documents").exit_code == 0
    with zipfile.ZipFile(out) as evidence:
        assert evidence.read("documents/a.txt") == b"hei"
        related = json.loads(evidence.read("related.json"))
    assert {"receipt"} <= {one["message"]["kind"] for one in related}
    again = at_a("export", conversation_id, "--out", str(out))
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_an_avtalt_travels_past_the_archives_and_is_kept_for_pick_up(
    at_a: Command, at_b: Command, a: Side, b: Side, tmp_path: Path
) -> None:
    """MOTTATT when it is stored, LEVERT when it is fetched, and neither archive sees it."""
    filed = len(b.archive.letters)
    (tmp_path / "plan.txt").write_bytes(b"et vedlegg")
    (tmp_path / "said.json").write_text('{"sak": "æøå"}', encoding="utf-8")
    sent = at_a(
        "send", "--type", "avtalt", "--to", b.orgnr, "--identifier", "example:plan",
        "--content", str(tmp_path / "said.json"), str(tmp_path / "plan.txt"),
    )  # fmt: skip
    assert sent.exit_code == 0, sent.output
    message_id = sent.output.strip()
    until(lambda: message_id in at_b("list", "--waiting").output)
    until(lambda: of_kind(a, Kind.OTHER, Direction.OUTGOING)[0].state is Status.MOTTATT)

    folder = tmp_path / "fetched"
    fetched = at_b("pickup", message_id, "--out", str(folder))
    assert fetched.exit_code == 0, fetched.output
    assert (folder / "plan.txt").read_bytes() == b"et vedlegg"
    assert json.loads((folder / "avtalt.json").read_text("utf-8")) == {
        "identifier": "example:plan",
        "content": {"sak": "æøå"},
    }
    until(lambda: of_kind(a, Kind.OTHER, Direction.OUTGOING)[0].state is Status.LEVERT)
    assert message_id not in at_b("list", "--waiting").output
    assert at_b("pickup", message_id, "--out", str(folder)).exit_code == 1  # files are there
    assert len(b.archive.letters) == filed


def test_an_avtalt_without_files_travels_too(
    at_a: Command, at_b: Command, b: Side, tmp_path: Path
) -> None:
    sent = at_a("send", "--to", b.orgnr, "--identifier", "example:ping")
    until(lambda: sent.output.strip() in at_b("list", "--waiting").output)
    folder = tmp_path / "ping"
    assert at_b("pickup", sent.output.strip(), "--out", str(folder)).exit_code == 0
    assert [one.name for one in folder.iterdir()] == ["avtalt.json"]


def test_a_message_of_a_type_that_nobody_knows_is_kept_for_pick_up(
    at_b: Command, a: Side, b: Side, demo: Demo, tmp_path: Path
) -> None:
    """Nobody forces it into EDU, and no quarantine: MOTTATT, and LEVERT when it is fetched."""
    filed, quarantined = len(b.archive.letters), len(quarantine(b))
    message_id = str(uuid.uuid4())
    put_on_the_network(a, b, of_unknown_type(a, b, message_id))
    until(lambda: message_id in at_b("list", "--waiting").output)
    until(lambda: status_sbds(demo, message_id))

    folder = tmp_path / "fetched"
    assert at_b("pickup", message_id, "--out", str(folder)).exit_code == 0
    assert (folder / "melding.json").read_bytes() == b"the sender's own file of this name"
    assert json.loads((folder / "melding-2.json").read_text("utf-8")) == {
        "publisering": {"dokumentId": [1, "æ"]}
    }
    until(lambda: len(status_sbds(demo, message_id)) == 2)
    assert sorted(str(one.status) for one in status_sbds(demo, message_id)) == ["LEVERT", "MOTTATT"]
    assert {one.process for one in status_sbds(demo, message_id)} == {None}
    assert len(b.archive.letters) == filed
    assert len(quarantine(b)) == quarantined


def of_unknown_type(a: Side, b: Side, message_id: str) -> bytes:
    """A sound package from A to B, but of a type that is none of ours."""
    context = a.gateway.context
    recipient = context.addresses.find(b.orgnr)
    sbd = avtalt_sbd(
        sender=a.orgnr, receiver=b.orgnr, message_id=message_id, conversation_id=message_id,
        created=datetime.now(UTC), expires=None, identifier="x", content=None,
    )  # fmt: skip
    writer = context.blobs.create()
    writer.write(b"the sender's own file of this name")
    content = writer.commit()
    context.blobs.keep([content])
    package, changed = io.BytesIO(), io.BytesIO()
    build_package(
        package,
        sbd,
        [Document("melding.json", "application/json", content)],
        signer=context.identities[0],
        receiver_certificate=x509.load_pem_x509_certificate(recipient.certificate_pem.encode()),
    )
    with zipfile.ZipFile(package) as whole, zipfile.ZipFile(changed, "w") as zip:
        root = json.loads(whole.read("sbd.json"))
        identification = root["standardBusinessDocumentHeader"]["documentIdentification"]
        identification |= {"type": "publisering", "standard": "urn:example:xsd::publisering"}
        del root["avtalt"]
        root["publisering"] = {"dokumentId": [1, "æ"]}
        zip.writestr("sbd.json", json.dumps(root))
        zip.writestr("asic.zip", whole.read("asic.zip"))
    return changed.getvalue()


def put_on_the_network(a: Side, b: Side, package: bytes) -> None:
    transport = a.gateway.context.transport
    writer = a.gateway.context.blobs.create()
    writer.write(package)
    content = writer.commit()
    a.gateway.context.blobs.keep([content])
    md5 = hashlib.md5(package, usedforsecurity=False).hexdigest()
    parcel = Parcel(a.orgnr, b.orgnr, str(uuid.uuid4()), content, md5)
    transport.upload(transport.announce(parcel), parcel)


def status_sbds(demo: Demo, message_id: str) -> list[Sbd]:
    """The statuses of this message that the network has."""
    found = []
    for transfer in demo.network.transfers:
        if transfer.file is not None and transfer.status.name != "UploadStarted":
            with transfer.file.open("rb") as file:
                found.append(read_sbd_only(file))
    return [one for one in found if (one.type, one.message_id) == ("status", message_id)]


def quarantine(side: Side) -> set[str]:
    with side.gateway.database.read() as tx:
        return arrivals.quarantined(tx)


def test_a_letter_is_not_for_pick_up(demo: Demo, at_b: Command) -> None:
    answer = at_b("pickup", send(demo))
    assert answer.exit_code == 1
    assert "not kept for pick-up" in answer.output


def test_an_avtalt_to_nobody_fails_visibly(at_a: Command) -> None:
    assert at_a("send", "--to", "12345", "--identifier", "x").exit_code == 2
    stranger = at_a("send", "--from", "889640782", "--to", "974760673", "--identifier", "x")
    assert stranger.exit_code == 1
    assert "does not send for" in stranger.output
    sent = at_a("send", "--to", "889640782", "--identifier", "example:lost")
    until(lambda: sent.output.strip() in at_a("list", "--attention").output)
    assert re.search(r"FEIL .*", at_a("show", sent.output.strip()).output)
