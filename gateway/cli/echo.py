"""``edu-gateway echo``."""

from __future__ import annotations

import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.errors import ConfigurationError
from gateway.model import Status

if TYPE_CHECKING:
    from gateway.echo import Seen


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=300.0,
    show_default=True,
    help="Seconds until it is given up.",
)
@click.option(
    "--until",
    type=click.Choice([Status.LEVERT.value, Status.LEST.value]),
    default=Status.LEST.value,
    show_default=True,
    help="LEVERT when the archive never sends AppReceipts.",
)
def command(config: Path, timeout: float, until: str) -> None:
    """Send a letter to your own organisation and wait for every status.

    The gateway must be running. The letter goes through the whole network and is filed in
    your archive; its title says that it is a test. Exit code 1: it did not come home.
    """
    from gateway.echo import WAY, send_echo
    from gateway.settings import load_settings

    try:
        settings = load_settings(config)
        outcome = send_echo(
            settings, now=datetime.now(UTC), tell=_tell, until=Status(until), timeout=timeout
        )
    except ConfigurationError as error:
        click.echo(f"{error.detail}\n{error.operator}", err=True)
        sys.exit(2)
    click.echo()
    if outcome.arrived:
        click.echo(f"OK    {outcome.conversation_id} came home; it is in your archive as a test")
        return
    if outcome.refusal is not None:
        _explain(f"FAIL  {outcome.refusal}")
        sys.exit(1)
    _explain(
        f"FAIL  {outcome.conversation_id}: not seen within {timeout:g} s: "
        f"{', '.join(outcome.missing)}"
    )
    _explain(f"      → {WAY[outcome.missing[0]]}")
    for problem in outcome.problems:
        _explain(f"      {problem}")
    _explain("      It is tried on until its deadline; `edu-gateway messages show` has the rest.")
    sys.exit(1)


def _tell(seen: Seen) -> None:
    said = f"  {seen.description}" if seen.description else ""
    click.echo(f"{seen.elapsed:7.2f} s  {seen.status:<19}{said}".rstrip())


def _explain(text: str) -> None:
    indent = " " * (len(text) - len(text.lstrip()) + (2 if "→" in text else 0) or 6)
    click.echo(textwrap.fill(text, 79, subsequent_indent=indent, break_on_hyphens=False))
