"""The long kill test: gateways killed at random points while letters flow both ways.

    python benchmarks/kill.py [--kills 1000] [--postgresql] [--nodes 3] [--seed N]

`tests/kill` runs the short one. Exit code 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "kill")]

from kill_world import World  # noqa: E402
from postgresql_cluster import Cluster, server_programs  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--nodes", type=int, default=1, help="per organisation")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rate", type=float, default=4.0, help="letters a second")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    cluster = None
    if options.postgresql:
        programs = server_programs()
        if programs is None:
            sys.exit("no PostgreSQL server programs here")
        cluster = Cluster(programs)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="edu-gateway-kill-"))
    print(f"seed {options.seed}, {folder}", flush=True)
    started = time.monotonic()
    world = World(
        folder,
        seed=options.seed,
        databases=cluster.new_database if cluster else None,
        nodes=(options.nodes, options.nodes),
    )
    try:
        verdict = world.run(
            options.kills,
            letters_per_second=options.rate,
            say=lambda text: print(text, flush=True),
        )
        codes = world.stop()
    finally:
        world.abandon()
        if cluster is not None:
            cluster.stop()
    print(
        f"{verdict.kills} kills in {time.monotonic() - started:.0f} s,"
        f" {verdict.letters} letters accepted: {verdict.delivered} delivered,"
        f" {verdict.reported} reported to their sender;"
        f" on the network {dict(verdict.network)};"
        f" {verdict.archive_repeats} repeats towards an archive, all in marked messages"
        f" ({verdict.marked} marked); stopped with {codes}"
    )
    for one in verdict.wrong:
        print("WRONG", one)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
