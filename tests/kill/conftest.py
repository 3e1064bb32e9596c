"""PostgreSQL for the kill test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgresql_cluster import Cluster, server_programs


@pytest.fixture(scope="session")
def killed_cluster() -> Iterator[Cluster]:
    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs here (Debian: apt-get install postgresql)")
    cluster = Cluster(programs)
    yield cluster
    cluster.stop()
