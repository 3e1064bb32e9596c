"""What a gateway costs that has nothing to do.

    python benchmarks/idle.py [--seconds 120] [--postgresql]

``edu-gateway run`` with all that it starts, and settings as they come: the network is asked
for letters every 15 seconds. Network and archive run in this process. Printed is the
processor time of the gateway's process, as a share of one core, in each half of the time.
Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from small_letters import own_postgresql
from whole_way import Process

from gateway.simulators.archive import SimulatedArchive
from gateway.simulators.network import Network

SETTLING = 10.0
"""Seconds from the start in which what is done once is done."""
POLL_SECONDS = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="idle-")))
        url = None
        if options.postgresql:
            url = stack.enter_context(own_postgresql()).new_database()
        network = stack.enter_context(Network(folder / "network"))
        own = network.add_organisation("910077473", "Fjordvik kommune")
        archive = stack.enter_context(SimulatedArchive(own.name, own.orgnr, dialect="p360"))
        gateway = Process(
            network,
            own,
            archive,
            folder / "gateway",
            poll_seconds=POLL_SECONDS,
            database_url=url,
        )
        stack.callback(gateway.stop)
        time.sleep(SETTLING)
        spent = [gateway.cpu()]
        for _ in range(2):
            time.sleep(options.seconds / 2)
            spent.append(gateway.cpu())
    shares = [200 * (spent[n + 1] - spent[n]) / options.seconds for n in range(2)]
    print(
        f"G17 idle for {options.seconds:.0f} s on {'PostgreSQL' if url else 'SQLite'}:"
        f" {sum(shares) / 2:.2f} % of a core [{min(shares):.2f}-{max(shares):.2f}],"
        f" {60 * (spent[2] - spent[0]) / options.seconds:.2f} CPU seconds a minute,"
        " goal at most 0.2 %"
    )


if __name__ == "__main__":
    main()
