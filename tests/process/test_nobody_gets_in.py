"""What a supervisor and its workers put into the file system is theirs, under any umask (P19)."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import tasks
from tests.support.stranger import as_stranger, let_through, takes_a_second_user
from tests.support.supervision import RunningSupervisor, Site

pytestmark = pytest.mark.process
PLACES = 'control_socket = "var/run/s.sock"\npidfile = "var/lib/s.pid"\nmetrics_file = "s.prom"'
#: what a test's own hand put there
OURS = {"taskqueue.toml", "ledger", "supervisor-0.log"}


@pytest.fixture(params=[0o000, 0o027, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of this process, which makes the database, and of all that it starts."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def busy(make_site: Callable[..., Site], umask: int) -> RunningSupervisor:
    """A supervisor that has all its files: workers that wait, and a database that has been written to."""
    if umask & 0o700 and os.geteuid() != 0:
        pytest.skip("under this umask only root can open what it makes")
    site = make_site(supervisor=PLACES)
    site.start()
    assert site.queue.enqueue(tasks.add, 2, 3).result(timeout=20) == 5
    for name in ("s.prom", "tasks.db-wake-default"):  # the FIFO comes when a worker is idle for the first time
        site.supervisor.eventually(lambda _, name=name: (site.folder / name).exists())
    return site.supervisor


def modes(folder: Path) -> dict[str, int]:
    found = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {name: stat.S_IMODE(one.st_mode) for name, one in found.items() if name not in OURS}


def test_nobody_else_may_write_what_it_makes_or_read_what_is_private(busy: RunningSupervisor, umask: int) -> None:
    found = modes(busy.site.folder)
    private = {name: mode for name, mode in found.items() if name.startswith("tasks.db") or name.endswith(".sock")}
    kinds = {name.removeprefix("tasks.db").split("-worker-")[0] for name in private}
    assert kinds >= {"", "-wal", "-shm", "-lock", "-turn", "-wake-default", "var/run/s.sock"}
    assert any("-worker-" in name for name in private)
    assert {name: oct(mode) for name, mode in private.items() if mode & 0o077} == {}
    public = {name: mode for name, mode in found.items() if name not in private}
    assert set(public) == {"var", "var/run", "var/lib", "var/lib/s.pid", "s.prom"}
    assert {name: oct(mode) for name, mode in public.items() if mode & (0o022 | umask)} == {}


@takes_a_second_user
@pytest.mark.parametrize("umask", [0], indirect=True, ids=oct)
def test_another_user_reads_nothing_writes_nothing_and_is_not_heard(busy: RunningSupervisor) -> None:
    folder = busy.site.folder
    let_through(folder)
    database = str(folder / "tasks.db")

    def connect() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(busy.socket))

    def query() -> None:
        sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute("SELECT payload FROM taskqueue_entry").fetchall()

    private = list(folder.rglob("tasks.db*"))
    opens = [lambda path=path, how=how: os.close(os.open(path, how | os.O_NONBLOCK)) for path in private for how in HOW]
    replaces = [lambda path=path: path.unlink() for path in (busy.socket, busy.pidfile)]
    writes = [lambda path=path: path.open("a") for path in (busy.pidfile, folder / "s.prom", folder / "new")]
    assert set(as_stranger(*opens, *replaces, *writes)) == {"PermissionError"}
    assert as_stranger(connect, query, lambda: os.kill(busy.pid, 0)) == [
        "PermissionError",
        "OperationalError",
        "PermissionError",
    ]
    assert as_stranger(busy.pidfile.read_text) == ["done"], "who it is that runs is no secret"
    assert busy.site.queue.enqueue(tasks.add, 2, 3).result(timeout=20) == 5


HOW = (os.O_RDONLY, os.O_WRONLY)
