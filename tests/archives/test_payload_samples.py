"""Real vendors' payloads, read and written again: nothing changes but the form."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from gateway.edu.payload import PayloadKind
from gateway.edu.reader import read_request
from gateway.edu.write import payload_text
from gateway.spool import FolderSpool

REQUESTS = [
    "p360-putmessage-docx-escaped-typed.xml",
    "ephorte-putmessage-pdf-cdata.xml",
    "ephorte-appreceipt-ok-cdata.xml",
]


@pytest.mark.parametrize("name", REQUESTS)
def test_payload_is_the_same_letter_in_the_form_of_archives(
    shared_samples: Path, tmp_path: Path, name: str
) -> None:
    body = (shared_samples / "edu" / name).read_bytes()
    request = read_request([body], FolderSpool(tmp_path))
    payload = request.payload
    assert payload.kind in (PayloadKind.MELDING, PayloadKind.APPRECEIPT)
    source = payload.melding or payload.receipt
    assert source is not None
    written = b"".join(payload_text(source).chunks())

    text = etree.fromstring(body).findtext(".//{*}payload") or ""
    before = etree.fromstring(text.strip().encode())
    after = etree.fromstring(written)
    assert _leaves(before) == _leaves(after)
    assert written.startswith(b'<?xml version="1.0" encoding="UTF-8"?><')
    assert b"ns0:" not in written


def _leaves(root: etree._Element) -> list[tuple[str, str, dict[str, str]]]:
    """Every element with its own text; layout between elements does not count."""
    return [
        (
            str(element.tag),
            "" if len(element) else (element.text or ""),
            {str(name): str(value) for name, value in element.attrib.items()},
        )
        for element in root.iter(etree.Element)
    ]
