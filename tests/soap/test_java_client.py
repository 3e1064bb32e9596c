"""A JAX-WS client generated from the live WSDL: the tools most archives were made with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from soap_messages import SOAP_11, RecordingIntake, letter

from gateway.edu.payload import Payload, PayloadKind
from gateway.errors import RegistryUnavailable
from gateway.model import AppReceipt, Envelope

HERE = Path(__file__).parent / "java"
PDF = bytes(range(256)) * 400


class FaultOnDemand(RecordingIntake):
    def put_message(
        self, envelope: Envelope | None, payload: Payload, speaker: str | None = None
    ) -> AppReceipt:
        answer = super().put_message(envelope, payload)
        if envelope is not None and envelope.conversation_id == "c-fault":
            raise RegistryUnavailable("simulated")
        return answer


@pytest.fixture
def intake() -> RecordingIntake:
    return FaultOnDemand()


@pytest.fixture(scope="session")
def class_path(request: pytest.FixtureRequest) -> str:
    """The JAX-WS tools, from Maven's own store; asked for once."""
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on this machine")
    cache = getattr(request.config, "cache", None)
    if cache is None:
        pytest.skip("pytest's cache is off; it keeps where Maven put things")
    kept = cache.get("jaxws/class_path", "")
    if kept and all(Path(part).exists() for part in kept.split(os.pathsep)):
        return str(kept)
    target = cache.mkdir("jaxws") / "class_path.txt"
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath"
    command = ["mvn", "-q", "-B", "-ntp", "-f", str(HERE / "pom.xml"), goal]
    try:
        done = subprocess.run(
            [*command, f"-Dmdep.outputFile={target}"], capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        pytest.skip("Maven has no JAX-WS tools within two minutes")
    if done.returncode != 0:
        pytest.skip("Maven cannot get the JAX-WS tools here")
    found = target.read_text().strip()
    cache.set("jaxws/class_path", found)
    return found


def test_generated_client(
    class_path: str, serve: Callable[..., int], intake: RecordingIntake, tmp_path: Path
) -> None:
    wsdl = f"http://127.0.0.1:{serve()}/noarkExchange?wsdl"
    sources, classes = tmp_path / "src", tmp_path / "classes"
    sources.mkdir()
    classes.mkdir()
    (tmp_path / "letter.xml").write_text(letter(PDF, b"hei"), encoding="utf-8")

    def java(*arguments: str) -> str:
        done = subprocess.run(
            ["java", "-cp", f"{classes}{os.pathsep}{class_path}", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    java("com.sun.tools.ws.WsImport", "-Xnocompile", "-s", str(sources), "-p", "edu.client", wsdl)
    files = [str(path) for path in sources.rglob("*.java")]
    javac = ["javac", "-nowarn", "-encoding", "UTF-8", "-cp", class_path, "-d", str(classes)]
    subprocess.run(
        [*javac, *files, str(HERE / "ArchiveClient.java")],
        check=True,
        capture_output=True,
        timeout=120,
    )
    lines = java("ArchiveClient", wsdl, str(tmp_path / "letter.xml")).splitlines()

    assert lines[:5] == ["can true", "text OK 0", "dom OK 0", "receipt OK 0", "chunked OK 0"]
    assert lines[5].startswith(f"fault {{{SOAP_11}}}Server Midlertidig feil")
    received = {one[0].conversation_id: one for one in intake.received if one[0]}
    for name in ("c-text", "c-dom", "c-chunked"):
        assert received[name][2] == [PDF, b"hei"], name
    receipt = received["c-receipt"][1]
    assert receipt.kind is PayloadKind.APPRECEIPT
    assert receipt.receipt is not None
    assert [(one.code, one.text) for one in receipt.receipt.messages] == [("Recno", "4711")]
