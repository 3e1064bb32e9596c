"""Whether the registry publishes the certificate that we hold the key of.

When it does not, everything that is sent to us is encrypted for somebody else, and
nothing that arrives can be opened (dpo-packaging 7.1).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gateway.engine.health import Finding, Subject
from gateway.errors import GatewayError

log = logging.getLogger(__name__)

_DAY = 24 * 3600.0
_SOON = 600.0


class PublishedCertificate:
    """Compares at start and daily, in a thread of its own.

    `compare` gives what is wrong, None when all is well, and raises `GatewayError` when
    nobody can say now; then the last answer stands, and it is asked again soon.
    """

    def __init__(self, compare: Callable[[], str | None]) -> None:
        self._compare = compare
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="published", daemon=True)
        self._finding: Finding | None = None

    def finding(self) -> Finding | None:
        """What the last comparison gave; None before the first."""
        return self._finding

    def start(self) -> None:
        """Begin to compare."""
        self._thread.start()

    def stop(self) -> None:
        """Compare no more; a question that is out is not waited for."""
        self._stopping.set()

    def check(self) -> bool:
        """Compare now; False when nobody could say."""
        try:
            problem = self._compare()
        except GatewayError as error:
            log.info("our certificate was not compared with the published one: %s", error.detail)
            return False
        if problem is not None:
            log.error("published certificate: %s", problem)
            problem += "; configure the key of the published one, or have ours published"
        summary = problem or "the registry publishes the certificate that we use"
        self._finding = Finding(Subject.PUBLISHED, problem is None, summary)
        return True

    def _watch(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            wait = _SOON
            try:
                wait = _DAY if self.check() else _SOON
            except Exception:
                log.exception("our certificate was not compared with the published one")
