"""Puts the pages, the API and the probes together."""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from gateway.engine.health import Health
from gateway.engine.operations import Operations
from gateway.web import api, manage, pages
from gateway.web.guard import Access, protect
from gateway.web.metrics import Metrics

log = logging.getLogger(__name__)

_MAX_FORM_BYTES = 64 * 1024
_SAID = {
    400: "Forespørselen kan ikke forstås.",
    401: "Brukernavn og passord kreves.",
    403: "Ikke tillatt.",
    404: "Siden finnes ikke.",
    405: "Slik kan siden ikke brukes.",
    413: "Forespørselen er for stor.",
    503: "Databasen svarer ikke akkurat nå. Prøv igjen om litt.",
}
_SAID_FORBIDDEN = {
    "password": (
        "Sidene vises bare på denne maskinen til det er satt brukernavn og passord: "
        "web.username og web.password i innstillingene."
    ),
    "form": "Skjemaet var ikke vårt, eller det er for gammelt. Last siden på nytt og prøv igjen.",
}


def create_app(operations: Operations, health: Health, metrics: Metrics, access: Access) -> Flask:
    """The WSGI application for every path but ``/noarkExchange``."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_FORM_BYTES
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    protect(app, access)
    app.register_blueprint(pages.blueprint(operations, health))
    app.register_blueprint(api.blueprint(operations))
    app.register_blueprint(manage.blueprint(health, metrics))
    app.register_error_handler(HTTPException, _explain)
    app.register_error_handler(SQLAlchemyError, _database_away)
    return app


def _explain(error: HTTPException) -> Response:
    if error.response is not None:  # a redirect
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    said = _SAID.get(status, "Noe gikk galt her. Se loggen.")
    if status == 403:
        said = _SAID_FORBIDDEN.get(str(error.description), said)
    response = _answer(status, error.name, said)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="edu-gateway", charset="UTF-8"'
    return response


def _database_away(error: SQLAlchemyError) -> Response:
    log.warning("a page could not be shown: %s", type(error).__name__)
    return _answer(503, "Service Unavailable", _SAID[503])


def _answer(status: int, name: str, said: str) -> Response:
    if request.path.startswith(("/api/", "/manage/")):
        response = jsonify(status=status, error=name, message=said, path=request.path)
    else:
        response = Response(render_template("problem.html", status=status, said=said))
    response.status_code = status
    return response
