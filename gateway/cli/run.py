"""``edu-gateway run``."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import click

from gateway.cli.logs import LEVELS, log_to_stderr, stop_asked
from gateway.errors import ConfigurationError

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
)
def command(config: Path, log_level: str) -> None:
    """Run the gateway until it is stopped.

    SIGTERM, Ctrl-C and Ctrl-Break let running work end, for about two minutes at most;
    a second one stops at once, which loses nothing either.
    """
    from gateway.app import Gateway
    from gateway.settings import load_settings

    log_to_stderr(log_level)
    try:
        settings = load_settings(config)
        gateway = Gateway(settings)
    except ConfigurationError as error:
        click.echo(f"{error.detail}\n{error.operator}", err=True)
        sys.exit(2)
    _find_room_for_temporary_files(settings.folder / "temporary")
    stop = stop_asked()
    gateway.start()
    click.echo(f"listening on {gateway.url}")
    while not stop.wait(0.5):
        pass
    log.info("stopping: no more requests, running work may end")
    gateway.stop()
    log.info("stopped")


def _find_room_for_temporary_files(folder: Path) -> None:
    """Big requests wait on disk: where the system has no room for them, beside the documents."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        folder.mkdir(exist_ok=True)
        tempfile.tempdir = str(folder)
