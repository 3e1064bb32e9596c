"""``edu-gateway run``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.logs import log_to_stderr, stop_asked
from gateway.errors import ConfigurationError


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
)
@click.option("--log-level", default="INFO", show_default=True)
def command(config: Path, log_level: str) -> None:
    """Run the gateway until it is stopped."""
    from gateway.app import Gateway
    from gateway.settings import load_settings

    log_to_stderr(log_level)
    try:
        gateway = Gateway(load_settings(config))
    except ConfigurationError as error:
        click.echo(f"{error.detail}\n{error.operator}", err=True)
        sys.exit(2)
    stop = stop_asked()
    gateway.start()
    click.echo(f"listening on {gateway.url}")
    while not stop.wait(0.5):
        pass
    gateway.stop()
