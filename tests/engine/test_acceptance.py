"""Digdir's acceptance list for integrations (registry-and-statuses 6.5).

What other tests have as their subject is listed in docs/promises.md; these are the rest.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from installations import installation
from letters_and_traces import (
    Pair,
    content_of,
    filed,
    inject,
    melding,
    post,
    put_message,
    send,
    stored_traces,
    until,
)
from lxml import etree

from gateway.demo import Demo
from gateway.model import Document, ReceiptType
from gateway.package import arkivmelding_sbd
from gateway.settings import Messages

TITLE = "Høring – «ny» plan <B&M> 'Ålesund' § 4, €, 𝔘 og \"annet\""
FILE = "Ærlig talt: § 4/5 <utkast>?.txt"
NOT_MANDATORY_TO_US = {
    "korrespondansepart", "offentligTittel", "journalaar", "journalsekvensnummer",
    "journalpostnummer", "journaldato", "journalstatus", "dokumentnummer", "opprettetAv",
    "saksansvarlig", "administrativEnhet", "tilknyttetRegistreringSom",
}  # fmt: skip


def test_1_4_a_letter_above_the_limit_is_refused_before_anything_is_stored_or_sent(
    tmp_path: Path,
) -> None:
    small = Messages(max_letter_bytes=100_000)
    with Demo(tmp_path, lambda line: None, messages=small) as demo:
        pair = Pair(demo)
        before = stored_traces(pair.a)
        _, answer = pair.a.archive.send_letter(
            pair.b.orgnr, [("stor.bin", "application/octet-stream", bytes(100_001))]
        )
        assert answer.type is ReceiptType.ERROR
        assert "større enn tillatt" in answer.messages[0].text
        assert stored_traces(pair.a) == before
        _, answer = pair.a.archive.send_letter(
            pair.b.orgnr, [("passe.bin", "application/octet-stream", bytes(100_000))]
        )
        assert answer.type is ReceiptType.OK


def test_1_4_a_letter_whose_package_the_network_would_not_take_is_refused_at_once(
    tmp_path: Path,
) -> None:
    """The network's limit is for the whole package; what is below it does get there."""
    limit = 1024**2
    with Demo(tmp_path / "demo", lambda line: None) as demo, ExitStack() as stack:
        pair = Pair(demo)
        for one in demo.network.broker.resources.values():
            one.max_size = limit
        participant = demo.network.add_organisation("910076329", "Vik kommune")
        near = installation(
            demo.network,
            participant,
            tmp_path / "near",
            stack,
            network_settings={"max_package_bytes": limit},
        )
        before = stored_traces(near)
        _, answer = near.archive.send_letter(
            pair.b.orgnr, [("stor.pdf", "application/pdf", bytes(limit - 1000))]
        )
        assert answer.type is ReceiptType.ERROR
        assert "større enn tillatt" in answer.messages[0].text
        assert "Fordel vedleggene" in answer.messages[1].text
        assert stored_traces(near) == before
        conversation_id, answer = near.archive.send_letter(
            pair.b.orgnr, [("passe.pdf", "application/pdf", bytes(700_000))]
        )
        assert answer.type is ReceiptType.OK
        until(lambda: filed(pair.b, conversation_id))


def test_1_7_special_characters_arrive_and_no_file_has_a_name_that_a_disk_refuses(
    pair: Pair,
) -> None:
    conversation_id = str(uuid.uuid4())
    body = put_message(
        melding((FILE, b"innhold"), title=TITLE),
        receiver=pair.b.orgnr,
        conversation_id=conversation_id,
    )
    assert '<result type="OK"/>' in post(pair.a, body).text
    until(lambda: filed(pair.b, conversation_id))
    (letter,) = filed(pair.b, conversation_id)
    assert letter.title == TITLE
    (document,) = letter.documents
    assert not set('\\/:*?"<>|') & set(document.filename)
    assert document.filename.startswith("Ærlig talt")
    assert document.filename.endswith(".txt")


def test_1_7_an_incoming_letter_that_lacks_mandatory_data_is_not_rejected(pair: Pair) -> None:
    first = send(pair)
    until(lambda: filed(pair.b, first))
    main, *files = content_of(pair.b, first)
    with main.content.open() as stream:
        root = etree.parse(stream)
    poor = [one for one in root.iter("{*}*") if etree.QName(one).localname in NOT_MANDATORY_TO_US]
    assert len(poor) > 5
    for one in poor:
        parent = one.getparent()
        if parent is not None:
            parent.remove(one)
    writer = pair.b.gateway.blobs.create()
    writer.write(etree.tostring(root, encoding="utf-8", xml_declaration=True))
    content = writer.commit()
    pair.b.gateway.blobs.keep([content])
    now = datetime.now(UTC)
    sbd = arkivmelding_sbd(
        sender=pair.b.orgnr,
        receiver=pair.a.orgnr,
        message_id=str(uuid.uuid4()),
        conversation_id=str(uuid.uuid4()),
        created=now,
        expires=now + timedelta(days=1),
    )
    inject(pair, sbd, Document("arkivmelding.xml", "application/xml", content), *files)
    until(lambda: filed(pair.a, sbd.conversation_id))
