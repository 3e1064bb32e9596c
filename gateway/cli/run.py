"""``edu-gateway run``."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import click

from gateway.errors import ConfigurationError


class _Masking(logging.Formatter):
    """Nobody's national identity number, whoever wrote the line."""

    def format(self, record: logging.LogRecord) -> str:
        from gateway.engine.masking import masked

        return masked(super().format(record))


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

    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        gateway = Gateway(load_settings(config))
    except ConfigurationError as error:
        click.echo(f"{error.detail}\n{error.operator}", err=True)
        sys.exit(2)
    stop = threading.Event()

    def asked(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, asked)
    signal.signal(signal.SIGTERM, asked)
    gateway.start()
    click.echo(f"listening on {gateway.url}")
    while not stop.wait(0.5):
        pass
    gateway.stop()
