"""Which installation of an organisation a package is for (altinn-transport 4.2, R6)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CHANNEL = re.compile(r"[a-zA-Z0-9-_]{0,25}")


@dataclass(frozen=True, slots=True)
class Channel:
    """Our own message channel, None for the default installation.

    `accept_any_reference` is for an installation that is the organisation's only
    receiver.
    """

    own: str | None = None
    accept_any_reference: bool = False

    def takes(self, reference: str | None) -> bool:
        """Whether a package with this transport reference is ours.

        The default installation leaves everything that looks like a channel's name.
        """
        if self.accept_any_reference:
            return True
        if self.own is not None:
            return reference == self.own
        return reference is None or not _CHANNEL.fullmatch(reference)
