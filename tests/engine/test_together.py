"""What is asked for at the same time is done at once, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.engine.together import Together
from gateway.errors import ArchiveFault


class Busy:
    """An act that is at work on its first wish until `go_on`; wishes are numbers."""

    def __init__(self, answer: Callable[[Sequence[int]], Sequence[int]]) -> None:
        self.together = Together(self._act)
        self.goes: list[list[int]] = []
        self._answer = answer
        self._at_work = threading.Event()
        self._may_go_on = threading.Event()

    def _act(self, wishes: Sequence[int]) -> Sequence[int]:
        self.goes.append(list(wishes))
        self._at_work.set()
        assert self._may_go_on.wait(30)
        return self._answer(wishes)

    def ask(self, callers: ThreadPoolExecutor, others: int) -> list[Future[int]]:
        """One wish, and while it is worked on `others` more, before anybody goes on."""
        asked = [callers.submit(self.together.do, 0)]
        assert self._at_work.wait(30)
        asked += [callers.submit(self.together.do, number) for number in range(1, others + 1)]
        while len(self.together._waiting) < others:
            assert not any(one.done() for one in asked)
        self._may_go_on.set()
        return asked


def squares(numbers: Sequence[int]) -> list[int]:
    return [number**2 for number in numbers]


def test_those_who_come_while_it_is_busy_are_served_together() -> None:
    busy = Busy(squares)
    with ThreadPoolExecutor(6) as callers:
        asked = busy.ask(callers, others=5)
    assert [one.result() for one in asked] == [0, 1, 4, 9, 16, 25]
    assert [len(go) for go in busy.goes] == [1, 5]


def test_a_crowd_is_served_in_several_goes() -> None:
    busy = Busy(squares)
    with ThreadPoolExecutor(101) as callers:
        asked = busy.ask(callers, others=100)
    assert [one.result() for one in asked] == [number**2 for number in range(101)]
    assert [len(go) for go in busy.goes] == [1, 64, 36]


def test_a_failure_reaches_everybody_as_an_exception_of_his_own() -> None:
    def fail(numbers: Sequence[int]) -> Sequence[int]:
        if 0 in numbers:
            return squares(numbers)
        raise OSError(28, "No space left on device")

    busy = Busy(fail)
    with ThreadPoolExecutor(4) as callers:
        first, *others = busy.ask(callers, others=3)
    assert first.result() == 0
    errors = [one.exception() for one in others]
    assert [str(error) for error in errors] == ["[Errno 28] No space left on device"] * 3
    assert len({id(error) for error in errors}) == 3


def test_an_exception_with_more_to_it_than_its_text_arrives_whole() -> None:
    def fail(numbers: Sequence[int]) -> Sequence[int]:
        raise ArchiveFault("HTTP 403", "no entry")

    with pytest.raises(ArchiveFault, match="no entry") as caught:
        Together(fail).do(1)
    assert caught.value.fault_code == "HTTP 403"
    assert isinstance(caught.value.__cause__, ArchiveFault)


def test_an_act_that_forgets_somebody_fails_for_everybody() -> None:
    busy = Busy(lambda numbers: squares(numbers) if 0 in numbers else [])
    with ThreadPoolExecutor(4) as callers:
        first, *others = busy.ask(callers, others=3)
    assert first.result() == 0
    assert [type(one.exception()) for one in others] == [ValueError] * 3


def test_it_goes_on_after_a_failure() -> None:
    def act(numbers: Sequence[int]) -> Sequence[int]:
        return [10 // number for number in numbers]

    together = Together(act)
    with pytest.raises(ZeroDivisionError):
        together.do(0)
    assert together.do(5) == 2
