"""``edu-gateway config``: settings from the predecessor's configuration."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import cast

import click

from gateway.errors import SettingsWrong
from gateway.legacy import Import, import_properties
from gateway.legacy.values import Value
from gateway.settings import Settings, load_settings
from gateway.settings.description import Key, describe
from gateway.settings.page import settings_page
from gateway.settings.values import from_environment


@click.group(name="config")
def command() -> None:
    """Settings, and those of the predecessor."""


@command.command()
def page() -> None:
    """Print the page of all settings, as it is in docs/settings.md."""
    click.echo(settings_page(), nl=False)


def _keys() -> dict[str, Key]:
    """Every key of our settings that is in a section, by ``section.key``."""
    return {
        f"{table.name}.{key.name}": key for table in describe(Settings).tables for key in table.keys
    }


def _answers(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, Value]:
    known = _keys()
    found: dict[str, Value] = {}
    for value in values:
        setting, equals, answer = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{setting!r}: write SECTION.KEY=VALUE")
        key = known.get(re.sub(r"\[\d+\]", "", setting))
        if key is None:
            near = get_close_matches(setting, known, n=1)
            hint = f"; is it {near[0]}?" if near else ""
            raise click.BadParameter(f"{setting!r} is not a setting{hint}")
        found[setting] = cast(Value, from_environment(key, answer))
    return found


@command.command(name="import")
@click.argument(
    "properties", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--out",
    default="gateway.toml",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
)
@click.option(
    "--answer",
    "answers",
    multiple=True,
    callback=_answers,
    metavar="SECTION.KEY=VALUE",
    help="Answer a question; repeat it. Passwords are better written into the file named.",
)
@click.option("--force", is_flag=True, help="Replace what was written before.")
def import_(properties: Path, out: Path, answers: dict[str, Value], force: bool) -> None:
    """Make a gateway.toml of an integrasjonspunkt-local.properties.

    Prints what was taken over, what needs your answer, and what was ignored and why.
    Passwords go to files of their own beside it. Exit code 1 while answers are missing, or
    while the settings are not right: what is wrong with them is told too.
    """
    if out.exists() and not force:
        raise click.UsageError(f"{out} exists; use --force to replace it")
    secrets = {name for name, key in _keys().items() if key.about.secret}
    result = import_properties(properties.read_bytes(), answers, secrets)
    out.parent.mkdir(parents=True, exist_ok=True)
    written = _write_secrets(result, out)
    out.write_text(toml_text(result, written, properties.name), encoding="utf-8")
    _tell(result, out)
    sys.exit(0 if not result.questions and _loads(out) else 1)


def _loads(out: Path) -> bool:
    """Whether the new file is right as it stands; tells what is not."""
    try:
        load_settings(out)
    except SettingsWrong as wrong:
        click.echo("\nNot right yet")
        for problem in wrong.problems:
            click.echo(f"  {problem}")
        return False
    return True


def _write_secrets(result: Import, out: Path) -> dict[str, str]:
    """One file per password, readable by the owner alone; setting to file name."""
    written = {}
    for setting, secret in result.secrets.items():
        name = f"{setting.replace('.', '-').replace('_', '-')}.secret"
        path = out.parent / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
        written[setting] = name
    return written


def toml_text(result: Import, secret_files: dict[str, str], source: str) -> str:
    """The settings file; questions stand in it as comments where the answer belongs."""
    lines = [f"# Made of {source} by `edu-gateway config import`."]
    if result.questions:
        lines.append("# Lines with SVAR need your answer; every key is in docs/settings.md.")
    lines += ["", 'folder = "data"']
    sections = sorted(
        {setting.partition(".")[0] for setting in (*result.values, *secret_files)}
        | {question.setting.partition(".")[0] for question in result.questions},
        key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name),
    )
    for section in sections:
        name, in_list, _ = section.partition("[")
        lines += ["", f"[[{name}]]" if in_list else f"[{name}]"]
        for setting, value in result.values.items():
            owner, _, key = setting.partition(".")
            if owner == section:
                lines.append(f"{key} = {_toml(value)}")
        for setting, file in secret_files.items():
            owner, _, key = setting.partition(".")
            if owner == section:
                lines.append(f"{key}_file = {_toml(file)}")
        for question in result.questions:
            owner, _, key = question.setting.partition(".")
            if owner == section:
                text = " ".join(question.text.split())
                lines += [f"# SVAR: {text}", f'# {key} = ""']
    return "\n".join(lines) + "\n"


_ORDER = ("organisation", "archive", "mail", "network", "listen", "messages", "alerts")


def _toml(value: object) -> str:
    # JSON's texts and numbers are TOML's too.
    return json.dumps(value, ensure_ascii=False)


def _tell(result: Import, out: Path) -> None:
    click.echo(f"Taken over ({len(result.taken)})")
    for taken in result.taken:
        note = f"  ({taken.note})" if taken.note else ""
        click.echo(f"  {taken.key or '–':45} → {taken.setting}{note}")
    click.echo(f"\nNeeds your answer ({len(result.questions)})")
    for question in result.questions:
        key = f" [{question.key}]" if question.key else ""
        click.echo(f"  {question.setting}{key}: {question.text}")
    click.echo(f"\nIgnored, and why ({len(result.ignored)})")
    for ignored in result.ignored:
        click.echo(f"  {ignored.key:45} {ignored.reason}")
    if result.remarks:
        click.echo("\nRemarks")
        for remark in result.remarks:
            click.echo(f"  {remark}")
    click.echo(
        f"\n{out}: {len(result.taken)} taken over, {len(result.questions)} need your answer, "
        f"{len(result.ignored)} ignored"
    )
