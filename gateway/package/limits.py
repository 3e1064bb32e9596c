"""How much an incoming package may ask of us (dpo-packaging 3.9, 5.7, 6)."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on one package; sizes in bytes."""

    sbd: int = MIB
    sbd_depth: int = 64
    entries: int = 500
    """Each document is an open file until the whole container is proven, and systems
    commonly allow a process 1024."""
    name: int = 255
    metadata: int = MIB
    metadata_together: int = 8 * MIB
    """Manifests and signatures are kept in memory until the last one has come."""
    inflated: int = 2 * 1024 * MIB
    ratio: int = 200
    """Inflated to packed, per entry, asked only of what inflates to more than
    `ratio_from`: an honest scan of a white page packs better than any cap worth having."""
    ratio_from: int = 64 * MIB
    cms_header: int = MIB


DEFAULT_LIMITS = Limits()
