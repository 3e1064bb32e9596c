"""A spool in a folder, and a look at what lies in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.spool import FolderSpool


@pytest.fixture
def spool(tmp_path: Path) -> FolderSpool:
    return FolderSpool(tmp_path / "spool")


@pytest.fixture
def leftovers(spool: FolderSpool) -> Callable[[], list[Path]]:
    return lambda: list(spool.folder.iterdir())
