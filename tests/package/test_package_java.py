"""The network's own Java library opens and verifies what we build.

Runs where Java and Maven are; the library is fetched once, into Maven's usual place.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from packing import FIXTURES, PASSWORD, document
from test_package_round_trip import DOCUMENTS, packed

from gateway.package import Identity

JAVA = Path(__file__).parent / "java"


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        pytest.skip("Java and Maven are not both installed")
    folder = tmp_path_factory.mktemp("java")
    done = subprocess.run(
        [maven, "-q", "-B", "-f", JAVA / "pom.xml", "dependency:copy-dependencies",
         f"-DoutputDirectory={folder}"],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"Maven cannot fetch commons-asic: {done.stdout[-300:]}")
    return folder


def opened_by_java(libraries: Path, packages: list[Path]) -> list[str]:
    done = subprocess.run(
        ["java", "-cp", str(libraries / "*"), str(JAVA / "OpenedByJava.java"),
         str(FIXTURES / "receiver.p12"), PASSWORD, "receiver", *map(str, packages)],
        capture_output=True, text=True, encoding="utf-8", timeout=50,
        env=os.environ | {"JAVA_TOOL_OPTIONS": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_java_opens_and_verifies_our_package(
    libraries: Path, sender: Identity, receiver: Identity, tmp_path: Path
) -> None:
    documents = [*DOCUMENTS, document("stor Á Ý ÆØÅ €.pdf", os.urandom(3_000_000))]
    package = tmp_path / "sbd.zip"
    package.write_bytes(packed(sender, receiver, documents))
    lines = opened_by_java(libraries, [package])
    assert lines[-2:] == ["signers 1", "verified"], lines
    files = {
        it.rpartition(" ")[0] and it.split(" ", 2)[2]: it.split(" ", 2)[1] for it in lines[:-2]
    }
    assert files.pop("manifest.xml")
    assert files == {it.filename: it.content.sha256 for it in documents}


def test_java_refuses_what_we_would_refuse(
    libraries: Path, sender: Identity, receiver: Identity, tmp_path: Path
) -> None:
    """So that "verified" above means something."""
    package = packed(sender, receiver)
    with zipfile.ZipFile(io.BytesIO(package)) as source:
        sbd, asic = source.read("sbd.json"), bytearray(source.read("asic.zip"))
    asic[len(asic) // 2] ^= 1
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as copy:
        copy.writestr("sbd.json", sbd)
        copy.writestr("asic.zip", bytes(asic))
    (line,) = opened_by_java(libraries, [tmp_path / "bad.zip"])
    assert line.startswith("refused")
