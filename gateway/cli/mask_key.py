"""The masking that commands use: our list of fields, the operator's key."""

from __future__ import annotations

from pathlib import Path

from gateway.masks import Masks, load_masks
from gateway.resources import data_folder


def read_masks(key_file: Path | None) -> Masks | None:
    """Masking with the key in `key_file`; None without one. Raises `ConfigurationError`."""
    if key_file is None:
        return None
    fields = data_folder("mappings") / "masking.toml"
    return load_masks(fields.read_text(encoding="utf-8"), key_file.read_bytes().strip())
