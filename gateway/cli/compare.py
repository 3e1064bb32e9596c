"""``edu-gateway compare``: what two systems made of the same letters."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.certificates import load_keystore
from gateway.cli.compare_run import RESULTS, SUMMARY, Run, Side
from gateway.cli.compare_sources import (
    ARKIVMELDING,
    CONTAINER,
    MELDING,
    PACKAGE,
    UNKNOWN,
    LetterReader,
    Source,
    find_sources,
)
from gateway.cli.mask_key import read_masks
from gateway.cli.passwords import keystore_password, password_file
from gateway.compare import SAME, Names, RuleBook, build_names, load_rules
from gateway.compare.summary import Summary, unused_rules
from gateway.errors import ConfigurationError
from gateway.resources import data_folder
from gateway.translate import Mapping, load_mapping

TRANSLATE = "translate"
_RESULT = "compare-result"
_NETWORK_SIDE = (ARKIVMELDING, PACKAGE, CONTAINER)


@click.group(name="compare")
def command() -> None:
    """Compare what two systems made of the same letters, field by field."""


def _switch(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, bool]:
    switches = {}
    for value in values:
        name, _, state = value.partition("=")
        if state not in ("on", "off"):
            raise click.BadParameter(f"{value!r}: write NAME=on or NAME=off")
        switches[name] = state == "on"
    return switches


@command.command()
@click.option(
    "--left",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="The yardstick: what the system of today made, or what was recorded.",
)
@click.option(
    "--right",
    required=True,
    help="What it is held against; 'translate' is our translation of the left side.",
)
@click.option(
    "--out",
    default=_RESULT,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results; a second run into it shows what changed.",
)
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rules that explain differences.  [default: mappings/compare.toml]",
)
@click.option("--profile", default="faithful", show_default=True, help="For our translation.")
@click.option("--switch", "switches", multiple=True, callback=_switch, metavar="NAME=on|off")
@click.option(
    "--mappings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with mapping files for our translation.",
)
@click.option("--dialect", help="p360, ephorte or websak, when it is not clear from the letters.")
@click.option("--metadata-only", is_flag=True, help="Do not look at documents, nor require them.")
@click.option(
    "--keystore",
    "keystores",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PKCS12 or PEM that opens packages; repeat it for the previous one.",
)
@password_file
@click.option(
    "--mask-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Mask one side as the tap has masked the other; the key that it was given.",
)
@click.option(
    "--mask-side", type=click.Choice(["left", "right"]), default="left", show_default=True
)
def run(
    left: Path,
    right: str,
    out: Path,
    rules_file: Path | None,
    profile: str,
    switches: dict[str, bool],
    mappings: Path | None,
    dialect: str | None,
    metadata_only: bool,
    keystores: tuple[Path, ...],
    password_file: Path | None,
    mask_key_file: Path | None,
    mask_side: str,
) -> None:
    """Compare two folders, or a folder with our translation of it.

    A side of recorded PutMessages is translated by us when the other side holds
    arkivmeldinger. Exit code 1 when something differs and no rule explains it.
    """
    try:
        book = read_rules(rules_file)
        translation = load_mapping(profile, mappings, switches)
        masks = read_masks(mask_key_file)
        names = standard_names()
        identities = tuple(
            load_keystore(path, keystore_password(password_file)) for path in keystores
        )
    except ConfigurationError as error:
        raise click.UsageError(error.detail) from error
    reader = {
        "names": names,
        "book": book,
        "schemas": translation,
        "now": datetime.now(UTC),
        "metadata_only": metadata_only,
        "dialect": dialect,
        "identities": identities,
    }
    one, other, how = _sides(left, right, reader, translation)
    if masks is not None:
        (one if mask_side == "left" else other).reader.masks = masks
        how += f"; {mask_side} is masked"
    click.echo(how, err=True)
    work = Run(out, book, names)
    began = time.perf_counter()
    files = len(one.sources) + len(other.sources)
    with click.progressbar(length=files, label="Comparing", file=sys.stderr) as bar:
        work.compare(one, other, lambda: bar.update(1))
    seconds = time.perf_counter() - began
    work.save(
        {
            "left": str(left),
            "right": right,
            "how": how,
            "profile": profile,
            "switches": dict(translation.switches),
            "rules": str(rules_file) if rules_file else None,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
        }
    )
    _tell(work, book, seconds, files)
    sys.exit(1 if work.summary.statuses["different"] or work.summary.statuses["failed"] else 0)


def read_rules(path: Path | None) -> RuleBook:
    """The rule file, ours when None."""
    path = path or data_folder("mappings") / "compare.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return load_rules(text, path.name, SAME)


def standard_names() -> Names:
    """Names from our own mapping files, whatever mapping is being tried."""
    return build_names([load_mapping("faithful").profile, load_mapping("rich").profile])


def _sides(
    left: Path, right: str, reader: dict[str, Any], translation: Mapping
) -> tuple[Side, Side, str]:
    """Both sides, and one line that says how they are read."""
    ours = f"our translation ({translation.name})"
    sources = tuple(find_sources(left))

    def side(label: str, own: tuple[Source, ...], translated: bool) -> Side:
        if not any(source.kind != UNKNOWN for source in own):
            raise click.UsageError(f"{label}: there are no letters in it")
        made = LetterReader(**reader, translation=translation if translated else None)
        return Side(label, own, made)

    if right == TRANSLATE:
        letters = tuple(source for source in sources if source.kind == MELDING)
        others = tuple(source for source in sources if source.kind in _NETWORK_SIDE)
        if others:
            how = f"left: arkivmeldinger in {left}; right: {ours} of the letters there"
            return side("left", others, False), side("right", letters, True), how
        how = f"left: letters in {left} as they were sent; right: {ours}"
        return side("left", letters, False), side("right", letters, True), how
    if not Path(right).exists():
        raise click.UsageError(f"--right: {right} does not exist")
    others = tuple(find_sources(Path(right)))
    left_sent, right_sent = _only_letters(sources), _only_letters(others)
    translate_left = left_sent and not right_sent
    translate_right = right_sent and not left_sent
    how = (
        f"left: {ours + ' of ' if translate_left else ''}{left}; "
        f"right: {ours + ' of ' if translate_right else ''}{right}"
    )
    return (
        side("left", sources, translate_left),
        side("right", others, translate_right),
        how,
    )


def _only_letters(sources: Sequence[Source]) -> bool:
    kinds = {source.kind for source in sources}
    return MELDING in kinds and not kinds & set(_NETWORK_SIDE)


def _tell(work: Run, book: RuleBook, seconds: float, files: int) -> None:
    summary = work.summary
    counts = summary.statuses
    click.echo(
        f"{summary.letters} messages   {counts['equal']} equal   {counts['explained']} explained"
        f"   {counts['different']} different   {counts['failed']} failed"
    )
    rate = files / seconds if seconds else 0
    click.echo(f"{files} files in {seconds:.1f} s ({rate:.0f}/s); results in {work.out}")
    worst = worst_fields(summary)
    for field, kinds in worst[:15]:
        click.echo(f"  {field:40} {kinds}")
    if len(worst) > 15:
        click.echo(f"  … and {len(worst) - 15} more fields")
    for failure in work.failures[:10]:
        click.echo(f"  failed: {failure}")
    if len(work.failures) > 10:
        click.echo(f"  … and {len(work.failures) - 10} more failures")
    if work.changes or (work.out / "changes.jsonl").exists():
        click.echo(f"since the last run: {work.changes['new']} new, {work.changes['gone']} gone")
    unused = unused_rules(summary, book)
    if unused:
        click.echo(f"rules that explained nothing: {', '.join(unused)}")


def worst_fields(summary: Summary) -> list[tuple[str, str]]:
    """Fields with unexplained differences, most letters first, and the kinds with counts."""
    found = []
    for pattern, dialects in summary.cells.items():
        kinds: dict[str, int] = {}
        for cell in dialects.values():
            for kind, count in cell.items():
                if kind.endswith("!"):
                    kinds[kind[:-1]] = kinds.get(kind[:-1], 0) + count
        if kinds:
            text = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            found.append((sum(kinds.values()), pattern, text))
    found.sort(key=lambda it: (-it[0], it[1]))
    return [(pattern, text) for _, pattern, text in found]


@command.command()
@click.argument(
    "result", default=_RESULT, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["html", "csv", "json", "junit"]),
    help="Repeat it; all if left out.",
)
@click.option(
    "--out", default="report", show_default=True, type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--rules", "rules_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def report(result: Path, formats: tuple[str, ...], out: Path, rules_file: Path | None) -> None:
    """Write reports of the run in RESULT: pages for people, tables for machines."""
    from gateway.cli.compare_report import write_reports

    for needed in (RESULTS, SUMMARY):
        if not (result / needed).is_file():
            raise click.UsageError(f"{result} holds no {needed}; was `compare run` done?")
    facts = json.loads((result / SUMMARY).read_text(encoding="utf-8"))
    if rules_file is None and facts.get("rules"):
        rules_file = Path(facts["rules"])
    try:
        book = read_rules(rules_file)
        written = write_reports(result, facts, out, formats, book, standard_names())
    except ConfigurationError as error:
        raise click.UsageError(error.detail) from error
    for path in written:
        click.echo(path)
