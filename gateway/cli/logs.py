"""The log of commands that run until they are stopped, and how they are stopped."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_QUIET = ("httpx", "alembic", "spyne")
# Only Windows has SIGBREAK: Ctrl-Break, which services are stopped with when they run in
# a process group of their own. WinSW sends Ctrl-C.
_STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
]


class _Masking(logging.Formatter):
    """Nobody's national identity number, whoever wrote the line."""

    def format(self, record: logging.LogRecord) -> str:
        from gateway.engine.masking import masked

        return masked(super().format(record))


def log_to_stderr(level: str) -> None:
    """Everything from `level` up, masked; of some libraries only their warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def stop_asked() -> threading.Event:
    """Is set when the process is asked to stop (Ctrl-C, Ctrl-Break, SIGTERM).

    Asked a second time, the process ends at once.
    """
    stop = threading.Event()

    def asked(_number: int, _frame: FrameType | None) -> None:
        for one in _STOPPING:
            signal.signal(one, signal.SIG_DFL)
        stop.set()

    for one in _STOPPING:
        signal.signal(one, asked)
    return stop
