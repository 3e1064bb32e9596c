"""``edu-gateway tap``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import httpx

from gateway.cli.logs import LEVELS, log_to_stderr, stop_asked
from gateway.cli.mask_key import read_masks
from gateway.errors import ConfigurationError
from gateway.http import new_client, tls_context
from gateway.tap.mirror import Mirror
from gateway.tap.recorder import Counts
from gateway.tap.recording import Recording
from gateway.tap.relay import Target
from gateway.tap.tap import Tap
from gateway.translate import load_mapping

_MIRROR_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
_SWITCH = 0.0005
"""Seconds after which a thread that computes lets the traffic's thread in."""


def _address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{value!r}: write HOST:PORT, or just PORT for loopback")
    return host.strip("[]") or "127.0.0.1", int(port)


@click.command()
@click.option(
    "--listen",
    required=True,
    callback=_address,
    metavar="HOST:PORT",
    help="Where the archive calls; 0.0.0.0:PORT is every address of this machine.",
)
@click.option("--to", required=True, metavar="URL", help="The endpoint; its path is not used.")
@click.option(
    "--record",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for what passes; may be one that was recorded into before.",
)
@click.option(
    "--mask-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Record personal data masked with the key in this file (at least 16 bytes).",
)
@click.option(
    "--mirror",
    "mirror_url",
    metavar="URL",
    help="A TEST endpoint, full address, that is asked the same.",
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Further trusted authorities as PEM, for https.",
)
@click.option("--profile", default="faithful", show_default=True, help="For our translation.")
@click.option("--system", default="p360", show_default=True, help="The archive system's name.")
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
)
def command(
    listen: tuple[str, int],
    to: str,
    folder: Path,
    mask_key_file: Path | None,
    mirror_url: str | None,
    ca_file: Path | None,
    profile: str,
    system: str,
    log_level: str,
) -> None:
    """Stand in front of an endpoint, hand everything through unchanged, and record it.

    The recording is a folder for `edu-gateway compare` and `translate`. Whatever happens
    to it, the traffic goes on. Runs until it is stopped.
    """
    log_to_stderr(log_level)
    sys.setswitchinterval(_SWITCH)
    counts = Counts()
    try:
        target = Target.of(to, tls_context(ca_file))
        recording = Recording(folder, load_mapping(profile), system, read_masks(mask_key_file))
    except ConfigurationError as error:
        raise click.UsageError(error.detail) from error
    except OSError as error:
        raise click.UsageError(f"--record or --ca-file: {error}") from error
    client = new_client(ca_file, timeout=_MIRROR_TIMEOUT)
    mirror = None
    if mirror_url is not None:
        mirror = Mirror(mirror_url, client, recording, counts)
    tap = Tap(*listen, target, recording, counts, mirror)
    try:
        tap.start()
    except OSError as error:
        raise click.UsageError(f"cannot listen on {listen[0]}:{listen[1]}: {error}") from error
    click.echo(f"listening on {listen[0]}:{tap.port}, handing through to {to}")
    stop = stop_asked()
    while not stop.wait(0.5):  # in steps, so that Ctrl-C works on Windows
        pass
    tap.stop()
    client.close()
    click.echo(f"since the start: {counts}")
