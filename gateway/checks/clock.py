"""Our clock beside those of the servers that are called anyway, by their ``Date``.

Maskinporten refuses a grant whose times are ten seconds away from its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from gateway.checks.finding import Check, Grade, Verdict, fail, ok, warn

_WARN_SECONDS = 5.0
_FAIL_SECONDS = 9.0
_REMEDY = "Let the operating system set its clock by NTP (chrony, systemd-timesyncd, w32time)."


@dataclass
class Clock:
    """What the peers said. The archive counts only when nobody of the network spoke: it
    may have its time from the same wrong place as we."""

    _network: dict[str, float] = field(default_factory=dict)
    _archive: dict[str, float] = field(default_factory=dict)

    def heard(
        self,
        peer: str,
        date: str | None,
        asked: float,
        answered: float,
        *,
        is_network: bool = True,
    ) -> None:
        """Note a ``Date`` header; `asked` and `answered` are our own Unix times."""
        ahead = seconds_ahead(date, asked, answered)
        if ahead is not None:
            (self._network if is_network else self._archive)[peer] = ahead

    def check(self) -> Check:
        """To be carried out after the peers were asked."""
        return Check("clock", self._examine, _REMEDY)

    def _examine(self) -> Verdict:
        heard = self._network or self._archive
        if not heard:
            return Verdict(Grade.SKIP, "not tried because no server said what time it is")
        # When one of them agrees with us, ours is right.
        peer, ahead = min(heard.items(), key=lambda one: abs(one[1]))
        if not ahead:
            return ok(f"agrees with {', '.join(one for one in heard if not heard[one])}")
        seen = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} {peer}"
        if abs(ahead) > _FAIL_SECONDS:
            return fail(seen, _REMEDY)
        return warn(seen, _REMEDY) if abs(ahead) > _WARN_SECONDS else ok(seen)


def seconds_ahead(date: str | None, asked: float, answered: float) -> float | None:
    """How far our clock must at least be ahead of the server's; negative when behind.

    `date` has whole seconds and was written somewhere between `asked` and `answered`, so
    that only what lies outside both is a difference. None when it cannot be read.
    """
    try:
        stated = parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    if asked > stated + 1:
        return asked - stated - 1
    return min(answered - stated, 0.0)
