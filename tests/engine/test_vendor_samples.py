"""Real vendor requests, where they lie beside the checkout, through the whole way."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from html import unescape
from pathlib import Path

import pytest
from letters_and_traces import Pair, filed, post, put_message, until


def checksums(payload: str) -> list[str]:
    found = re.findall(r"<base64>([^<]*)</base64>", payload)
    return [hashlib.sha256(base64.b64decode(one)).hexdigest() for one in found]


def arrived(pair: Pair, conversation_id: str) -> list[str]:
    until(lambda: filed(pair.b, conversation_id))
    return [one.content.sha256 for one in filed(pair.b, conversation_id)[0].documents]


@pytest.mark.parametrize(
    "name", ["p360-putmessage-docx-escaped-typed.xml", "ephorte-putmessage-pdf-cdata.xml"]
)
def test_a_real_request_arrives_with_its_documents(
    pair: Pair, shared_samples: Path, name: str
) -> None:
    text = (shared_samples / "edu" / name).read_text(encoding="utf-8")
    conversation_id = str(uuid.uuid4())
    text = re.sub(r'conversationId="[^"]*"', f'conversationId="{conversation_id}"', text)
    head, receiver, rest = text.partition("<receiver>")
    text = head + receiver + re.sub(r"\d{9}", pair.b.orgnr, rest, count=1)
    assert '<result type="OK"/>' in post(pair.a, text.encode()).text
    assert arrived(pair, conversation_id) == checksums(unescape(text))


@pytest.mark.parametrize(
    "name", ["websak-payload-melding-1.xml", "p360-payload-melding-nofile.xml"]
)
def test_a_real_payload_with_a_file_added_arrives(
    pair: Pair, shared_samples: Path, name: str
) -> None:
    payload = (shared_samples / "edu" / name).read_text(encoding="utf-8")
    without = put_message(payload, receiver=pair.b.orgnr, conversation_id=str(uuid.uuid4()))
    answer = post(pair.a, without).text
    assert '<result type="ERROR">' in answer

    content = base64.b64encode(b"et dokument").decode()
    payload = re.sub(r"<fil>\s*</fil>|<fil\s*/>", f"<fil><base64>{content}</base64></fil>", payload)
    conversation_id = str(uuid.uuid4())
    body = put_message(payload, receiver=pair.b.orgnr, conversation_id=conversation_id)
    assert '<result type="OK"/>' in post(pair.a, body).text
    assert arrived(pair, conversation_id) == checksums(payload)
