"""``edu-gateway run``."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click

from gateway.errors import ConfigurationError

log = logging.getLogger(__name__)

# Only Windows has SIGBREAK: Ctrl-Break, which services are stopped with when they run in
# a process group of their own. WinSW sends Ctrl-C.
_STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
]
_QUIET = ("httpx", "alembic", "spyne")


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
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
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

    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = load_settings(config)
        gateway = Gateway(settings)
        _keep_temporary_files_in(settings.folder / "temporary")
    except ConfigurationError as error:
        click.echo(f"{error.detail}\n{error.operator}", err=True)
        sys.exit(2)
    stop = threading.Event()
    _on_signal(stop.set)
    gateway.start()
    click.echo(f"listening on {gateway.url}")
    while not stop.wait(0.5):
        pass
    log.info("stopping: no more requests, running work may end")
    gateway.stop()
    log.info("stopped")


def _keep_temporary_files_in(folder: Path) -> None:
    """Big requests wait on the documents' disk: the system's folder may be memory, small,
    or not writable at all."""
    folder.mkdir(exist_ok=True)
    tempfile.tempdir = str(folder)


def _on_signal(act: Callable[[], None]) -> None:
    def asked(_number: int, _frame: FrameType | None) -> None:
        for one in _STOPPING:
            signal.signal(one, signal.SIG_DFL)
        act()

    for one in _STOPPING:
        signal.signal(one, asked)
