"""Random damage to a package never yields an altered document.

A few hundred cases run always; ``PACKAGE_CORRUPTIONS=6000`` runs as many as asked.
"""

from __future__ import annotations

import io
import os
import random
import zipfile

import pytest
from packing import FIXTURES, MemorySpool, contents
from test_package_round_trip import packed

from gateway.errors import PackageError
from gateway.package import Identity, open_package
from gateway.package.asice import read_container

CASES = int(os.environ.get("PACKAGE_CORRUPTIONS", "400"))


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One kind of damage, as disks, networks and attackers do it."""
    match chance.randrange(5):
        case 0 | 1:
            at = chance.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[: chance.randrange(len(data))]
        case 3:
            at = chance.randrange(len(data))
            size = chance.randrange(1, 64)
            return data[:at] + chance.randbytes(size) + data[at + size :]
        case _:
            start, end = sorted(chance.randrange(len(data)) for _ in range(2))
            return data[:start] + data[end:]


def repacked(package: bytes, asic: bytes) -> io.BytesIO:
    """The same outer zip around another asic.zip, so that its CRC does not hide things."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as source, zipfile.ZipFile(target, "w") as copy:
        copy.writestr("sbd.json", source.read("sbd.json"))
        copy.writestr("asic.zip", asic)
    return target


@pytest.mark.parametrize("origin", ["ours", "java"])
@pytest.mark.parametrize("layer", ["zip", "cms", "asic"])
def test_damage_never_alters_a_document(
    origin: str, layer: str, sender: Identity, receiver: Identity
) -> None:
    package = (
        packed(sender, receiver)
        if origin == "ours"
        else (FIXTURES / "sbd-arkivmelding-v4-javaasic.zip").read_bytes()
    )
    chance = random.Random(f"{origin} {layer}")
    whole = open_package(io.BytesIO(package), identities=[receiver], spool=MemorySpool())
    truth = contents(whole.documents)
    with zipfile.ZipFile(io.BytesIO(package)) as source:
        asic = source.read("asic.zip")
    name = "python-sha256" if origin == "ours" else "commons-asic-0.12.0-sha1"
    clear = (FIXTURES / f"asic-{name}.asice").read_bytes()
    clear_truth = contents(read_container(iter([clear]), MemorySpool()).documents)

    refused = 0
    for _ in range(CASES // 6):
        spool = MemorySpool()
        try:
            if layer == "asic":
                bad = damaged(clear, chance)
                pieces = (bad[at : at + 100] for at in range(0, len(bad), 100))
                assert contents(read_container(pieces, spool).documents) == clear_truth
                continue
            stream = (
                io.BytesIO(damaged(package, chance))
                if layer == "zip"
                else repacked(package, damaged(asic, chance))
            )
            opened = open_package(stream, identities=[receiver], spool=spool)
        except PackageError:
            refused += 1
            assert spool.committed == []
        else:
            assert contents(opened.documents) == truth
            assert opened.signature is not None
            assert opened.signature.orgnr == "910077473"
    assert refused > CASES // 6 * 0.5, "the damage did not reach what matters"
