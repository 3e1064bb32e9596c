"""Takes what the observer sees off the traffic's path.

The traffic's thread only hands pieces into a backlog of bounded size. A second thread
puts them into temporary files, which nobody sees and which vanish with the process; a
third works on calls that are complete. Whoever is too slow, fails, or has no room left
loses recordings, never calls: what was not recorded is counted by reason.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO

from gateway.tap.observer import Head

log = logging.getLogger(__name__)

_IN_MEMORY = 1 << 16
_WHO = (401, 407)
_OTHER = "other calls"
_NO_HEAD = Head("", ())


class Counts:
    """How often what happened; may be used from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def __getitem__(self, what: str) -> int:
        with self._lock:
            return self._counts[what]

    def __str__(self) -> str:
        with self._lock:
            return ", ".join(f"{count} {what}" for what, count in self._counts.items()) or "nothing"


@dataclass(slots=True)
class Exchange:
    """A complete call: request and answer with their bodies, to be read from the start."""

    method: str
    path: str
    began: datetime
    request_head: Head
    request_body: IO[bytes]
    answer_body: IO[bytes]
    ended: datetime = datetime.max
    status: int = 0
    answer_head: Head = _NO_HEAD

    def close(self) -> None:
        self.request_body.close()
        self.answer_body.close()


def temporary_body() -> IO[bytes]:
    """In memory while it is small, then a file that goes when the process does."""
    return SpooledTemporaryFile(_IN_MEMORY, prefix="edu-gateway-tap-")


class Recorder:
    """The `Calls` of a tap: gives every complete POST to `work`, one at a time.

    `work` may do what it likes, and close the exchange whenever it has done with it.
    At most `backlog` bytes wait to be put into files, at most `waiting` calls for `work`.
    """

    def __init__(
        self,
        work: Callable[[Exchange], None],
        counts: Counts,
        *,
        backlog: int = 64 << 20,
        waiting: int = 500,
        new_body: Callable[[], IO[bytes]] = temporary_body,
    ) -> None:
        self.counts = counts
        self._new_body = new_body
        self._work = work
        self._backlog = backlog
        self._held = 0
        self._lock = threading.Lock()
        self._pieces: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._places = threading.Semaphore(waiting)
        self._filler = threading.Thread(target=self._fill, name="tap-recorder", daemon=True)
        self._worker = ThreadPoolExecutor(1, "tap-work")
        self._filler.start()

    def begin(self, method: str, path: str, head: Head) -> _Recorded | _Passed:
        """Called by the observer when a request begins."""
        if method != "POST":
            return _Passed(self.counts)
        bodies = self._new_body(), self._new_body()
        return _Recorded(self, Exchange(method, path, datetime.now(UTC), head, *bodies))

    def unseen(self) -> None:
        self.lost("connections that were not read as HTTP")

    def lost(self, why: str) -> None:
        """Count something that was not recorded."""
        self.counts.add(f"not recorded ({why})")
        log.warning("not recorded: %s", why)

    def stop(self) -> None:
        """Work off what is waiting; to be called when the relay has stopped."""
        self._pieces.put(None)
        self._filler.join()
        self._worker.shutdown()

    # --- the traffic's side: quick, and never raises --------------------------------------

    def offer(self, data: bytes, put: Callable[[bytes], None]) -> bool:
        """Have `put` called with `data` soon; False when too much is waiting."""
        with self._lock:
            if self._held + len(data) > self._backlog:
                return False
            self._held += len(data)
        self._pieces.put(lambda: self._put(data, put))
        return True

    def tell(self, what: Callable[[], None]) -> None:
        """Have `what` called after everything that was offered before."""
        self._pieces.put(what)

    # --- the other side -------------------------------------------------------------------

    def _put(self, data: bytes, put: Callable[[bytes], None]) -> None:
        try:
            put(data)
        finally:
            with self._lock:
                self._held -= len(data)

    def _fill(self) -> None:
        while (step := self._pieces.get()) is not None:
            try:
                step()
            except Exception:
                log.exception("the recorder stumbled")

    def complete(self, exchange: Exchange) -> None:
        """Queue it for `work`."""
        if not self._places.acquire(blocking=False):
            exchange.close()
            self.lost("the recorder is too slow")
            return
        self._worker.submit(self._do, exchange)

    def _do(self, exchange: Exchange) -> None:
        try:
            exchange.request_body.seek(0)
            exchange.answer_body.seek(0)
            self._work(exchange)
        except OSError as trouble:
            exchange.close()
            self.lost(trouble.strerror or type(trouble).__name__)
        except Exception:
            exchange.close()
            log.exception("a recording failed")
            self.lost("the recorder failed")
        finally:
            self._places.release()


class _Recorded:
    """One call on its way into an `Exchange`."""

    def __init__(self, recorder: Recorder, exchange: Exchange) -> None:
        self._recorder = recorder
        self._exchange = exchange
        self._problem: str | None = None

    def request(self, data: bytes) -> None:
        self._offer(data, lambda piece: self._write(self._exchange.request_body, piece))

    def answered(self, status: int, head: Head) -> None:
        self._exchange.status, self._exchange.answer_head = status, head

    def answer(self, data: bytes) -> None:
        self._offer(data, lambda piece: self._write(self._exchange.answer_body, piece))

    def finished(self) -> None:
        self._exchange.ended = datetime.now(UTC)
        self._recorder.tell(self._finish if self._exchange.status not in _WHO else self._pass)

    def broken_off(self) -> None:
        self._problem = self._problem or "the call was broken off"
        self._recorder.tell(self._finish)

    def _offer(self, data: bytes, put: Callable[[bytes], None]) -> None:
        if self._problem is None and not self._recorder.offer(data, put):
            self._problem = "the recorder is too slow"

    def _write(self, body: IO[bytes], piece: bytes) -> None:
        if self._problem is None:
            try:
                body.write(piece)
            except OSError as trouble:
                self._problem = trouble.strerror or type(trouble).__name__

    def _pass(self) -> None:
        """Asked who it was, the caller says the same again."""
        self._exchange.close()
        self._recorder.counts.add(_OTHER)

    def _finish(self) -> None:
        if self._problem is None:
            self._recorder.complete(self._exchange)
        else:
            self._exchange.close()
            self._recorder.lost(self._problem)


class _Passed:
    """A call of which nothing is kept: GET ?wsdl and the like."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def request(self, data: bytes) -> None: ...
    def answered(self, status: int, head: Head) -> None: ...
    def answer(self, data: bytes) -> None: ...
    def broken_off(self) -> None: ...

    def finished(self) -> None:
        self._counts.add(_OTHER)
