"""Lets spyne 2.14 be imported on Python 3.12 and 3.13 (soap-stack 1).

Its vendored ``six`` has no ``find_spec``, and it imports ``cgi``, which 3.13 removed.
Call `install` before the first import of spyne.
"""

from __future__ import annotations

import importlib
import operator
import sys
import types
from email.message import Message

import six

_MOVES = ("collections_abc", "http_cookies", "urllib.parse", "urllib.request", "urllib.error")


def install() -> None:
    """Put stand-ins into `sys.modules` where this Python needs them."""
    if sys.version_info >= (3, 12) and "spyne.util.six" not in sys.modules:
        _install_six()
    if sys.version_info >= (3, 13) and "cgi" not in sys.modules:
        cgi = types.ModuleType("cgi")
        cgi.parse_header = parse_header  # type: ignore[attr-defined]
        sys.modules["cgi"] = cgi


def parse_header(line: str) -> tuple[str, dict[str, str]]:
    """A header's value and its parameters, as ``cgi.parse_header`` gave them."""
    message = Message()
    message["content-type"] = line
    (value, _), *parameters = message.get_params(failobj=[("", "")])
    return value, dict(parameters)


def _install_six() -> None:
    stand_in = types.ModuleType("spyne.util.six")
    stand_in.__dict__.update(
        {name: value for name, value in vars(six).items() if not name.startswith("__")}
    )
    stand_in.__path__ = []
    # spyne's own addition to six
    stand_in.get_function_name = operator.attrgetter("__name__")  # type: ignore[attr-defined]
    sys.modules["spyne.util.six"] = stand_in
    sys.modules["spyne.util.six.moves"] = six.moves  # type: ignore[assignment]
    for name in _MOVES:
        moved = importlib.import_module(f"six.moves.{name}")
        sys.modules[f"spyne.util.six.moves.{name}"] = moved
    sys.modules["spyne.util.six.moves.urllib"] = six.moves.urllib  # type: ignore[assignment]
