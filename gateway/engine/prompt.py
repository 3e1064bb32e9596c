"""Questions that are answered in time, or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Found = TypeVar("Found")


class Prompt:
    """Asks in threads of its own, at most `at_once`, and waits `seconds` at the longest.

    What is not answered in time goes on in the background, where it may fill a cache.
    The threads never keep the process from ending.
    """

    def __init__(self, seconds: float, at_once: int = 8) -> None:
        self._seconds = seconds
        self._free = threading.BoundedSemaphore(at_once)

    def ask(self, question: Callable[[], Found]) -> Found:
        """What `question` returns or raises; `TimeoutError` when it takes too long."""
        deadline = time.monotonic() + self._seconds
        if not self._free.acquire(timeout=self._seconds):
            raise TimeoutError
        answer: Future[Found] = Future()

        def find_out() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001 — raised again where it was asked
                answer.set_exception(error)
            finally:
                self._free.release()

        threading.Thread(target=find_out, name="prompt", daemon=True).start()
        return answer.result(max(0.0, deadline - time.monotonic()))
