"""``edu-gateway version``."""

import platform

import click

from gateway import __version__


@click.command()
def command() -> None:
    """Print the versions of the gateway and of Python."""
    click.echo(f"edu-gateway {__version__} (Python {platform.python_version()})")
