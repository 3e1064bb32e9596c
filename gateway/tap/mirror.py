"""Asks a second endpoint what the first was asked, and compares the answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from threading import Semaphore
from typing import Any

import httpx

from gateway.http import explain
from gateway.tap.answers import Answer, differences, read_answer
from gateway.tap.recorder import Counts, Exchange
from gateway.tap.recording import PUT_MESSAGE, Recorded, Recording

log = logging.getLogger(__name__)

_MIRRORED = (PUT_MESSAGE, "GetCanReceiveMessageRequest")
_HEADERS = ("content-type", "content-encoding", "soapaction")
_PIECE = 256 * 1024
_LONGEST_ANSWER = 16 << 20


class Mirror:
    """Sends recorded calls on to `url`, one at a time, in the order they ended.

    The second endpoint gets the letter as it is, also when the recording is masked, and
    none of the headers that prove who asks. At most `waiting` calls wait for it.
    """

    def __init__(
        self,
        url: str,
        client: httpx.Client,
        recording: Recording,
        counts: Counts,
        *,
        waiting: int = 100,
    ) -> None:
        self._url = url
        self._client = client
        self._recording = recording
        self._counts = counts
        self._places = Semaphore(waiting)
        self._worker = ThreadPoolExecutor(1, "tap-mirror")
        self._last: Future[None] | None = None

    def send(self, exchange: Exchange, recorded: Recorded) -> None:
        """Queue the call; closes the exchange when done with it."""
        if recorded.operation not in _MIRRORED:
            exchange.close()
        elif not self._places.acquire(blocking=False):
            exchange.close()
            self._counts.add("not mirrored (the second endpoint is too slow)")
            log.warning("not mirrored: the second endpoint is too slow")
        else:
            self._last = self._worker.submit(self._do, exchange, recorded)

    def stop(self, timeout: float = 60.0) -> None:
        """Send what is waiting, for at most `timeout` seconds."""
        if self._last is not None:
            wait([self._last], timeout)
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _do(self, exchange: Exchange, recorded: Recorded) -> None:
        try:
            self._compare(exchange, recorded)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as trouble:
            self._counts.add("not mirrored (no answer)")
            log.warning("%s was not mirrored: %s", recorded.name, explain(trouble))
        except Exception:
            self._counts.add("not mirrored (failed)")
            log.exception("%s was not mirrored", recorded.name)
        finally:
            exchange.close()
            self._places.release()

    def _compare(self, exchange: Exchange, recorded: Recorded) -> None:
        answer = self._ask(exchange)
        found = differences(recorded.answer, answer)
        self._counts.add("mirrored with another answer" if found else "mirrored alike")
        line: dict[str, Any] = {
            "name": recorded.name,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "conversation": recorded.conversation,
            "different": list(found),
            "first": self._recording.shown(recorded.answer),
            "second": self._recording.shown(answer),
        }
        self._recording.note("mirror.jsonl", line)
        if found:
            log.warning("%s is answered differently: %s", recorded.name, ", ".join(found))

    def _ask(self, exchange: Exchange) -> Answer:
        body = exchange.request_body
        size = body.seek(0, 2)
        body.seek(0)
        headers = {name: exchange.request_head.header(name) for name in _HEADERS}
        headers = {name: value for name, value in headers.items() if value}
        headers["Content-Length"] = str(size)

        def pieces() -> Iterator[bytes]:
            yield from iter(lambda: body.read(_PIECE), b"")

        with self._client.stream("POST", self._url, headers=headers, content=pieces()) as response:
            found = bytearray()
            for piece in response.iter_bytes():
                found += piece
                if len(found) > _LONGEST_ANSWER:
                    return Answer(f"HTTP {response.status_code}")
            return read_answer(response.status_code, bytes(found))
