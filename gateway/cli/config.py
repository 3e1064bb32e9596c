"""``edu-gateway config``: settings from the predecessor's configuration."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.legacy_properties import Import, import_properties


@click.group(name="config")
def command() -> None:
    """Settings, and those of the predecessor."""


@command.command()
def page() -> None:
    """Print the page of all settings, as it is in docs/settings.md."""
    from gateway.settings.page import settings_page

    click.echo(settings_page(), nl=False)


def _answers(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    found = {}
    for value in values:
        setting, equals, answer = value.partition("=")
        if not equals or setting.count(".") != 1:
            raise click.BadParameter(f"{value!r}: write SECTION.KEY=VALUE")
        found[setting] = answer
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
def import_(properties: Path, out: Path, answers: dict[str, str], force: bool) -> None:
    """Make a gateway.toml of an integrasjonspunkt-local.properties.

    Prints what was taken over, what needs your answer, and what was ignored and why.
    Passwords go to files of their own beside it. Exit code 1 while answers are missing.
    """
    if out.exists() and not force:
        raise click.UsageError(f"{out} exists; use --force to replace it")
    try:
        result = import_properties(properties.read_bytes(), answers)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    written = _write_secrets(result, out)
    out.write_text(toml_text(result, written, properties.name), encoding="utf-8")
    _tell(result, out)
    sys.exit(1 if result.questions else 0)


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
        key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER),
    )
    for section in sections:
        lines += ["", f"[{section}]"]
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
