"""What operators see in a browser, and what a foreign page cannot do."""

from __future__ import annotations

import io
import json
import re
import zipfile

import httpx
import pytest
from operators import of_kind, send, send_refused, stored, until

from gateway.demo import Demo, Side
from gateway.model import Direction, Status
from gateway.store.messages import Kind


def token_of(html: str) -> str:
    found = re.search(r'name="token" value="(\w+)"', html)
    assert found is not None, "the page has no form"
    return found[1]


@pytest.fixture
def refused(demo: Demo) -> str:
    return send_refused(demo)


def test_the_list_shows_parties_ids_status_and_colour(
    site: httpx.Client, demo: Demo, a: Side, b: Side
) -> None:
    conversation_id = send(demo)
    html = site.get("/conversations", params={"q": conversation_id}).text
    assert conversation_id in html
    assert a.orgnr in html
    assert b.orgnr in html
    assert '<tr class="green">' in html
    assert "LEST" in html
    assert "<script" not in html


def test_a_failed_letter_is_on_the_list_of_those_that_need_attention(
    site: httpx.Client, refused: str
) -> None:
    html = site.get("/conversations", params={"show": "attention"}).text
    assert refused in html
    assert '<tr class="red">' in html


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{id}", True),
        ("{part}", True),
        ("{id} && feil", True),
        ("{id} && lest", False),
        ("nowhere || {id}", True),
        ("{receiver} && {id}", True),
        ("999999999 && {id}", False),
        ("%", False),
        ("&& ||", True),
    ],
)
def test_free_text_combines_terms(
    site: httpx.Client, demo: Demo, b: Side, text: str, found: bool
) -> None:
    conversation_id = send_refused(demo)
    query = text.format(id=conversation_id, part=conversation_id[4:20], receiver=b.orgnr)
    html = site.get("/conversations", params={"q": query}).text
    assert (f"<code>{conversation_id}</code>" in html) is found


def test_dates_directions_and_nonsense_in_the_search(site: httpx.Client, refused: str) -> None:
    def shown(**asked: str) -> bool:
        answer = site.get("/conversations", params={"q": refused, **asked})
        assert answer.status_code == 200
        return f"<code>{refused}</code>" in answer.text

    assert shown(direction="OUTGOING", status="FEIL")
    assert not shown(direction="INCOMING", status="FEIL")
    assert not shown(to="2020-01-01")
    assert not shown(**{"from": "2999-01-01"})
    assert shown(**{"from": "yesterday", "page": "minus one", "status": "x", "show": "x"})


def test_the_page_of_a_message_tells_its_whole_story(
    site: httpx.Client, a: Side, refused: str
) -> None:
    answer = site.get(f"/conversations/{refused}", follow_redirects=True)
    html = answer.text
    assert answer.url.path == f"/conversations/{stored(a, refused).id}"
    for status in ("OPPRETTET", "SENDT", "MOTTATT", "FEIL"):
        assert f"<strong>{status}</strong>" in html
    assert "arkivmelding.xml" in html
    assert "SHA-256" in html
    assert "17: Saken er avsluttet for ***********" in html  # said by B's archive
    assert "01010112345" not in html


def test_what_a_sender_wrote_is_text_and_never_markup(site: httpx.Client, a: Side, b: Side) -> None:
    odd = "<script>alert(1)</script>-'\"&"
    a.archive.send_letter(b.orgnr, [("a.txt", "text/plain", b"x")], conversation_id=odd)
    until(lambda: stored(a, odd).state is Status.LEST)
    page = site.get(f"/conversations/{stored(a, odd).id}").text
    listed = site.get("/conversations", params={"q": odd}).text
    for html in (page, listed):
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_evidence_holds_rows_timeline_metadata_and_package(
    site: httpx.Client, a: Side, refused: str
) -> None:
    message = stored(a, refused)
    answer = site.get(f"/conversations/{message.id}/evidence.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as evidence:
        assert set(evidence.namelist()) == {
            "message.json",
            "timeline.json",
            "related.json",
            "arkivmelding.xml",
            "sbd.zip",
        }
        row = json.loads(evidence.read("message.json"))["message"]
        assert row["message_id"] == message.message_id
        timeline = json.loads(evidence.read("timeline.json"))
        assert "FEIL" in {one["status"] for one in timeline}  # statuses may come after it
        assert evidence.read("arkivmelding.xml").startswith(b"<?xml")
        assert zipfile.is_zipfile(io.BytesIO(evidence.read("sbd.zip")))


def test_sending_again_makes_a_new_message_and_the_archive_gets_its_receipt(
    site: httpx.Client, a: Side, refused: str
) -> None:
    old = stored(a, refused)
    token = token_of(site.get(f"/conversations/{old.id}").text)
    answer = site.post(f"/conversations/{old.id}/resend", data={"token": token})
    assert answer.status_code == 303
    new_id = int(re.search(r"/conversations/(\d+)\?", answer.headers["Location"])[1])  # type: ignore[index]

    def arrived() -> bool:
        return "LEST" in site.get(f"/conversations/{new_id}").text

    until(arrived)
    until(lambda: [r.type for r in a.archive.receipts if r.conversation_id == refused][1:])
    assert [r.type.value for r in a.archive.receipts if r.conversation_id == refused] == [
        "ERROR",
        "OK",
    ]
    assert refused not in site.get("/conversations", params={"show": "attention"}).text


def test_marking_as_handled_needs_a_reason(site: httpx.Client, a: Side, refused: str) -> None:
    address = f"/conversations/{stored(a, refused).id}"
    token = token_of(site.get(address).text)
    assert (
        "Skriv en begrunnelse"
        in site.post(f"{address}/handled", data={"token": token, "reason": " "}).text
    )
    assert stored(a, refused).handled is None
    done = site.post(
        f"{address}/handled",
        data={"token": token, "reason": "Ringt mottaker"},
        follow_redirects=True,
    )
    assert "Ringt mottaker" in done.text
    assert refused not in site.get("/conversations", params={"show": "attention"}).text


def test_a_refused_letter_is_delivered_again_only_when_that_is_insisted_on(
    demo: Demo, b: Side, refused: str
) -> None:
    base = b.gateway.url.removesuffix("/noarkExchange")
    incoming = stored(b, refused)
    address = f"{base}/conversations/{incoming.id}"
    token = token_of(httpx.get(address).text)
    asked = httpx.post(f"{address}/retry", data={"token": token})
    assert "Avsenderen har fått beskjed" in asked.text
    assert not [one for one in b.archive.letters if one.conversation_id == refused]
    httpx.post(f"{address}/retry", data={"token": token, "force": "yes"})
    until(lambda: stored(b, refused).state is Status.INNKOMMENDE_LEVERT)
    assert len([one for one in b.archive.letters if one.conversation_id == refused]) == 1


def test_a_form_of_somebody_else_changes_nothing(site: httpx.Client, a: Side, refused: str) -> None:
    address = f"/conversations/{stored(a, refused).id}"
    token = token_of(site.get(address).text)
    before = len(of_kind(a, Kind.LETTER, Direction.OUTGOING))
    for data, headers in (
        ({}, {}),
        ({"token": "0" * 64}, {}),
        ({"token": token}, {"Sec-Fetch-Site": "cross-site"}),
        ({"token": token}, {"Host": "rebound.example"}),
    ):
        answer = site.post(f"{address}/resend", data=data, headers=headers)
        assert answer.status_code == 403
    assert site.get(f"{address}/resend").status_code == 405
    assert len(of_kind(a, Kind.LETTER, Direction.OUTGOING)) == before


def test_a_name_that_is_rebound_to_this_machine_sees_nothing(site: httpx.Client) -> None:
    for path in ("/", "/conversations", "/api/conversations", "/manage/prometheus"):
        answer = site.get(path, headers={"Host": "rebound.example"})
        assert answer.status_code == 403
        assert "LEST" not in answer.text


def test_every_answer_has_the_security_headers(site: httpx.Client) -> None:
    for path in ("/", "/conversations", "/nowhere", "/api/statuses", "/static/style.css"):
        headers = site.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/conversations/0", "/conversations/nothing", "/conversations/99999999999999"],
)
def test_what_is_not_there_is_said_in_norwegian(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 404
    assert "Siden finnes ikke" in answer.text


def test_the_overview_shows_lamps_and_what_waits(site: httpx.Client) -> None:
    html = site.get("/").text
    assert html.count('class="lamp green"') == 6
    assert "Krever tiltak" in html


def test_the_soap_endpoint_is_where_it_was(site: httpx.Client) -> None:
    assert "definitions" in site.get("/noarkExchange?wsdl").text
