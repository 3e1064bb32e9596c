"""Figures beside floors that are measured in turn with them (performance 1.4).

On a machine that others use as well, only the ratio of such a pair says something.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable


def compare(
    name: str,
    unit: str,
    ours: Callable[[], float],
    floor: Callable[[], float],
    *,
    goal: float | None = None,
    pairs: int = 9,
    other: str = "floor",
) -> None:
    """Print the medians of both figures and of their ratio; more is better.

    In brackets the second lowest and the second highest ratio.
    """
    floors, figures = [], []
    for _ in range(pairs):
        floors.append(floor())
        figures.append(ours())
    ratios = sorted(one / least for one, least in zip(figures, floors, strict=True))
    spread = ratios[1:-1] or ratios
    print(
        f"{name}: {statistics.median(figures):.0f} {unit}, {other}"
        f" {statistics.median(floors):.0f}, ratio {statistics.median(ratios):.2f}"
        f" [{spread[0]:.2f}-{spread[-1]:.2f}]{'' if goal is None else f', goal {goal}'}",
        flush=True,
    )
