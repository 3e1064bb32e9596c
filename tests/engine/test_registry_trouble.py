"""A registry that is slow, and a certificate of ours that it does not publish."""

from __future__ import annotations

import time
from pathlib import Path

from letters_and_traces import Pair, until

from gateway.demo import Demo
from gateway.engine.health import Finding, Subject
from gateway.model import ReceiptType


def test_a_slow_registry_keeps_no_dialogue_waiting_and_no_letter_from_being_sent(
    tmp_path: Path,
) -> None:
    with Demo(tmp_path, lambda line: None) as demo:
        a, b = demo.sides
        demo.network.fault("identifier", times=None, delay_before=6.5)
        started = time.monotonic()
        assert a.archive.can_receive(b.orgnr) is False
        assert time.monotonic() - started < 6
        _, answer = a.archive.send_letter(b.orgnr, [("a.txt", "text/plain", b"x")])
        assert answer.type is ReceiptType.OK
        assert a.archive.can_receive(b.orgnr) is True


def published(pair: Pair) -> Finding | None:
    found = pair.a.gateway.health.examine()
    return next((one for one in found if one.subject is Subject.PUBLISHED), None)


def test_a_published_certificate_that_is_not_ours_is_told(tmp_path: Path) -> None:
    with Demo(tmp_path, lambda line: None) as demo:
        pair = Pair(demo)
        until(lambda: published(pair))
        finding = published(pair)
        assert finding is not None
        assert finding.well
        demo.network.renew_certificate(pair.a.orgnr)
        assert pair.a.gateway._published.check()
        finding = published(pair)
        assert finding is not None
        assert not finding.well
        assert "we hold the key of" in finding.summary


def test_a_registry_that_is_away_changes_no_finding(tmp_path: Path) -> None:
    with Demo(tmp_path, lambda line: None) as demo:
        pair = Pair(demo)
        until(lambda: published(pair))
        demo.network.fault("virksert", status=503, times=None)
        assert not pair.a.gateway._published.check()
        finding = published(pair)
        assert finding is not None
        assert finding.well
