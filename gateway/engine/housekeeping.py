"""What is tidied up: files without rows, and documents whose time is over."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.context import Context
from gateway.store import arrivals, leases, messages
from gateway.store.database import NODE
from gateway.store.retention import let_go, look

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 3600.0
_LONGEST_REQUEST_SECONDS = 24 * 3600.0
_CLOCK_GRAIN_SECONDS = 1.0
_TURN = timedelta(minutes=30)
_AT_ONCE = 200
_PARTS = 24


class Housekeeping:
    """Works in a thread of its own from `start` to `stop`.

    `keep_documents`: how long content is kept after its message was over; None for ever.
    """

    def __init__(self, context: Context, keep_documents: timedelta | None) -> None:
        self._context = context
        self._keep_documents = keep_documents
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Tidy up now and then every hour."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the rest for the next time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # Alone on its files, a gateway knows that what is older than itself was left
        # behind by a dead one; among several nodes only age tells.
        alone = not self._context.database.shared
        age = _CLOCK_GRAIN_SECONDS if alone else _LONGEST_REQUEST_SECONDS
        parts, hours = 1, 0
        while True:
            try:
                if self._knows_the_time():
                    self.sweep(before=time.time() - age, part=hours % parts, parts=parts)
                    self.let_go()
            except (OSError, SQLAlchemyError) as error:
                log.warning("housekeeping is tried again in an hour: %s", error)
            if self._stopping.wait(_PAUSE_SECONDS):
                return
            # A million files are not looked at every hour: each is once a day.
            age, parts, hours = _LONGEST_REQUEST_SECONDS, _PARTS, hours + 1

    def _knows_the_time(self) -> bool:
        """Nothing is thrown away for its age by a doubtful clock."""
        clock = self._context.clock
        return clock is None or not clock.trust().doubt

    def sweep(self, before: float, part: int = 0, parts: int = 1) -> None:
        """Remove files older than `before`, in seconds since 1970, that no row refers to.

        With `parts` only the `part`-th of so many.
        """
        removed = self._context.blobs.sweep(self._known, before, part=part, parts=parts)
        if removed:
            log.info("%d files that nothing refers to were removed", removed)

    def _known(self, keys: list[str]) -> set[str]:
        with self._context.database.read() as tx:
            return messages.blob_keys(tx, keys) | arrivals.quarantined(tx)

    def let_go(self) -> None:
        """Remove the content of messages that have been over for long."""
        if self._keep_documents is None:
            return
        before = self._context.now() - self._keep_documents
        files, position, last = 0, 0, False
        while not (last or self._stopping.is_set()):
            with self._context.database.read() as tx:  # writers need not wait for a long look
                found = look(tx, before, position)
            for start in range(0, len(found.over), _AT_ONCE):
                keys = self._let_go(found.over[start : start + _AT_ONCE], before)
                if keys is None:
                    return
                files += len(keys)
            position, last = found.end, found.last
        if files:
            log.info(
                "%d documents of messages over for %d days were deleted",
                files,
                self._keep_documents.days,
            )

    def _let_go(self, found: list[int], before: datetime) -> list[str] | None:
        """The keys of the files that were removed; None when it is another node's turn."""
        now = self._context.now()
        with self._context.database.write() as tx:
            if not leases.acquire(tx, "let go", NODE, now, now + _TURN):
                return None
            keys = let_go(tx, found, before, now)
        for key in keys:
            self._context.blobs.delete(key)
        return keys
