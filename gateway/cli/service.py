"""``edu-gateway service``: files for systemd, WinSW and compose."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.errors import ConfigurationError


@click.group(name="service")
def command() -> None:
    """Let the operating system run the gateway."""


@command.command(name="print")
@click.argument("kind", type=click.Choice(["systemd", "winsw", "compose"]))
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
    help="The settings that the service runs with; they must be right.",
)
def print_(kind: str, config: Path) -> None:
    """Print a service file for this installation.

    systemd: a unit; winsw: the XML beside a WinSW program on Windows; compose: a file for
    the image of the Dockerfile. What to do with it stands at its top.
    """
    from gateway import __version__
    from gateway.cli.service_files import Installation, compose_file, systemd_unit, winsw_xml
    from gateway.settings import load_settings

    try:
        settings = load_settings(config)
    except ConfigurationError as error:
        click.echo(f"{error.detail}\n{error.operator}", err=True)
        sys.exit(2)
    installation = Installation.of(
        settings, Path(sys.executable).absolute(), config.absolute(), __version__
    )
    files = {"systemd": systemd_unit, "winsw": winsw_xml, "compose": compose_file}
    click.echo(files[kind](installation), nl=False)
