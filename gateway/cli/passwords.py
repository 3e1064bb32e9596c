"""Where commands get passwords from: environment, file, or the person; never options."""

from __future__ import annotations

import os
from pathlib import Path

import click

KEYSTORE_PASSWORD = "EDU_GATEWAY_KEYSTORE_PASSWORD"

password_file = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the keystore's password; else {KEYSTORE_PASSWORD}, else you are asked.",
)


def keystore_password(file: Path | None, prompt: str = "Keystore password") -> str:
    """The password from `file` (first line), the environment, or asked without echo."""
    if file is not None:
        lines = file.read_text(encoding="utf-8").splitlines()
        return lines[0] if lines else ""
    if (from_environment := os.environ.get(KEYSTORE_PASSWORD)) is not None:
        return from_environment
    answer: str = click.prompt(prompt, hide_input=True)
    return answer
