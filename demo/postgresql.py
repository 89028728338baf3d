"""A PostgreSQL server of a stack's own, from whatever server programs this machine has.

The server refuses to run as root (https://www.postgresql.org/docs/current/postgres-user.html); then it
runs as ``postgres`` or ``nobody``, who must be let through to its folder.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo import processes
from demo.processes import Service

PROGRAM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
"""Where Debian, Red Hat and Homebrew keep what is on nobody's PATH."""

ACCOUNT = "airflow"
DATABASE = "postgres"
START_TIMEOUT_S = 60

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    # A scheduler that is killed leaves its connection to the workers that it has forked; what it had locked
    # would stay locked, and its DAG runs would stand still, for as long as they live (Airflow 3.3.2).
    "idle_in_transaction_session_timeout": "30s",
    # It is thrown away; killed processes lose nothing, a power cut would.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class PostgresqlError(Exception):
    """The server cannot be set up; says what it printed."""


def programs() -> Path | None:
    """Folder of the newest server programs, or None where there are none."""
    found = [
        folder
        for pattern in PROGRAM_FOLDERS
        for folder in Path("/").glob(pattern.lstrip("/"))
        if (folder / "initdb").exists()
    ]
    if found:
        return max(found, key=lambda folder: [int(part) for part in _numbers(folder)])
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _numbers(folder: Path) -> list[str]:
    return "".join(char if char.isdigit() else " " for char in str(folder)).split()


@dataclass(frozen=True, slots=True)
class Postgresql:
    """One server with its data below ``home``.

    Attributes:
        home: The stack's home; the server writes below ``postgresql/`` there.
        port: On loopback.
        password: Of the one account.
    """

    home: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """As SQLAlchemy takes it."""
        return f"postgresql+psycopg2://{ACCOUNT}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.home / "postgresql" / "data"

    def initialise(self, environment: Mapping[str, str]) -> None:
        """Make the data directory, once.

        Raises:
            PostgresqlError: there are no programs, or they fail.
        """
        if (self.data / "PG_VERSION").exists():
            return
        folder, user = self.home / "postgresql", _user()
        folder.mkdir(mode=0o700, exist_ok=True)
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        if user is not None:
            for path in (folder, password):
                shutil.chown(path, user)
            _let_through(self.home, user)
        command = [str(_programs() / "initdb"), "--pgdata", str(self.data), "--username", ACCOUNT]
        command += ["--auth", "scram-sha-256", "--pwfile", str(password)]
        command += ["--encoding", "UTF8", "--locale", "C", "--no-sync"]
        done = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **processes.as_user(user),
        )
        password.unlink()
        if done.returncode:
            raise PostgresqlError(f"initdb failed:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")

    def start(self, environment: Mapping[str, str]) -> Service:
        """Start the server; it takes connections once :meth:`ready` says so."""
        # What a killed server left; each of its processes has ended by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        command = [str(_programs() / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in OPTIONS.items():
            command += ["-c", f"{name}={value}"]
        # Fast shutdown: SIGTERM waits for every client to leave.
        return processes.start(
            "postgresql",
            command,
            environment=environment,
            home=self.home,
            user=_user(),
            stop_signal=signal.SIGINT,
        )

    def ready(self) -> bool:
        """Whether the server takes connections."""
        import psycopg

        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
            psycopg.connect(
                host="127.0.0.1",
                port=self.port,
                user=ACCOUNT,
                password=self.password,
                dbname=DATABASE,
                connect_timeout=2,
            ).close()
        except (OSError, psycopg.OperationalError):
            return False
        return True


def _programs() -> Path:
    folder = programs()
    if folder is None:
        raise PostgresqlError(
            "no PostgreSQL server is installed; as root on Debian: scripts/packages postgresql"
        )
    return folder


def _user() -> str | None:
    """Whom the server runs as; None for the user that we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgresqlError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def _let_through(home: Path, user: str) -> None:
    """Let the server's user pass to what is its own below ``home``; it still cannot list it."""
    for folder in (home, home.parent):
        folder.chmod(folder.stat().st_mode | 0o001)
    closed = next((folder for folder in home.parents if not folder.stat().st_mode & 0o001), None)
    if closed is not None:
        raise PostgresqlError(f"user {user!r} may not pass {closed}; keep the stack below another folder")
