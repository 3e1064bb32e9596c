"""The log of commands that run until they are stopped, and how they are stopped."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType


class _Masking(logging.Formatter):
    """Nobody's national identity number, whoever wrote the line."""

    def format(self, record: logging.LogRecord) -> str:
        from gateway.engine.masking import masked

        return masked(super().format(record))


def log_to_stderr(level: str) -> None:
    """Everything from `level` up, masked; httpx only its warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)


def stop_asked() -> threading.Event:
    """Is set when the process is asked to stop (Ctrl-C, SIGTERM)."""
    stop = threading.Event()

    def asked(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, asked)
    signal.signal(signal.SIGTERM, asked)
    return stop
