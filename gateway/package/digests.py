"""The digests over a package while it is written."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

_MUCH = 1024 * 1024


class Digests:
    """MD5 and SHA-256 of what it is given, which must not change afterwards.

    MD5 is slower than the encryption that the bytes come from, so whatever is large is
    digested in a thread of its own meanwhile; at most twice `_MUCH` bytes wait for it.
    Use it as a context; the digests are complete when that is left.
    """

    def __init__(self) -> None:
        self._md5, self._sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        self._waiting: list[bytes | memoryview] = []
        self._size = 0
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def __enter__(self) -> Digests:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown()
        self._digest(self._waiting)
        self._waiting = []

    def update(self, data: bytes | memoryview) -> None:
        """Go on with `data`."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size < _MUCH:
            return
        if self._running is not None:
            self._running.result()
        self._thread = self._thread or ThreadPoolExecutor(1, "digests")
        self._running = self._thread.submit(self._digest, self._waiting)
        self._waiting, self._size = [], 0

    @property
    def md5(self) -> str:
        """Lower-case hex."""
        return self._md5.hexdigest()

    @property
    def sha256(self) -> str:
        """Lower-case hex."""
        return self._sha256.hexdigest()

    def _digest(self, pieces: list[bytes | memoryview]) -> None:
        for piece in pieces:
            self._md5.update(piece)
            self._sha256.update(piece)
