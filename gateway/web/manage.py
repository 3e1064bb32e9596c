"""Probes and figures under ``/manage``, in the shape that monitoring knows."""

from __future__ import annotations

import platform
from typing import Any

from flask import Blueprint, Response, jsonify

from gateway import __version__
from gateway.engine.health import VITAL, Finding, Health, Subject
from gateway.web.metrics import Metrics

_NAMES = {Subject.DATABASE: "db", Subject.DISK: "diskSpace"}


def blueprint(health: Health, metrics: Metrics) -> Blueprint:
    """Health, liveness, readiness, Prometheus figures and the version."""
    pages = Blueprint("manage", __name__, url_prefix="/manage")

    @pages.get("/health")
    def show_health() -> Response:
        """503 when something vital is down. No texts: this page asks for no password."""
        findings = health.examine()
        well = all(one.well for one in findings if one.subject in VITAL)
        response = jsonify(
            status=_word(well), components=_components(findings), groups=["liveness", "readiness"]
        )
        response.status_code = 200 if well else 503
        return response

    @pages.get("/health/liveness")
    def show_liveness() -> Response:
        return jsonify(status="UP")

    @pages.get("/health/readiness")
    def show_readiness() -> Response:
        """Whether letters can be taken; never depends on anything but this machine."""
        ready = health.alive()
        response = jsonify(status="UP" if ready else "OUT_OF_SERVICE")
        response.status_code = 200 if ready else 503
        return response

    @pages.get("/prometheus")
    def show_metrics() -> Response:
        return Response(
            metrics.render(health.examine()), mimetype="text/plain; version=0.0.4; charset=utf-8"
        )

    @pages.get("/info")
    def show_info() -> Response:
        return jsonify(
            build={"name": "edu-gateway", "artifact": "edu-gateway", "version": __version__},
            python=platform.python_version(),
        )

    return pages


def _word(well: bool) -> str:
    return "UP" if well else "DOWN"


def _components(findings: list[Finding]) -> dict[str, Any]:
    components: dict[str, Any] = {}
    waiting = {}
    for one in findings:
        if one.subject in (Subject.ARCHIVE, Subject.NETWORK):
            waiting[one.subject] = one.figures.get("waiting", 0)
        if one.subject in VITAL:
            name = _NAMES.get(one.subject, one.subject.value)
            components[name] = {"status": _word(one.well), "details": one.figures}
    if waiting:
        components["nextMoveQueue"] = {
            "status": "UP",
            "details": {
                "outgoing": waiting.get(Subject.NETWORK, 0),
                "incoming": waiting.get(Subject.ARCHIVE, 0),
            },
        }
    needs_person = {
        one.subject.value.replace(" ", "_").replace("-", "_"): one.figures
        for one in findings
        if one.subject not in VITAL
    }
    if needs_person:
        components["attention"] = {"status": "UP", "details": needs_person}
    return components
