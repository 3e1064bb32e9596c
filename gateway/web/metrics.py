"""Figures for Prometheus, in its text format.

Counters count what this process saw; gauges are read from the store when asked, so they
are the same on every node.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from gateway import __version__
from gateway.engine.health import Finding, Subject
from gateway.model import Event
from gateway.store.messages import Message
from gateway.store.overview import COUNTED_WAITING

_GAUGES = {
    (Subject.NETWORK, "waiting"): ('gateway_waiting{direction="OUTGOING"}', 1.0),
    (Subject.ARCHIVE, "waiting"): ('gateway_waiting{direction="INCOMING"}', 1.0),
    (Subject.ARCHIVE, "circuits"): ('gateway_circuits_open{neighbour="archive"}', 1.0),
    (Subject.RECEIVERS, "count"): ('gateway_circuits_open{neighbour="receiver"}', 1.0),
    (Subject.OLDEST, "seconds"): ("gateway_oldest_waiting_seconds", 1.0),
    (Subject.DEAD, "count"): ("gateway_dead_letters", 1.0),
    (Subject.PICKUP, "count"): ("gateway_waiting_for_pickup", 1.0),
    (Subject.QUARANTINE, "count"): ("gateway_quarantined_packages", 1.0),
    (Subject.FOREIGN, "count"): ("gateway_packages_left_for_others", 1.0),
    (Subject.REVOCATION, "missing"): ("gateway_revocation_lists_missing", 1.0),
    (Subject.CERTIFICATE, "days"): ("gateway_certificate_expires_seconds", 86400.0),
    (Subject.CLOCK, "offset_seconds"): ("gateway_clock_offset_seconds", 1.0),
    (Subject.DISK, "free_bytes"): ("gateway_disk_free_bytes", 1.0),
}
_HELP = {
    "gateway_info": "Version of this gateway.",
    "gateway_up": "Whether a subject is well: 1 or 0.",
    "gateway_events_total": "Entries made in timelines by this process.",
    "gateway_waiting": "Messages that wait to be sent (OUTGOING) or delivered (INCOMING);"
    f" counted as far as {COUNTED_WAITING}.",
    "gateway_circuits_open": "Neighbours that are away, and that one message at a time tries.",
    "gateway_oldest_waiting_seconds": "Age of the message that waits longest.",
    "gateway_dead_letters": "Messages that failed and are not marked as handled;"
    f" counted as far as {COUNTED_WAITING}.",
    "gateway_waiting_for_pickup": "Messages that are not for the archive;"
    f" counted as far as {COUNTED_WAITING}.",
    "gateway_quarantined_packages": "Packages that could not be used.",
    "gateway_packages_left_for_others": "Packages for other message channels, since the start.",
    "gateway_revocation_lists_missing": "Revocation lists that were needed and cannot be had.",
    "gateway_certificate_expires_seconds": "Time until our certificate expires.",
    "gateway_clock_offset_seconds": "How much the machine's clock is ahead of the network's.",
    "gateway_disk_free_bytes": "Free space for documents.",
}


class Metrics:
    """Counts events; an observer of the ledger."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: Counter[tuple[str, str, str]] = Counter()

    def observe(self, message: Message, event: Event) -> None:
        """Count one entry of a timeline."""
        with self._lock:
            self._events[message.direction.value, message.kind.value, event.status.value] += 1

    def render(self, findings: Iterable[Finding]) -> str:
        """All figures in Prometheus' text format."""
        samples: list[tuple[str, float]] = [(f'gateway_info{{version="{__version__}"}}', 1)]
        for one in findings:
            name = one.subject.value.replace(" ", "_").replace("-", "_")
            samples.append((f'gateway_up{{subject="{name}"}}', int(one.well)))
            for figure, value in one.figures.items():
                if (gauge := _GAUGES.get((one.subject, figure))) is not None:
                    samples.append((gauge[0], value * gauge[1]))
        with self._lock:
            counted = sorted(self._events.items())
        for (direction, kind, status), number in counted:
            labels = f'direction="{direction}",kind="{kind}",status="{status}"'
            samples.append((f"gateway_events_total{{{labels}}}", number))
        samples.sort(key=lambda sample: sample[0].partition("{")[0])
        lines = []
        described = None
        for sample, value in samples:
            name = sample.partition("{")[0]
            if name != described:
                kind = "counter" if name.endswith("_total") else "gauge"
                lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} {kind}"]
                described = name
            lines.append(f"{sample} {value:.10g}")
        return "\n".join(lines) + "\n"
