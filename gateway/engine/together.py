"""Doing at once what several threads ask for at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from gateway.errors import own_copy

Wish = TypeVar("Wish")
Outcome = TypeVar("Outcome")

_MOST = 64


class Together(Generic[Wish, Outcome]):
    """Collects what is asked for while it is busy, and then does all of it in one go.

    Whoever has the turn works for everybody who came meanwhile, at most 64 at a time. A
    lone caller waits for nobody. `act` is given the wishes in the order in which they
    came and returns as many outcomes.
    """

    def __init__(self, act: Callable[[Sequence[Wish]], Sequence[Outcome]]) -> None:
        self._act = act
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[tuple[Wish, Future[Outcome]]] = []

    def do(self, wish: Wish) -> Outcome:
        """The outcome of `wish`. Raises what `act` raised for those that it was done with."""
        mine: Future[Outcome] = Future()
        with self._lock:
            self._waiting.append((wish, mine))
        with self._turn:
            while not mine.done():
                self._serve()
        return mine.result()

    def _serve(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        try:
            outcomes = self._act([wish for wish, _ in batch])
            served = list(zip(batch, outcomes, strict=True))
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked
            for _, one in batch:
                one.set_exception(own_copy(error))
            return
        for (_, one), outcome in served:
            one.set_result(outcome)
