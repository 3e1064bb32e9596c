"""``edu-gateway check``: is everything in order that a gateway with these settings needs?

May be run while the gateway works and before its first start. It changes nothing.
"""

from __future__ import annotations

import platform
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from gateway import __version__
from gateway.checks.archive import archive_checks
from gateway.checks.clock import Clock
from gateway.checks.endpoint import endpoint_check
from gateway.checks.finding import (
    Check,
    Finding,
    Grade,
    Verdict,
    carry_out,
    for_organisation,
    ok,
)
from gateway.checks.keys import Keys
from gateway.checks.network import NetworkChecks
from gateway.checks.storage import Storage
from gateway.errors import SettingsWrong
from gateway.http import new_client
from gateway.settings import Settings, load_settings

__all__ = ["Finding", "Grade", "run_checks"]


def run_checks(
    config: Path, environment: Mapping[str, str], timeout: float = 10.0
) -> Iterator[Finding]:
    """Every finding as soon as it is there; `timeout` is seconds for each step.

    Settings that are wrong give one finding each, and then there is nothing to go on with.
    """
    yield from carry_out([Check("version", _version, "")])
    try:
        settings = load_settings(config, environment)
    except SettingsWrong as error:
        for problem in error.problems:
            yield Finding("settings", Grade.FAIL, f"{config.name}: {problem}", error.operator)
        yield Finding("others", Grade.SKIP, "not tried because settings failed")
        return
    yield Finding("settings", Grade.OK, f"{config} has all that is needed")
    with new_client(timeout=httpx.Timeout(timeout)) as http:
        yield from carry_out(_checks(settings, http, timeout))


def _checks(settings: Settings, http: httpx.Client, timeout: float) -> Iterator[Check]:
    keys, clock = Keys(settings, http, timeout), Clock()
    network = NetworkChecks(settings, keys, clock, http)
    yield from Storage(settings, timeout).checks()
    yield endpoint_check(settings.listen, timeout)
    yield from keys.checks()
    own = settings.organisation.orgnr
    yield from archive_checks(own, settings.archive, settings.mail, clock, timeout)
    for one in settings.on_behalf_of:
        if one.archive is not None:
            theirs = archive_checks(one.orgnr, one.archive, one.mail, clock, timeout)
            yield from for_organisation(theirs, one.orgnr)
    yield from network.reachable()
    yield clock.check()
    yield from network.admitted()


def _version() -> Verdict:
    return ok(
        f"edu-gateway {__version__}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}, "
        f"{platform.system()} {platform.release()}"
    )
