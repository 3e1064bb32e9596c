"""``edu-gateway simulate``: the simulators, each to be used alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Run a simulated network for trials and tests."""


def _organisation(text: str) -> tuple[str, str]:
    orgnr, _, name = text.partition(":")
    if len(orgnr) != 9 or not orgnr.isdigit():
        raise click.BadParameter(f"{text!r}: nine digits, then a colon and a name")
    return orgnr, name or f"Organisasjon {orgnr}"


@command.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, help="Port; 0 for any free one.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keeps keys and packages over restarts. A temporary one when not given.",
)
@click.option(
    "--org",
    "organisations",
    multiple=True,
    metavar="ORGNR[:NAME]",
    help="A participant; may be repeated. More can be added over POST /_sim/organisations.",
)
@click.option("--scan-delay", default=0.0, show_default=True, help="Seconds of virus scan.")
@click.option("--rate-limits", is_flag=True, help="Answer 429 as Altinn does.")
@click.option("--tls", is_flag=True, help="Speak HTTPS; the CA file's place is printed.")
@click.option("--unsigned", is_flag=True, help="Registry answers are plain JSON.")
def network(
    host: str,
    port: int,
    folder: Path | None,
    organisations: tuple[str, ...],
    scan_delay: float,
    rate_limits: bool,
    tls: bool,
    unsigned: bool,
) -> None:
    """Altinn 3 Broker, Maskinporten and the address registry on loopback.

    Prints what a gateway is configured with, one line of JSON each, and runs until it is
    interrupted. It is controlled over /_sim/.
    """
    from gateway.simulators.network import Network
    from gateway.simulators.network.control import describe_organisation

    participants = [_organisation(text) for text in organisations]
    simulated = Network(
        folder,
        host=host,
        port=port,
        scan_delay=scan_delay,
        rate_limits=rate_limits,
        sign=not unsigned,
        tls=tls,
        keep_transfers=folder is not None,
    )
    with simulated:
        place = {"url": simulated.url, "ca_file": str(simulated.ca_file)}
        click.echo(json.dumps({**place, **vars(simulated.environment)}))
        for orgnr, name in participants:
            organisation = simulated.add_organisation(orgnr, name)
            click.echo(json.dumps(describe_organisation(organisation)))
        try:
            forever = threading.Event()
            while not forever.wait(1.0):  # in steps, so that Ctrl-C works on Windows
                pass
        except KeyboardInterrupt:
            click.echo("stopped")
