"""Finds the data folders that travel with the package: ``mappings`` and ``wsdl``."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder `name`, in a checkout or inside the installed wheel.

    Raises FileNotFoundError when the installation is incomplete.
    """
    for candidate in (_PACKAGE / "data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"data folder {name!r} is missing from this installation")
