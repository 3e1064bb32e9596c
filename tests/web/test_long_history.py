"""With a long history lists stay bounded, and pages, command and API say what was left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from operators import write_settings

from gateway.cli import main
from gateway.demo import Side
from gateway.engine.context import Books
from gateway.engine.health import Health
from gateway.engine.operations import Operations
from gateway.soap.listener import Listener
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.search import LOOKED_THROUGH
from gateway.web.app import create_app
from gateway.web.guard import Access
from gateway.web.metrics import Metrics

LENGTH = LOOKED_THROUGH + 100
WAITING = 10_001
_HISTORY = (
    """
    INSERT INTO message (id, direction, kind, message_id, conversation_id, sender, receiver,
                         state, created, updated, handled)
    WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :length)
    SELECT n, 'OUTGOING', 'letter', printf('%08d-0000-4000-8000-000000000000', n),
           printf('%08d-0000-4000-8000-000000000000', n), '910077473', '910075918',
           CASE WHEN n = 1 THEN 'FEIL' WHEN n > :waiting THEN 'OPPRETTET' ELSE 'LEST' END,
           at, at, CASE WHEN n = 1 THEN at END
    FROM (SELECT n, strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2026-01-01', n || ' minutes') AS at
          FROM counted)
    """,
    "INSERT INTO event (message, at, status) SELECT id, updated, state FROM message",
    """
    INSERT INTO job (message, task, due, attempt, held, failures)
    SELECT id, 'send', updated, 1, 0, 0 FROM message WHERE id > :waiting
    """,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a gateway with a long history: the oldest letter alone failed, and was handled."""
    folder = tmp_path_factory.mktemp("long")
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    with database.write() as tx:
        for statement in _HISTORY:
            tx.execute(sa.text(statement), {"length": LENGTH, "waiting": LENGTH - WAITING})
    database.close()
    return folder


@pytest.fixture(scope="module")
def site(folder: Path, a: Side) -> Iterator[httpx.Client]:
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    books = Books(
        database=database, blobs=BlobStore(folder / "blobs"), policy=a.gateway.context.policy
    )
    listener = Listener(create_app(Operations(books), Health(books), Metrics(), Access()))
    listener.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.port}", timeout=60) as client:
        yield client
    listener.stop(5)
    database.close()


def test_the_page_says_how_far_it_counted_and_leads_on(site: httpx.Client) -> None:
    html = site.get("/conversations").text
    assert "1–20 av mer enn 1000, nyeste først" in html
    assert "Side 1 av mer enn 50" in html
    assert "gjennomsøkt" not in html
    later = site.get("/conversations", params={"page": 60}).text
    assert "1181–1200 av mer enn 1200" in later
    assert 'rel="next"' in later


def test_the_page_says_what_it_did_not_look_through_and_offers_it(site: httpx.Client) -> None:
    html = site.get("/conversations", params={"q": "feil"}).text
    assert "Ingen meldinger passer til søket." in html
    assert re.search(r"Bare de 50\s000 nyeste meldingene .* er gjennomsøkt, tilbake til", html)
    everything = re.search(r'href="(\?[^"]*all=yes[^"]*)"', html)
    assert everything is not None
    html = site.get("/conversations" + everything[1].replace("&amp;", "&")).text
    assert '<tr class="red">' in html
    assert "gjennomsøkt" not in html


def test_a_failure_is_found_by_its_status_however_old(site: httpx.Client) -> None:
    html = site.get("/conversations", params={"status": "FEIL"}).text
    assert '<tr class="red">' in html
    assert "gjennomsøkt" not in html


def test_the_api_leaves_nothing_out_and_says_when_a_total_is_a_least_one(
    site: httpx.Client,
) -> None:
    page = site.get("/api/conversations", params={"size": 2000}).json()
    assert (page["totalElements"], page["totalIsAtLeast"], page["last"]) == (10_001, True, False)
    assert page["totalPages"] == 6
    reached = site.get("/api/conversations", params={"size": 2000, "page": 5}).json()
    assert (reached["totalElements"], reached["totalPages"]) == (12_001, 7)  # never the last
    last = site.get("/api/conversations", params={"size": 2000, "page": 25}).json()
    assert (last["totalElements"], last["totalIsAtLeast"], last["last"]) == (LENGTH, False, True)
    assert last["numberOfElements"] == LENGTH - 50_000
    old = site.get("/api/statuses", params={"status": "FEIL"}).json()
    assert (old["totalElements"], old["totalIsAtLeast"]) == (1, False)


def test_what_waits_is_counted_so_far_and_no_further(site: httpx.Client) -> None:
    assert "mer enn 10000 meldinger venter på sending" in site.get("/").text
    health = site.get("/manage/health").json()["components"]
    assert health["network"]["details"] == {"waiting": 10_000, "more": True}
    assert health["nextMoveQueue"]["details"]["outgoing"] == 10_000
    metrics = site.get("/manage/prometheus").text
    assert 'gateway_waiting{direction="OUTGOING"} 10000' in metrics


def test_the_command_says_it_too(folder: Path, a: Side, tmp_path: Path) -> None:
    settings = write_settings(a, tmp_path)
    text = settings.read_text().replace(str(a.gateway.blobs.folder.parent), str(folder))
    settings.write_text(text)

    def run(*arguments: str) -> str:
        return (
            CliRunner()
            .invoke(main, ["messages", "--config", str(settings), "list", *arguments])
            .output
        )

    assert run("--limit", "3").splitlines()[-1] == "3 of more than 1000 shown"
    assert f"3 of {LENGTH} shown" in run("--limit", "3", "--everything")
    said = run("feil")
    assert "0 found" in said
    assert "only the newest 50000 messages" in said
    assert "back to 2026-01-01 01:41:00Z" in said
    assert "1 found" in run("feil", "--everything")
    as_json = json.loads(run("feil", "--json"))
    assert as_json == {
        "total": 0,
        "more": False,
        "back_to": "2026-01-01T01:41:00+00:00",
        "messages": [],
    }
