"""``edu-gateway check``."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.checks import Finding

_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}
_NAME, _WIDTH = 22, 79


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds for each step that waits for somebody.",
)
def command(config: Path, as_json: bool, timeout: float) -> None:
    """See whether everything is in order that the gateway needs.

    The gateway may be running meanwhile, or not; nothing is changed and no letter is sent.
    Exit code 1: something FAILed.
    """
    from gateway.checks import Grade, run_checks

    findings = []
    for finding in run_checks(config, os.environ, timeout):
        findings.append(finding)
        if not as_json:
            click.echo(_line(finding))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in findings], ensure_ascii=False, indent=2))
    else:
        counted = Counter(one.grade for one in findings)
        click.echo("\n" + ", ".join(f"{counted[grade]} {grade}" for grade in Grade))
    sys.exit(any(one.grade is Grade.FAIL for one in findings))


def _line(finding: Finding) -> str:
    """Grade, name and what was seen in columns; what to do on lines of its own."""
    grade = click.style(f"{finding.grade:4}", fg=_COLOURS.get(finding.grade))
    indent = 4 + 2 + _NAME
    lines = _wrapped(finding.seen, indent)
    if finding.remedy:
        lines += [
            f"→ {one}" if not i else f"  {one}"
            for i, one in enumerate(_wrapped(finding.remedy, indent + 2))
        ]
    if len(finding.name) >= _NAME:
        lines.insert(0, "")
    first, *rest = lines or [""]
    heading = f"{grade}  {finding.name:{_NAME}}{first}".rstrip()
    return "\n".join([heading, *(" " * indent + x for x in rest)])


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), _WIDTH - indent, break_on_hyphens=False)
