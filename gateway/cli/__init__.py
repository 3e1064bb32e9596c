"""The ``edu-gateway`` command: each subcommand is a thin call of a library function.

Subcommands are imported when they are used, so that ``edu-gateway version`` stays quick.
Exit codes: 0 done, 1 done with findings, 2 wrong use.
"""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "demo": "gateway.cli.demo",
    "run": "gateway.cli.run",
    "check": "gateway.cli.check",
    "echo": "gateway.cli.echo",
    "translate": "gateway.cli.translate",
    "package": "gateway.cli.package",
    "keystore": "gateway.cli.keystore",
    "compare": "gateway.cli.compare",
    "tap": "gateway.cli.tap",
    "config": "gateway.cli.config",
    "messages": "gateway.cli.messages",
    "service": "gateway.cli.service",
    "simulate": "gateway.cli.simulate",
    "version": "gateway.cli.version",
}


class _Lazy(click.Group):
    """Finds ``command`` in the module of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """BEST/EDU archives on the eFormidling network."""
