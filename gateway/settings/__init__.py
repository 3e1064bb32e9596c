"""The settings of one gateway: a TOML file, the environment over it, secrets from files.

`keys` holds every key with what it is for; `docs/settings.md` is made from it.
"""

from gateway.settings.keys import (
    DEFAULT_PROCESS,
    GIB,
    Alerts,
    ArchiveSystem,
    DatabaseServer,
    Listen,
    Mail,
    Messages,
    Network,
    OldKeystore,
    OnBehalfOf,
    Organisation,
    Settings,
    TrustedSigners,
    Web,
)
from gateway.settings.loading import load_settings

__all__ = [
    "DEFAULT_PROCESS",
    "GIB",
    "Alerts",
    "ArchiveSystem",
    "DatabaseServer",
    "Listen",
    "Mail",
    "Messages",
    "Network",
    "OldKeystore",
    "OnBehalfOf",
    "Organisation",
    "Settings",
    "TrustedSigners",
    "Web",
    "load_settings",
]
