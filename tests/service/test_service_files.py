"""What `service print` prints is taken by systemd, WinSW and compose, and says the right things."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import CliRunner

from gateway.app import STOP_SECONDS
from gateway.cli import main
from gateway.cli.service_files import (
    CONTAINER_USER,
    HEALTH_CHECK,
    Installation,
    compose_file,
    systemd_unit,
    winsw_xml,
)

ROOT = Path(__file__).parents[2]


def installation(at: PurePath, **changes: object) -> Installation:
    """One whose folder has a blank, a percent sign and a letter outside ASCII in its name."""
    home = at / "blå 100% gateway"
    return replace(
        Installation(
            python=home / "venv" / "python",
            config=home / "gateway.toml",
            folder=home / "data",
            also_writable=(home / "stort",),
            also_read=(home / "own.p12", at / "elsewhere" / "ca.pem"),
            host="127.0.0.1",
            port=9093,
            orgnr="910077473",
            version="1.2.3",
        ),
        **changes,  # type: ignore[arg-type]
    )


LINUX = PurePosixPath("/opt")


# --- systemd --------------------------------------------------------------------------


def unit_lines(unit: str) -> list[str]:
    return [line for line in unit.splitlines() if line and not line.startswith("#")]


def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    it = installation(tmp_path)
    Path(it.python).parent.mkdir(parents=True)
    Path(it.python).symlink_to("/bin/true")  # verify looks whether the program is there
    unit = tmp_path / "edu-gateway.service"
    unit.write_text(systemd_unit(it), encoding="utf-8")
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    security = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(unit)], capture_output=True
    )
    assert security.returncode == 0, security.stdout.decode()


def test_the_unit_may_write_to_its_folders_alone_and_gets_time_to_stop() -> None:
    lines = unit_lines(systemd_unit(installation(LINUX)))
    home = "/opt/blå 100%% gateway"
    assert f'ReadWritePaths="{home}/data" "{home}/stort"' in lines
    assert f'ExecStart="{home}/venv/python" -m gateway run --config "{home}/gateway.toml"' in lines
    assert f"EnvironmentFile=-{home}/secrets.env" in lines
    assert f"TimeoutStopSec={STOP_SECONDS}" in lines
    for line in ("ProtectSystem=strict", "ProtectHome=yes", "User=edu-gateway"):
        assert line in lines
    assert "CapabilityBoundingSet=" in lines


def test_the_unit_follows_where_it_lies_and_listens() -> None:
    low = unit_lines(systemd_unit(installation(LINUX, port=443)))
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in low
    at_home = unit_lines(systemd_unit(installation(PurePosixPath("/home/drift"))))
    assert "ProtectHome=read-only" in at_home


# --- WinSW ----------------------------------------------------------------------------

# The elements that WinSW 2 and 3 read, of those that could be meant here.
KNOWN_TO_WINSW = {
    "id", "name", "description", "executable", "argument", "workingdirectory", "startmode",
    "delayedAutoStart", "stoptimeout", "stopparentprocessfirst", "resetfailure", "logpath", "env",
    "onfailure", "log", "sizeThreshold", "keepFiles", "serviceaccount", "username", "domain",
    "user",
}  # fmt: skip


def test_winsw_gets_elements_that_it_knows_with_the_paths_of_windows() -> None:
    it = installation(PureWindowsPath("C:/"))
    text = winsw_xml(it)
    assert text.isascii()
    service = ET.fromstring(text)
    assert service.tag == "service"
    assert {one.tag for one in service.iter()} - {"service"} <= KNOWN_TO_WINSW
    assert service.findtext("executable") == str(it.python)
    assert [one.text for one in service.findall("argument")] == [
        "-m", "gateway", "run", "--config", r"C:\blå 100% gateway\gateway.toml",
    ]  # fmt: skip
    assert service.findtext("stoptimeout") == f"{STOP_SECONDS} sec"
    assert service.findtext("serviceaccount/username") == r"NT AUTHORITY\LocalService"
    assert [one.get("action") for one in service.findall("onfailure")] == ["restart", "restart"]


def test_winsw_tells_which_folders_its_account_needs() -> None:
    text = winsw_xml(installation(PureWindowsPath("D:/gateway")))
    for folder in ("data", "stort", "logs"):
        assert f'gateway\\{folder}" /grant "NT AUTHORITY\\LocalService:(OI)(CI)M"' in text


# --- containers -----------------------------------------------------------------------


def test_compose_mounts_what_the_settings_name_and_writes_to_volumes_alone() -> None:
    it = installation(LINUX)
    gateway = yaml.safe_load(compose_file(it))["services"]["gateway"]
    home = "/opt/blå 100% gateway"
    assert gateway["command"] == ["run", "--config", "/etc/edu-gateway/gateway.toml"]
    assert gateway["volumes"] == [
        {"type": "volume", "source": "documents", "target": "/data"},
        {"type": "bind", "source": home, "target": "/etc/edu-gateway", "read_only": True},
        {"type": "bind", "source": f"{home}/stort", "target": "/etc/edu-gateway/stort"},
        {
            "type": "bind",
            "source": "/opt/elsewhere/ca.pem",
            "target": "/opt/elsewhere/ca.pem",
            "read_only": True,
        },
    ]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["user"] == f"{CONTAINER_USER}:{CONTAINER_USER}"
    assert gateway["stop_grace_period"] == f"{STOP_SECONDS}s"
    assert gateway["ports"] == ["127.0.0.1:9093:9093"]


def test_compose_publishes_the_port_of_the_settings_where_they_bind_it() -> None:
    text = compose_file(installation(LINUX, host="0.0.0.0", port=8080))
    gateway = yaml.safe_load(text)["services"]["gateway"]
    assert gateway["ports"] == ["8080:9093"]
    assert gateway["environment"]["EDU_GATEWAY_LISTEN_PORT"] == "9093"


def test_dollar_signs_are_not_variables_of_compose() -> None:
    text = compose_file(installation(PurePosixPath("/opt/$HOME")))
    assert '"/opt/$$HOME/' in text


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    joined = dockerfile.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_without_root_without_shell_and_checks_its_health() -> None:
    found = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    for word, rest in found:
        if word in ("RUN", "ENTRYPOINT"):
            assert rest.startswith("["), f"{word} {rest}"
    said = dict(found)
    assert said["USER"] == f"{CONTAINER_USER}:{CONTAINER_USER}"
    assert said["VOLUME"] == "/data"
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert yaml.safe_load(said["HEALTHCHECK"].partition("CMD ")[2]) == [
        "python", "-c", HEALTH_CHECK,
    ]  # fmt: skip
    assert any("--require-hashes" in rest for word, rest in found if word == "RUN")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    copied = {rest.split()[0] for word, rest in found if word == "COPY" and "--from" not in rest}
    assert {f"!{one}" for one in copied} <= set(ignored)
    assert all((ROOT / one).exists() for one in copied)


# --- the command ----------------------------------------------------------------------


def test_the_command_prints_for_these_settings(settings_file: Path) -> None:
    for kind, part in (
        ("systemd", f"ReadWritePaths={settings_file.parent}/data"),
        ("winsw", f"<workingdirectory>{settings_file.parent}</workingdirectory>"),
        ("compose", f'source: "{settings_file.parent}"'),
    ):
        done = CliRunner().invoke(main, ["service", "print", kind, "--config", str(settings_file)])
        assert done.exit_code == 0, done.output
        assert part in done.output
        assert "hemmelig" not in done.output


def test_wrong_settings_make_no_service(settings_file: Path) -> None:
    settings_file.write_text(settings_file.read_text().replace("p360", "p361"))
    done = CliRunner().invoke(main, ["service", "print", "systemd", "--config", str(settings_file)])
    assert done.exit_code == 2
    assert "archive.dialect" in done.output
    assert "[Unit]" not in done.output
