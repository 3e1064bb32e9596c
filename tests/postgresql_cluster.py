"""A PostgreSQL of our own for the tests: a private cluster on loopback in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import sqlalchemy as sa

_PLACES = ("/usr/lib/postgresql", "/usr/pgsql-16", "/usr/pgsql-15", "/opt/homebrew/opt/postgresql")


def server_programs() -> Path | None:
    """The folder with ``initdb`` and ``postgres``; None when there is no server here."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    candidates = [
        path.parent for place in _PLACES for path in sorted(Path(place).glob("**/bin/initdb"))
    ]
    return candidates[-1] if candidates else None


class Cluster:
    """Started when made. `new_database` gives an empty database each time."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="edu-gateway-postgresql-"))
        # The server refuses to run as root, which is what a container gives us.
        self._user = _other_user() if hasattr(os, "geteuid") and os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        data = self.folder / "data"
        self._run(
            "initdb",
            "--auth=trust",
            "--username=gateway",
            "--encoding=UTF8",
            "--no-sync",
            str(data),
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Begin to answer; also after `halt`."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c max_connections=200"
        options += f" -c unix_socket_directories={self.folder}"
        self._run(
            "pg_ctl", "start", "-w", "-t", "60", "-D", str(self.folder / "data"), "-o", options,
            "-l", str(self.folder / "log"),
        )  # fmt: skip

    def halt(self) -> None:
        """Be gone as after a crash, until `start`."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", str(self.folder / "data"))

    def become_replica(self) -> None:
        """Answer again as one that takes no writes, as after a failover, until `promote`."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.folder / "data"))
        (self.folder / "data" / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        """Take writes again."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self.folder / "data"))

    def url(self, name: str = "postgres") -> str:
        return f"postgresql+psycopg://gateway@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"gateway_{uuid.uuid4().hex[:12]}"
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)

    def stop(self) -> None:
        """Stop the server and remove everything."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}; see {self.folder}")


def _other_user() -> int:
    import pwd  # not on Windows, where nobody is root

    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is nobody else")
