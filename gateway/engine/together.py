"""Doing at once what several threads ask for at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from gateway.errors import own_copy

Wish = TypeVar("Wish")
Outcome = TypeVar("Outcome")

_MOST = 64


class _Ticket(Generic[Wish, Outcome]):
    """One caller's wish, and what became of it."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.outcomes: list[Outcome] = []
        self.error: BaseException | None = None

    @property
    def is_open(self) -> bool:
        return not self.outcomes and self.error is None


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
        self._tickets: list[_Ticket[Wish, Outcome]] = []

    def do(self, wish: Wish) -> Outcome:
        """The outcome of `wish`. Raises what `act` raised for those that it was done with."""
        mine: _Ticket[Wish, Outcome] = _Ticket(wish)
        with self._lock:
            self._tickets.append(mine)
        with self._turn:
            while mine.is_open:
                self._serve()
        if mine.error is not None:
            raise own_copy(mine.error) from mine.error
        return mine.outcomes[0]

    def _serve(self) -> None:
        with self._lock:
            batch, self._tickets = self._tickets[:_MOST], self._tickets[_MOST:]
        try:
            outcomes = self._act([ticket.wish for ticket in batch])
        except BaseException as error:  # noqa: BLE001 - nobody may wait for ever
            for ticket in batch:
                ticket.error = error
            return
        for ticket, outcome in zip(batch, outcomes, strict=True):
            ticket.outcomes.append(outcome)
