"""What is tidied up every hour: files without rows, and documents whose time is over."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.context import Context
from gateway.store import arrivals, leases, messages
from gateway.store.database import NODE
from gateway.store.retention import let_go

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 3600.0
_LONGEST_REQUEST_SECONDS = 24 * 3600.0
_CLOCK_GRAIN_SECONDS = 1.0
_TURN = timedelta(minutes=30)


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
        while True:
            try:
                if self._knows_the_time():
                    self.sweep(before=time.time() - age)
                    self.let_go()
            except (OSError, SQLAlchemyError) as error:
                log.warning("housekeeping is tried again in an hour: %s", error)
            if self._stopping.wait(_PAUSE_SECONDS):
                return
            age = _LONGEST_REQUEST_SECONDS

    def _knows_the_time(self) -> bool:
        """Nothing is thrown away for its age by a doubtful clock."""
        clock = self._context.clock
        return clock is None or not clock.trust().doubt

    def sweep(self, before: float) -> None:
        """Remove files older than `before`, in seconds since 1970, that no row refers to."""
        removed = self._context.blobs.sweep(self._known, before)
        if removed:
            log.info("%d files that nothing refers to were removed", removed)

    def _known(self, keys: list[str]) -> set[str]:
        with self._context.database.read() as tx:
            return messages.blob_keys(tx, keys) | arrivals.quarantined(tx)

    def let_go(self) -> None:
        """Remove the content of messages that have been over for long."""
        if self._keep_documents is None:
            return
        files = 0
        while not self._stopping.is_set():
            now = self._context.now()
            with self._context.database.write() as tx:
                if not leases.acquire(tx, "let go", NODE, now, now + _TURN):
                    return
                keys = let_go(tx, now - self._keep_documents, now)
            if keys is None:
                break
            for key in keys:
                self._context.blobs.delete(key)
            files += len(keys)
        if files:
            log.info(
                "%d documents of messages over for %d days were deleted",
                files,
                self._keep_documents.days,
            )
