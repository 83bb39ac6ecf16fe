"""A PgBouncer of a test's own before a PostgreSQL server: Debian's program, at a port of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import sqlalchemy as sa

from tests.support.eventually import eventually
from tests.support.own_servers import free_port, listens, program

CONFIG = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {sessions}
logfile = {folder}/log
"""


class OwnPgbouncer:
    """Leads to the server of `url`, of which it opens so many sessions. Its own `url` is that with another address."""

    def __init__(self, url: str, *, mode: str = "transaction", sessions: int = 2) -> None:
        server = sa.make_url(url)
        self._folder = Path(tempfile.mkdtemp(prefix="tq-bouncer-"))
        listen_port = free_port()
        text = CONFIG.format(
            host=server.query.get("host", server.host),
            port=server.port or 5432,
            user=server.username,
            listen_port=listen_port,
            mode=mode,
            sessions=sessions,
            folder=self._folder,
        )
        (self._folder / "pgbouncer.ini").write_text(text)
        command = [program("pgbouncer"), "-q", str(self._folder / "pgbouncer.ini")]
        if os.geteuid() == 0:  # which it refuses to be
            user = _who_may_open(str(server.query.get("host", "")))
            shutil.chown(self._folder, user)
            command[1:1] = ["-u", user]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        there = server.set(host="127.0.0.1", port=listen_port, query={})
        self.url = there.render_as_string(hide_password=False)
        eventually(lambda: listens(listen_port), what="an answer of PgBouncer")

    def close(self) -> None:
        """End it and remove its files."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _who_may_open(socket: str) -> str:
    return Path(socket).owner() if socket.startswith("/") else "nobody"
