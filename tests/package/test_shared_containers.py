"""Containers from upstream, where the shared samples are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from packing import MemorySpool, contents

from gateway.errors import BadContainer, PackageError, SignatureInvalid
from gateway.package.asice import read_container


def container(folder: Path, name: str) -> bytes:
    path = folder / "dpo/asic" / name
    if not path.exists():
        pytest.skip(f"{name} is not among the samples here")
    return path.read_bytes()


@pytest.mark.parametrize("name", ["asic-cades-test-valid.asice", "messageIP2.zip"])
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_genuine_containers_verify(name: str, piece: int, shared_samples: Path) -> None:
    raw = container(shared_samples, name)
    pieces = (raw[at : at + piece] for at in range(0, len(raw), piece))
    found = read_container(pieces, MemorySpool())
    assert found.documents
    assert all(data is not None for _, _, data in contents(found.documents))
    assert found.signature.digest == "sha1"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("asic-cades-test-invalid-signature.asice", SignatureInvalid),
        ("asic-cades-test-invalid-sigreference.asice", SignatureInvalid),
        ("asic-cades-test-invalid-manifest.asice", BadContainer),
        ("asic-cades-test-invalid-metadata-file.asice", BadContainer),
        ("asic-general-test-invalid-mime.asice", BadContainer),
        ("asic-xades-external-digidoc4j.asice", SignatureInvalid),
        ("asic-xades-external-dss.asice", SignatureInvalid),
        ("buggyAsic.asic", BadContainer),
    ],
)
def test_invalid_containers_are_refused(
    name: str, error: type[PackageError], shared_samples: Path
) -> None:
    spool = MemorySpool()
    with pytest.raises(error):
        read_container(iter([container(shared_samples, name)]), spool)
    assert spool.committed == []
