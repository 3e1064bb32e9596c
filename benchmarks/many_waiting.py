"""Scenario 9 in full: a receiver that was away finds many letters waiting.

    python benchmarks/many_waiting.py [--letters 250]

Two gateways with archives and the network between in one process, over real HTTP. The
test suite runs 25 letters. Exit code 1 when one was lost, doubled or out of order.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests" / "engine"
sys.path.insert(0, str(TESTS))

from backlog import arrive_in_order  # noqa: E402
from letters_and_traces import Pair  # noqa: E402

from gateway.demo import Demo  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=250)
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # polls that are made to fail
    with tempfile.TemporaryDirectory() as folder, Demo(Path(folder), lambda line: None) as demo:
        started = time.monotonic()
        try:
            seconds = arrive_in_order(Pair(demo), options.letters, patience=options.letters * 2)
        except AssertionError as broken:
            print("WRONG", broken)
            return 1
        sending = time.monotonic() - started - seconds
    print(
        f"{options.letters} letters waiting: sent in {sending:.1f} s; fetched in order, filed"
        f" once, and all receipts home {seconds:.1f} s after the first poll"
        f" ({options.letters / seconds:.1f} letters a second)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
