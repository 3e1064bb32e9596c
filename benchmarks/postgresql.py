"""What only PostgreSQL can answer: 32 callers at once, and claims after much churn.

    python benchmarks/postgresql.py [--rounds 9] [--letters 160] [--jobs 40000]

Letters of 20 KB are accepted by 32 threads of one process, without HTTP (`soap_small.py
--postgresql` has it with), in turn with a floor that commits 32 together (F7 of
performance 1.4). Then jobs are added, claimed and finished, ten at a time, with a thousand
always waiting; the server is kept from cleaning up meanwhile. The claims afterwards are
measured in turn with those in a new database where a thousand wait too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine import letter as message
from growth import LEASE, in_turn, now
from small_letters import AcceptFloor, Parts, letter, own_postgresql
from yardstick import compare

from gateway.store import jobs, messages
from gateway.store.database import Database
from gateway.store.jobs import Job, Task
from gateway.store.tables import job

CALLERS = 32
WAITING = 1000
AT_ONCE = 10


def measure_callers(folder: Path, url: str, floor_url: str, rounds: int, letters: int) -> None:
    parts = Parts(folder, url)
    floor = AcceptFloor(folder, CALLERS, floor_url)
    with ThreadPoolExecutor(CALLERS) as callers:

        def accept() -> float:
            bodies = [[letter()] for _ in range(letters)]
            started = time.perf_counter()
            list(callers.map(parts.accept, bodies))
            return letters / (time.perf_counter() - started)

        accept()  # opens the connections
        name = f"G12 accept 20 KB, {CALLERS} callers, no HTTP"
        compare(name, "letters/s", accept, floor.rate, goal=0.4, pairs=rounds)
    floor.close()
    parts.database.close()


def measure_churn(fresh: Database, churned: Database, count: int) -> None:
    for database in (fresh, churned):
        with database.write() as tx:
            tx.execute(sa.text("ALTER TABLE job SET (autovacuum_enabled = false)"))
        add_jobs(database, WAITING)
    for _ in range(count // AT_ONCE):
        add_jobs(churned, AT_ONCE)
        claimed = claim(churned)
        with churned.write() as tx:
            for one in claimed:
                assert jobs.finish(tx, one)
    before, after = in_turn(lambda: claim(fresh), lambda: claim(churned), times=WAITING // AT_ONCE)
    print(
        f"G16 claim of {AT_ONCE}, p50: {before:.2f} ms at the start, {after:.2f} ms after"
        f" {count} jobs, ratio {after / before:.2f}, goal at most 1.5",
        flush=True,
    )


def claim(database: Database) -> list[Job]:
    with database.write() as tx:
        claimed = jobs.claim(tx, Task.SEND, now(), lease=LEASE, limit=AT_ONCE)
    assert len(claimed) == AT_ONCE
    return claimed


def add_jobs(database: Database, count: int) -> None:
    with database.write() as tx:
        due = now() - timedelta(seconds=1)
        rows = [messages.add(tx, message()).row_id for _ in range(count)]
        values = {"task": Task.SEND, "due": due, "attempt": 0, "held": False, "failures": 0}
        tx.execute(job.insert(), [{**values, "message": row} for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--letters", type=int, default=160, help="accepted in each round")
    parser.add_argument("--jobs", type=int, default=40_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, own_postgresql() as cluster:
        new = cluster.new_database
        measure_callers(Path(folder), new(), new(), options.rounds, options.letters)
        fresh, churned = Database(new()), Database(new())
        measure_churn(fresh, churned, options.jobs)
        fresh.close()
        churned.close()


if __name__ == "__main__":
    main()
