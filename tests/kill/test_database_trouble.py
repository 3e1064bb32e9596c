"""The database goes away, or takes no writes, while letters flow: no false OK, no loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from kill_world import Node, World
from postgresql_cluster import Cluster, server_programs

AWAY_SECONDS = 3.0


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs here (Debian: apt-get install postgresql)")
    cluster = Cluster(programs)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def world(own_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(
        tmp_path_factory.mktemp("databases"), seed=1, databases=own_cluster.new_database, trouble=0
    )
    try:
        yield world
        assert world.stop() == [0, 0]
    finally:
        world.abandon()


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def database_lamp(node: Node) -> tuple[int, str]:
    """What monitoring sees of one gateway: HTTP status, and UP or DOWN."""
    answer = httpx.get(f"http://127.0.0.1:{node.port}/manage/health", timeout=30)
    return answer.status_code, answer.json()["components"]["db"]["status"]


def ready(node: Node) -> bool:
    path = f"http://127.0.0.1:{node.port}/manage/health/readiness"
    return httpx.get(path, timeout=30).status_code == 200


def alarms(node: Node, kind: str) -> int:
    return node.log.read_text().count(f"alarm {kind}: database")


def survives(world: World, take_away: Callable[[], None], give_back: Callable[[], None]) -> None:
    """Letters flow before, while and after; everybody is told; nobody starts anything again."""
    raised, resolved = ({node.name: alarms(node, kind) for node in world.nodes}
                        for kind in ("raised", "resolved"))  # fmt: skip
    processes = [node.process for node in world.nodes]
    with world.flow():
        before = len(world.accepted)
        until(lambda: len(world.accepted) >= before + 4)
        take_away()
        try:
            for node in world.nodes:
                until(lambda node=node: database_lamp(node) == (503, "DOWN"))
                assert not ready(node)
                until(lambda node=node: alarms(node, "raised") == raised[node.name] + 1)
            accepted = len(world.accepted)
            time.sleep(AWAY_SECONDS)
            assert len(world.accepted) == accepted, "an OK that cannot be durable"
        finally:
            give_back()
        for node in world.nodes:
            until(lambda node=node: database_lamp(node)[1] == "UP")
            until(lambda node=node: alarms(node, "resolved") == resolved[node.name] + 1)
        until(lambda: len(world.accepted) >= accepted + 4)
    world.settle(60)
    verdict = world.verdict()
    assert verdict.wrong == []
    assert verdict.delivered == verdict.letters >= 8
    assert [node.process for node in world.nodes] == processes
    assert all(one.poll() is None for one in processes if one is not None)


@pytest.mark.timeout(300)
def test_a_database_that_is_gone_for_a_while_under_load(world: World, own_cluster: Cluster) -> None:
    survives(world, own_cluster.halt, own_cluster.start)


@pytest.mark.timeout(300)
def test_a_database_that_becomes_read_only_under_load(world: World, own_cluster: Cluster) -> None:
    """A failover: it answers, but as a replica."""
    survives(world, own_cluster.become_replica, own_cluster.promote)
