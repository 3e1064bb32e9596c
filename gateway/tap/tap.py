"""The whole tap: relay, observer, recorder, recording and mirror."""

from __future__ import annotations

import logging

from gateway.tap.mirror import Mirror
from gateway.tap.observer import Observer
from gateway.tap.recorder import Counts, Exchange, Recorder
from gateway.tap.recording import Recording
from gateway.tap.relay import Relay, Target

log = logging.getLogger(__name__)


class Tap:
    """Listens on `host` and `port`, hands through to `target`, records on the side.

    `counts` says what was seen, recorded, and not recorded.
    """

    def __init__(
        self,
        host: str,
        port: int,
        target: Target,
        recording: Recording,
        counts: Counts,
        mirror: Mirror | None = None,
    ) -> None:
        self.counts = counts
        self._recording = recording
        self._mirror = mirror
        self._recorder = Recorder(self._work, counts)
        self._relay = Relay(host, port, target, lambda: Observer(self._recorder))

    @property
    def port(self) -> int:
        """The port it really listens on."""
        return self._relay.port

    def start(self) -> None:
        """Begin to accept. Raises OSError when the port is taken."""
        self._relay.start()

    def stop(self, timeout: float = 60.0) -> None:
        """Let calls finish within `timeout` seconds, then record and mirror what is waiting."""
        self._relay.stop(timeout)
        self._recorder.stop()
        if self._mirror is not None:
            self._mirror.stop()

    def _work(self, exchange: Exchange) -> None:
        recorded = self._recording.record(exchange)
        self.counts.add("recorded")
        log.info(
            "%s %s conversation_id=%r answered %s %s",
            recorded.name,
            recorded.operation,
            recorded.conversation,
            recorded.answer.kind,
            recorded.answer.value,
        )
        if self._mirror is not None:
            self._mirror.send(exchange, recorded)
        else:
            exchange.close()
