"""What scripts and monitoring of the predecessor call, and who is let in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from operators import send, send_refused, stored

from gateway.demo import Demo, Side
from gateway.engine.health import Health, Limits
from gateway.engine.operations import Operations
from gateway.soap.listener import Listener
from gateway.store.blobs import BlobStore
from gateway.web import Access, create_app
from gateway.web.metrics import Metrics


def test_a_conversation_has_the_familiar_fields(
    site: httpx.Client, demo: Demo, a: Side, b: Side
) -> None:
    conversation_id = send(demo)
    page = site.get("/api/conversations", params={"conversationId": conversation_id}).json()
    found = [one for one in page["content"] if one["direction"] == "OUTGOING"]
    (letter,) = [one for one in found if one["documentIdentifier"].endswith("::arkivmelding")]
    assert letter["messageId"] == letter["conversationId"] == conversation_id
    assert letter["senderIdentifier"] == a.orgnr
    assert letter["receiver"] == f"0192:{b.orgnr}"
    assert letter["serviceIdentifier"] == "DPO"
    assert letter["finished"] is True
    assert datetime.fromisoformat(letter["lastUpdate"]).utcoffset() is not None
    assert letter["messageStatuses"][0]["status"] == "OPPRETTET"
    same = site.get(f"/api/conversations/{letter['id']}").json()
    assert same == letter
    assert site.get(f"/api/conversations/messageId/{conversation_id}").json()["id"] == letter["id"]


def test_paging_covers_everything_once_newest_first(site: httpx.Client, demo: Demo) -> None:
    for _ in range(2):
        send(demo)
    ids: list[int] = []
    number = 0
    while True:
        page = site.get("/api/conversations", params={"size": 2, "page": number}).json()
        ids += [one["id"] for one in page["content"]]
        assert page["number"] == number
        assert page["numberOfElements"] == len(page["content"])
        if page["last"]:
            break
        number += 1
    assert len(ids) == len(set(ids)) == page["totalElements"]
    whole = site.get("/api/conversations", params={"size": 2000}).json()["content"]
    times = [datetime.fromisoformat(one["lastUpdate"]) for one in whole]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"direction": "outgoing"}, True),
        ({"direction": "INCOMING"}, False),
        ({"finished": "true"}, True),
        ({"finished": "false"}, False),
        ({"receiver": "0192:{b}"}, True),
        ({"senderIdentifier": "{b}"}, False),
        ({"serviceIdentifier": "DPV"}, False),
        ({"pollable": "true"}, False),
        ({"lastUpdateFrom": "2999-01-01"}, False),
        ({"size": "-1", "page": "x"}, True),
    ],
)
def test_filters_of_conversations(
    site: httpx.Client, demo: Demo, b: Side, asked: dict[str, str], found: bool
) -> None:
    conversation_id = send_refused(demo)
    query = {name: value.format(b=b.orgnr) for name, value in asked.items()}
    answer = site.get("/api/conversations", params={"messageId": conversation_id, **query})
    assert bool(answer.json()["content"]) is found


def test_statuses_of_a_message_and_of_a_time(site: httpx.Client, demo: Demo) -> None:
    conversation_id = send(demo)
    page = site.get(f"/api/statuses/{conversation_id}", params={"size": 100}).json()
    assert [one["status"] for one in page["content"]][:2] == ["OPPRETTET", "SENDT"]
    assert {one["messageId"] for one in page["content"]} == {conversation_id}
    ids = [one["id"] for one in page["content"]]
    assert ids == sorted(ids)
    only = site.get("/api/statuses", params={"messageId": conversation_id, "status": "lest"})
    assert [one["status"] for one in only.json()["content"]] == ["LEST"]
    start = page["content"][0]["lastUpdate"]
    both = {"fromDateTime": start, "toDateTime": "2999-01-01T00:00:00+01:00"}
    assert site.get("/api/statuses", params=both).json()["totalElements"] >= len(ids)
    assert site.get("/api/statuses", params={"fromDateTime": start}).status_code == 400
    assert site.get("/api/statuses", params={**both, "toDateTime": "soon"}).status_code == 400
    unknown = site.get("/api/statuses/11111111-1111-4111-8111-111111111111")
    assert (unknown.status_code, unknown.json()["content"]) == (200, [])


def test_an_unknown_conversation_is_404_in_json(site: httpx.Client) -> None:
    answer = site.get("/api/conversations/999999")
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_numbers_that_may_be_a_persons_are_masked(b: Side, demo: Demo) -> None:
    conversation_id = send_refused(demo)
    base = b.gateway.url.removesuffix("/noarkExchange")
    text = httpx.get(f"{base}/api/statuses/{stored(b, conversation_id).message_id}").text
    assert "***********" in text
    assert "01010112345" not in text


def test_health_has_the_familiar_shape(site: httpx.Client) -> None:
    answer = site.get("/manage/health")
    health = answer.json()
    assert (answer.status_code, health["status"]) == (200, "UP")
    assert set(health["components"]["nextMoveQueue"]["details"]) == {"outgoing", "incoming"}
    assert health["components"]["certificate"]["details"]["days"] > 0
    for probe in ("liveness", "readiness"):
        assert site.get(f"/manage/health/{probe}").json() == {"status": "UP"}
    assert site.get("/manage/info").json()["build"]["name"] == "edu-gateway"


def test_prometheus_can_read_the_figures(site: httpx.Client, demo: Demo) -> None:
    send_refused(demo)
    text = site.get("/manage/prometheus").text
    names = set()
    for line in text.splitlines():
        if not line.startswith("#"):
            sample = re.fullmatch(r'([a-z_]+)(\{(\w+="[^"]*",?)+\})? (\S+)', line)
            assert sample, line
            float(sample[4])
            names.add(sample[1])
    assert {"gateway_dead_letters", "gateway_oldest_waiting_seconds", "gateway_waiting"} <= names
    assert re.search(r'gateway_events_total\{.*status="FEIL"\} [1-9]', text)
    assert text.count("# TYPE gateway_waiting gauge") == 1


# --- access ---------------------------------------------------------------------------


@pytest.fixture
def served(a: Side) -> Iterator[Callable[..., httpx.Client]]:
    """A's pages once more, with other rules of access."""
    running: list[Listener] = []

    def serve(access: Access, limits: Limits | None = None) -> httpx.Client:
        context = a.gateway.context
        app = create_app(
            Operations(context),
            Health(context, context.identities, limits),
            Metrics(),
            access,
        )
        listener = Listener(app)
        listener.start()
        running.append(listener)
        return httpx.Client(base_url=f"http://127.0.0.1:{listener.port}")

    yield serve
    for one in running:
        one.stop(5)


PATHS = ("/", "/conversations", "/api/conversations", "/api/statuses", "/manage/prometheus")


def test_with_a_password_everything_but_health_asks_for_it(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(Access("0.0.0.0", "drift", "påskeøl"))
    for path in PATHS:
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert client.get(path, auth=("drift", "feil")).status_code == 401
        assert client.get(path, auth=("drift", "påskeøl")).status_code == 200
        outside = {"Host": "gateway.kommune.example"}
        assert client.get(path, auth=("drift", "påskeøl"), headers=outside).status_code == 200
    assert client.get("/manage/health").status_code == 200


def test_bound_elsewhere_without_a_password_nothing_is_shown(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(Access("0.0.0.0"))
    for path in PATHS:
        answer = client.get(path)
        assert answer.status_code == 403
        assert "web.password" in answer.text
    assert client.post("/conversations/1/retry").status_code == 403
    assert client.get("/manage/health").status_code == 200


def test_the_password_is_in_no_text_about_access() -> None:
    assert "påskeøl" not in repr(Access("h", "drift", "påskeøl"))


def test_a_full_disk_makes_the_gateway_down_and_leaves_it_ready(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(Access(), Limits(free_bytes=1 << 60))
    answer = client.get("/manage/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "DOWN")
    assert answer.json()["components"]["diskSpace"]["status"] == "DOWN"
    assert client.get("/manage/health/readiness").status_code == 200
    assert "Ikke i orden" in client.get("/").text


def test_a_database_that_is_away_is_said_and_not_hidden(tmp_path: Path, a: Side) -> None:
    from dataclasses import replace

    from gateway.store.database import Database

    path = tmp_path / "gateway.db"
    database = Database(f"sqlite:///{path}")
    books = replace(a.gateway.context, database=database, blobs=BlobStore(tmp_path / "blobs"))
    app = create_app(Operations(books), Health(books), Metrics(), Access())
    listener = Listener(app)
    listener.start()
    try:
        client = httpx.Client(base_url=f"http://127.0.0.1:{listener.port}")
        assert client.get("/conversations").status_code == 200
        database.close()
        path.unlink()
        path.mkdir()
        assert client.get("/manage/health").json()["components"]["db"]["status"] == "DOWN"
        assert client.get("/manage/health").status_code == 503
        assert client.get("/manage/health/readiness").status_code == 503
        assert client.get("/manage/health/liveness").status_code == 200
        answer = client.get("/conversations")
        assert answer.status_code == 503
        assert "Databasen svarer ikke" in answer.text
        assert client.get("/").status_code == 200
    finally:
        listener.stop(5)
