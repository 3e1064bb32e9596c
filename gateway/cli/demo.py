"""``edu-gateway demo``."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

import click


@click.command()
@click.option("--once", is_flag=True, help="Send a letter each way, then stop.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep databases, documents and keys here. Default: a temporary folder.",
)
@click.option("--port", type=int, default=None, help="First of five ports. Default: 9093.")
@click.option("--org-a", default="910077473", help="Organisation number of A.")
@click.option("--org-b", default="910075918", help="Organisation number of B.")
def command(once: bool, folder: Path | None, port: int | None, org_a: str, org_b: str) -> None:
    """Two organisations exchange letters over a simulated network, on this machine.

    With --once the exit code says whether both letters and their receipts came home.
    """
    from gateway.demo import Demo

    if port is None:
        port = 0 if once else 9093
    with tempfile.TemporaryDirectory(prefix="edu-gateway-demo-", ignore_cleanup_errors=True) as own:
        with Demo(folder or Path(own), click.echo, port, org_a, org_b) as demo:
            problems = demo.run()
            if not once:
                for line in demo.invitation():
                    click.echo(line)
                wait_for_interrupt()
    if problems:
        for problem in problems:
            click.echo(f"demo failed: {problem}", err=True)
        sys.exit(1)


def wait_for_interrupt() -> None:
    """Return at Ctrl-C. A plain wait would not be interrupted on Windows."""
    forever = threading.Event()
    try:
        while not forever.wait(0.5):
            pass
    except KeyboardInterrupt:
        click.echo("stopping …")
