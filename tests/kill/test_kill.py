"""Gateways killed with SIGKILL while letters flow; `benchmarks/kill.py` is the long one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from kill_world import Verdict, World
from postgresql_cluster import Cluster


def survive(
    folder: Path, kills: int, nodes: tuple[int, int], databases: Callable[[], str] | None = None
) -> Verdict:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    world = World(folder, seed=seed, databases=databases, nodes=nodes)
    try:
        verdict = world.run(kills)
        assert world.stop() == [0] * sum(nodes)
    finally:
        world.abandon()
    return verdict


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_on_sqlite(tmp_path: Path) -> None:
    verdict = survive(tmp_path, 6, (1, 1))
    assert verdict.wrong == []
    assert verdict.delivered + verdict.reported == verdict.letters > 0


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_by_three_nodes_on_postgresql(
    tmp_path: Path, killed_cluster: Cluster
) -> None:
    verdict = survive(tmp_path, 5, (3, 1), killed_cluster.new_database)
    assert verdict.wrong == []
    assert verdict.delivered + verdict.reported == verdict.letters > 0
