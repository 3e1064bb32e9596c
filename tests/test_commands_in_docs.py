"""Every `edu-gateway …` that the documents name exists, with its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_IN_TEXT = re.compile(r"`(edu-gateway [^`]+)`")
_IN_BLOCK = re.compile(r"^\s*(?:\$ )?(edu-gateway .+?)(?:\s+[#>|].*)?$", re.MULTILINE)
_BLOCK = re.compile(r"^[ ]*```.*?^[ ]*```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> Iterator[str]:
    """The command lines of a page, those that go on with a backslash joined."""
    page = page.replace("\\\n", " ")
    for block in _BLOCK.findall(page):
        yield from _IN_BLOCK.findall(block)
    for text in _IN_TEXT.findall(_BLOCK.sub("", page)):
        yield " ".join(text.split())


def problem(line: str) -> str | None:
    """What of a command line does not exist; None when it is all there."""
    command: click.Command = main
    called = "edu-gateway"
    context = click.Context(main)
    words = iter(line.split()[1:])
    for word in words:
        options = {
            name: option
            for option in command.params
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts, *context.help_option_names)
        }
        if word.startswith("-"):
            name = word.partition("=")[0].rstrip(",.")
            if name not in options and name not in ("-h", "--help"):
                return f"{called} has no {name}"
            option = options.get(name)
            if option is not None and not option.is_flag and "=" not in word:
                next(words, None)
        elif isinstance(command, click.Group) and not word.startswith(("…", "...")):
            found = command.get_command(context, word)
            if found is None:
                return f"{called} has no {word}"
            command, called = found, word
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_that_a_page_names_exist(page: Path) -> None:
    wrong = {
        line: found
        for line in commands(page.read_text(encoding="utf-8"))
        if (found := problem(line)) is not None
    }
    assert wrong == {}


def test_commands_are_found_where_they_stand() -> None:
    page = "`edu-gateway run\n--config x` and\n```\n$ edu-gateway check > out\nno edu-gateway\n```"
    assert list(commands(page)) == ["edu-gateway check", "edu-gateway run --config x"]
    assert problem("edu-gateway run --config x --log-level DEBUG") is None
    assert problem("edu-gateway run --colour") == "run has no --colour"
    assert problem("edu-gateway messages --config x shout") == "messages has no shout"
