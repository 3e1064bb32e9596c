"""One conversation id, handed over more than once: to one node, or to two at the same time."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kill_world import Accepted, World

from gateway.model import AppReceipt, ReceiptType
from gateway.simulators.archive import SimulatedArchive


@pytest.fixture(params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A on one node with SQLite, or on two that share PostgreSQL."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        world = World(folder, seed=1)
    else:
        cluster = request.getfixturevalue("killed_cluster")
        world = World(folder, seed=1, databases=cluster.new_database, nodes=(2, 1))
    try:
        yield world
        world.settle(60)
        verdict = world.verdict()
        assert verdict.wrong == []
        assert verdict.delivered == verdict.letters
        world.stop()
    finally:
        world.abandon()


def hand_over(world: World, node: int, conversation_id: str, content: bytes) -> AppReceipt:
    side = world.sides[0]
    url = side.nodes[node % len(side.nodes)].url
    archive = SimulatedArchive("A", side.orgnr, dialect="p360", gateway_url=url)
    _, answer = archive.send_letter(
        world.sides[1].orgnr,
        [("Brev.bin", "application/octet-stream", content)],
        conversation_id=conversation_id,
    )
    return answer


def expect_once(world: World, conversation_id: str, content: bytes) -> None:
    """Judged when the world is left: once on the network, once filed, one receipt."""
    sender, receiver = world.sides
    checksum = hashlib.sha256(content).hexdigest()
    world.accepted.append(Accepted(sender, receiver, conversation_id, checksum))


def same_content_is_answered_the_same_and_other_content_is_an_error(world: World) -> None:
    conversation_id = str(uuid.uuid4())
    for node in range(3):
        assert hand_over(world, node, conversation_id, b"en").type is ReceiptType.OK
    for node in range(2):
        refused = hand_over(world, node, conversation_id, b"to")
        assert refused.type is ReceiptType.ERROR
        assert "annet innhold" in refused.messages[0].text
    expect_once(world, conversation_id, b"en")


def the_same_at_the_same_time_is_one_letter(world: World) -> None:
    conversation_id = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as together:
        answers = list(
            together.map(lambda node: hand_over(world, node, conversation_id, b"likt"), range(8))
        )
    assert {one.type for one in answers} == {ReceiptType.OK}
    expect_once(world, conversation_id, b"likt")


def of_two_contents_at_the_same_time_one_wins_for_everybody(world: World) -> None:
    conversation_id = str(uuid.uuid4())
    contents = [b"rosa", b"bl\xc3\xa5"] * 4
    with ThreadPoolExecutor(8) as together:
        answers = list(
            together.map(
                lambda given: hand_over(world, given[0] // 2, conversation_id, given[1]),
                enumerate(contents),
            )
        )
    said = {(content, one.type) for content, one in zip(contents, answers, strict=True)}
    (winner,) = [content for content, answer in said if answer is ReceiptType.OK]
    (loser,) = [content for content, answer in said if answer is ReceiptType.ERROR]
    assert {winner, loser} == set(contents)
    expect_once(world, conversation_id, winner)


def test_one_conversation_id_handed_over_again_and_again(world: World) -> None:
    same_content_is_answered_the_same_and_other_content_is_an_error(world)
    the_same_at_the_same_time_is_one_letter(world)
    of_two_contents_at_the_same_time_one_wins_for_everybody(world)
