"""The stand-ins for Python 3.12 and 3.13, which this interpreter may not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.soap.compat import parse_header


@pytest.mark.parametrize(
    ("line", "value", "parameters"),
    [
        ("text/xml", "text/xml", {}),
        ('text/xml; charset="UTF-8"', "text/xml", {"charset": "UTF-8"}),
        (
            'application/soap+xml; charset=utf-8; action="urn:x"',
            "application/soap+xml",
            {"charset": "utf-8", "action": "urn:x"},
        ),
        ("", "", {}),
    ],
)
def test_parse_header(line: str, value: str, parameters: dict[str, str]) -> None:
    assert parse_header(line) == (value, parameters)


def test_spyne_runs_on_the_stand_ins() -> None:
    """As if on 3.13: no cgi, and six in place of the vendored copy."""
    program = """
import sys
sys.modules["cgi"] = None
from gateway.soap import compat
version, sys.version_info = sys.version_info, (3, 13, 0)
del sys.modules["cgi"]
compat.install()
sys.version_info = version
assert hasattr(sys.modules["cgi"], "parse_header")
assert not hasattr(sys.modules["cgi"], "FieldStorage")
from gateway.soap.server import create_app
assert sys.modules["spyne.util.six"].__path__ == []
answers = []
app = create_app(None, None)
body = app(
    {"PATH_INFO": "/noarkExchange", "REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json",
     "wsgi.url_scheme": "http", "HTTP_HOST": "a"},
    lambda status, headers: answers.append(status),
)
assert answers == ["415 Unsupported Media Type"], answers
assert b"Fault" in b"".join(body)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
