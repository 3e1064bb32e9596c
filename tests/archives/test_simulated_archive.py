"""What the simulated archive sends, read as the gateway reads it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from archive_letters import ENVELOPE, GatewayStandIn, make_melding

from gateway.archives.settings import ArchiveSettings
from gateway.archives.soap import SoapArchive
from gateway.edu.payload import PayloadKind
from gateway.model import Party, ReceiptType
from gateway.ports import Delivery
from gateway.simulators.archive import GatewayAnswered, SimulatedArchive

DIALECTS = ["p360", "ephorte", "websak"]


def _simulated(dialect: str, stand_in: GatewayStandIn) -> SimulatedArchive:
    return SimulatedArchive("Prøve kommune", "991825827", dialect=dialect, gateway_url=stand_in.url)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_letter_leaves_in_the_vendors_form_with_its_documents(
    dialect: str, gateway_stand_in: GatewayStandIn, tmp_path: Path
) -> None:
    attachment = tmp_path / "kart.png"
    attachment.write_bytes(bytes(range(256)) * 4000)
    with _simulated(dialect, gateway_stand_in) as archive:
        conversation, answer = archive.send_letter(
            "974760673",
            [
                ("Søknad, del 1.PDF", "application/pdf", b"%PDF-1.4 \xff"),
                ("kart.png", "image/png", attachment),
            ],
            title="AppReceipt <og> ns2: & ]]>",
        )
    assert answer.type is ReceiptType.OK
    (request,) = gateway_stand_in.requests
    assert request.envelope is not None
    assert request.envelope.conversation_id == conversation
    assert request.envelope.receiver == Party("974760673")
    assert request.payload.kind is PayloadKind.MELDING
    melding = request.payload.melding
    assert melding is not None
    assert melding.root.findtext("journpost/jpInnhold") == "AppReceipt <og> ns2: & ]]>"
    assert [name.text for name in melding.root.iter("veFilnavn")] == [
        "Søknad, del 1.PDF",
        "kart.png",
    ]
    assert [content.sha256 for content in request.contents] == [
        hashlib.sha256(b"%PDF-1.4 \xff").hexdigest(),
        hashlib.sha256(attachment.read_bytes()).hexdigest(),
    ]

    body = gateway_stand_in.bodies[0]
    sender = request.envelope.sender
    if dialect == "p360":
        assert b'<payload xsi:type="xsd:string" xmlns="">&lt;?xml' in body
        assert sender == Party(""), "filled from configuration (bestedu-soap 3.1, P5)"
        assert melding.root.findtext("journpost/jpJdato") == "0001-01-01"
    elif dialect == "ephorte":
        assert b'<payload xmlns=""><![CDATA[<?xml' in body
        assert sender == Party("991825827", "Prøve kommune")
    else:
        assert b'<payload xmlns="">&lt;?xml' in body
        assert re.fullmatch(r"991825827-\d+-[0-9a-f-]{36}", conversation)
        assert [e.text for e in melding.root.iter("amIhtype")] == ["1", "0"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_receipt_is_sent_before_the_letter_is_answered(
    dialect: str, gateway_stand_in: GatewayStandIn
) -> None:
    with SimulatedArchive(
        "Eksempeletaten", "974760673", dialect=dialect, gateway_url=gateway_stand_in.url
    ) as archive:
        settings = ArchiveSettings("arkiv", dialect, archive.url)
        SoapArchive(settings).put_message(Delivery(ENVELOPE, make_melding(b"x")))
        assert archive.failures == []
        assert [answer.type for answer in archive.receipt_answers] == [ReceiptType.OK]
    (request,) = gateway_stand_in.requests
    assert request.payload.receipt is not None
    assert request.envelope is not None
    assert request.envelope.conversation_id == ENVELOPE.conversation_id
    codes = [message.code for message in request.payload.receipt.messages]
    parties = (request.envelope.sender, request.envelope.receiver)
    if dialect == "p360":
        assert codes == ["Recno"]
        assert parties == (ENVELOPE.sender, ENVELOPE.receiver), "the original's, unexchanged"
    else:
        assert codes == ["Recno"] if dialect == "ephorte" else len(codes) == 7
        assert parties == (ENVELOPE.receiver, ENVELOPE.sender)


def test_same_conversation_sends_the_same_bytes_again(gateway_stand_in: GatewayStandIn) -> None:
    with _simulated("p360", gateway_stand_in) as archive:
        document = [("a.txt", "text/plain", b"hei")]
        conversation, _ = archive.send_letter("974760673", document)
        archive.send_letter("974760673", document, conversation_id=conversation)
    assert gateway_stand_in.bodies[0] == gateway_stand_in.bodies[1]


def test_gateway_is_asked_who_can_receive(gateway_stand_in: GatewayStandIn) -> None:
    with _simulated("ephorte", gateway_stand_in) as archive:
        assert archive.can_receive("974760673")
    assert gateway_stand_in.requests[0].receiver == Party("974760673")


def test_fault_from_the_gateway_is_raised(gateway_stand_in: GatewayStandIn) -> None:
    gateway_stand_in.fault = True
    with (
        _simulated("websak", gateway_stand_in) as archive,
        pytest.raises(GatewayAnswered) as caught,
    ):
        archive.send_letter("974760673", [])
    assert (caught.value.status, caught.value.fault_code) == (500, "S:Client")


def test_archive_can_be_stopped_and_started_again_on_its_port() -> None:
    archive = SimulatedArchive("Eksempeletaten", "974760673", dialect="p360")
    archive.start()
    url = archive.url
    archive.stop()
    archive.stop()
    again = SimulatedArchive(
        "Eksempeletaten", "974760673", dialect="p360", port=int(url.split(":")[2].split("/")[0])
    )
    with again:
        SoapArchive(ArchiveSettings("arkiv", "p360", again.url)).put_message(
            Delivery(ENVELOPE, make_melding(b"x"))
        )
        assert len(again.letters) == 1
