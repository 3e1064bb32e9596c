"""``edu-gateway keystore``: look into keystores, and convert the old Java ones."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.certificates import convert_jks, fingerprint, load_keystore
from gateway.cli.passwords import keystore_password, password_file
from gateway.errors import ConfigurationError

NEW_PASSWORD = "EDU_GATEWAY_NEW_KEYSTORE_PASSWORD"
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(name="keystore")
def command() -> None:
    """Look into keystores, and convert the old Java ones."""


@command.command()
@click.argument("jks", type=_EXISTING)
@click.argument("pkcs12", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--alias", help="Which key; needed when there are several.")
@password_file
def convert(jks: Path, pkcs12: Path, alias: str | None, password_file: Path | None) -> None:
    """Make the file PKCS12 of a Java keystore JKS, once.

    The new file's password is EDU_GATEWAY_NEW_KEYSTORE_PASSWORD, or asked for twice.
    """
    if pkcs12.exists():
        raise click.UsageError(f"{pkcs12} exists already; it is left alone.")
    old = keystore_password(password_file, f"Password of {jks.name}")
    new = os.environ.get(NEW_PASSWORD) or click.prompt(
        f"Password for {pkcs12.name}", hide_input=True, confirmation_prompt=True
    )
    try:
        data = convert_jks(jks.read_bytes(), old, alias, new)
    except ConfigurationError as error:
        raise click.ClickException(error.detail) from error
    # Readable by its owner alone from the first byte, where the system knows of such.
    descriptor = os.open(
        pkcs12, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600
    )
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    identity = load_keystore(pkcs12, new)
    click.echo(f"{pkcs12}: key of organisation {identity.orgnr}, alias kept. Delete {jks} now.")


@command.command()
@click.argument("keystore", type=_EXISTING)
@click.option("--alias", help="Which key; needed when there are several.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@password_file
def show(keystore: Path, alias: str | None, as_json: bool, password_file: Path | None) -> None:
    """Whose key is in KEYSTORE, and how long its certificate lasts."""
    try:
        identity = load_keystore(keystore, keystore_password(password_file), alias)
    except ConfigurationError as error:
        raise click.ClickException(error.detail) from error
    certificate = identity.certificate
    days = identity.days_left(datetime.now(UTC))
    facts = {
        "orgnr": identity.orgnr,
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": str(certificate.serial_number),
        "sha256": fingerprint(certificate),
        "expires": certificate.not_valid_after_utc.isoformat(),
        "days_left": days,
        "chain": [it.subject.rfc4514_string() for it in identity.chain],
    }
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        for name, value in facts.items():
            click.echo(f"{name:10} {'; '.join(value) if isinstance(value, list) else value}")
    if days < 0:
        raise SystemExit(1)
