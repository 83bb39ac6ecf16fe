"""A supervisor as a process, in a project's folder: started, asked by its socket, signalled, and looked after.

Everything that it starts stays in its session, whatever group it is in: so what it leaves behind can be found.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from supervisor.pidfile import Pidfile
from taskqueue.app import App
from taskqueue.database import incarnations
from taskqueue.database.sidefile import write_lock_holders
from taskqueue.settings import load
from taskqueue.snapshot import Pool, Slot, Snapshot
from tests.support.eventually import eventually
from tests.support.project import REPOSITORY, STORES, Project

CONFIG = """
[app]
modules = [{modules}]
{app}
[brokers.main]
{stores}
[queue_defaults]
{defaults}
{queues}
[supervisor]
{supervisor}
[logging]
level = "debug"
"""
MODULES = '"tests.support.tasks", "tests.support.mischief"'
TWO_WORKERS = "[queues.default]\nworkers = 2"
PARTS = {"modules": MODULES, "app": "", "stores": STORES, "defaults": "", "queues": TWO_WORKERS, "supervisor": ""}


class Site(Project):
    """A folder with a configuration that asks for workers, and the supervisors that ran there.

    What is not said at `write` is as it was before: `modules`, `app`, `stores`, `defaults`, `queues`, `supervisor`,
    each the text of its tables.
    """

    def __init__(self, folder: Path, **parts: str) -> None:
        self.parts = PARTS | parts
        self.supervisors: list[RunningSupervisor] = []
        self._settle(folder, self._text())
        # Else the first keeper would, and take its time: it imports for it what the tests have imported already.
        self.queue.initialize()

    def _text(self) -> str:
        return CONFIG.format(**self.parts)

    def write(self, **parts: str) -> None:
        """Change the file."""
        self.parts |= parts
        self.config.write_text(self._text())

    @property
    def supervisor(self) -> RunningSupervisor:
        """The last one."""
        return self.supervisors[-1]

    def start(self, *, ready: bool = True, **options: Any) -> RunningSupervisor:
        """Start a supervisor, and wait until all that should run does."""
        supervisor = RunningSupervisor(self, **options)
        self.supervisors.append(supervisor)
        return supervisor.ready() if ready else supervisor

    def attempts(self, handle: Any) -> list[tuple[str, str]]:
        """Those that did not end well: cause and detail."""
        return [(attempt.cause.value, attempt.detail) for attempt in self.queue.task_log.attempts(handle.id)]

    def counters(self, handle: Any) -> tuple[int, int]:
        """How often the task was started, and how often a worker died under it."""
        entry = self.queue.task_log.get(handle.id)
        return entry.attempts, entry.crashes

    def finish(self) -> None:
        """Stop what runs, and see that nothing is left."""
        try:
            for supervisor in reversed(self.supervisors):
                supervisor.end()
            for supervisor in self.supervisors:
                supervisor.nothing_left()
            self.registers_are_empty()
        finally:
            for supervisor in self.supervisors:
                supervisor.clear_away()
                supervisor.show()
            self.close()

    def registers_are_empty(self) -> None:
        """No worker is registered any more, in a store that can be asked."""
        app = App(load(self.config))
        try:
            for database in app.registers:
                assert [one for one in incarnations.alive(database) if one.kind == "worker"] == []
        finally:
            app.close()
        assert list(self.folder.glob("tasks.db-worker-*")) == []
        assert write_lock_holders(*map(str, self.folder.glob("tasks.db*"))) == []


class RunningSupervisor:
    """One supervisor: `pid` is the master's.

    `before` comes before the program, `variables` are more of its environment, `options` go to Popen.
    """

    def __init__(
        self, site: Site, *, before: Sequence[str] = (), variables: Mapping[str, str] = {}, **options: Any
    ) -> None:
        self.site = site
        supervisor = site.app.settings.supervisor
        self.socket, self.pidfile = supervisor.control_socket, supervisor.pidfile
        self.log = site.folder / f"supervisor-{len(site.supervisors)}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "supervisor", "run", "--config", str(site.config)],
                **{
                    "env": {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables},
                    "stdin": subprocess.DEVNULL,
                    "stdout": out,
                    "stderr": out,
                    "start_new_session": True,
                }
                | options,
            )
        self.pid = self.process.pid
        #: it had no chance to tidy up
        self.killed = False
        self._spare: int | None = None

    # What it says

    @property
    def output(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")

    def ask(self, command: str, target: str | None = None, **fields: Any) -> dict[str, Any]:
        """One request by the socket; the answer. Raises OSError if nobody answers."""
        request = {"command": command, "target": target, **fields}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.socket))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        if not line:
            raise ConnectionResetError("no answer")
        return json.loads(line)

    def tell(self, command: str, target: str | None = None, **fields: Any) -> str:
        """A command that must succeed; its message."""
        answer = self.ask(command, target, **fields)
        assert answer["ok"], answer
        return str(answer["message"])

    @property
    def status(self) -> Snapshot:
        """What it says of itself."""
        return msgspec.convert(self.ask("status")["snapshot"], Snapshot)

    def pool(self, name: str = "default") -> Pool:
        """One pool of the status."""
        return next(pool for pool in self.status.pools if pool.name == name)

    def slot(self, index: int = 0, pool: str = "default") -> Slot:
        """One slot's present process."""
        return next(slot for slot in self.pool(pool).slots if slot.index == index and slot.state != "stopping")

    def pids(self, pool: str = "default") -> list[int]:
        """Of the pool's processes that are up, by slot."""
        return up(self.status, pool)

    @property
    def keeper(self) -> int:
        """The keeper's process."""
        return self.pids("keeper")[0]

    def runs(self, handle: Any, *, times: int = 1) -> int:
        """Wait until the task runs for that time; the process that runs it."""
        return int(self.site.started(handle, times)[times - 1][4])

    # Waiting for it

    def ready(self) -> RunningSupervisor:
        """Wait until everything that should be up is, and nothing else."""
        eventually(self.is_settled, within=30, what="a settled supervisor")
        if self._spare is None:
            self._spare = self.spare_descriptors()
        return self

    def is_settled(self) -> bool:
        """Everything that should be up is, and nobody else is there."""
        assert self.process.poll() is None, f"the supervisor has left:\n{self.output}"
        try:
            return settled(self.status)
        except OSError:
            return False  # it has not begun to listen

    def says(self, text: str, *, times: int = 1) -> None:
        """Wait until the log has it."""
        eventually(lambda: self.output.count(text) >= times, what=f"{text!r} in the log")

    def eventually(self, condition: Callable[[Snapshot], Any], *, within: float = 20.0, what: str = "") -> Any:
        """Wait until the status is so."""

        def answer() -> Any:
            try:
                return condition(self.status)
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.process.poll() is None, f"the supervisor has left:\n{self.output}"
                return None  # it has not begun to listen

        return eventually(answer, within=within, what=what)

    def replaced(self, *pids: int, pool: str = "default") -> list[int]:
        """Wait until the pool is complete without these; its processes."""

        def others() -> list[int]:
            status = self.status
            found = up(status, pool)
            return found if settled(status) and not set(found) & set(pids) else []

        return eventually(others, what=f"a pool without {pids}")

    def wait(self, seconds: float = 30.0) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the supervisor did not leave within {seconds:g} s:\n{self.output}") from None

    # What is done to it

    def send(self, *names: str) -> None:
        """Signals to the master."""
        for name in names:
            os.kill(self.pid, getattr(signal, name))

    def stop(self) -> int:
        """TERM, and its exit code."""
        self.send("SIGTERM")
        return self.wait()

    def kill(self) -> None:
        """KILL, to the master alone."""
        self.killed = True
        self.process.kill()
        self.process.wait(10)

    # What it is and leaves

    @property
    def master(self) -> psutil.Process:
        return psutil.Process(self.pid)

    def spare_descriptors(self) -> int:
        """How many descriptors the master has beside two for each child, and those of this very question."""
        return int(self.master.num_fds()) - 2 * len(self.master.children())

    def zombies(self) -> list[psutil.Process]:
        """Children that nobody has reaped yet."""
        return [child for child in self.master.children() if child.is_running() and is_gone(child)]

    def session(self) -> Iterator[int]:
        """Every process that it has started, zombies too."""
        for pid in psutil.pids():
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.process.pid:
                    yield pid

    def end(self) -> None:
        """End it in good order, if it runs."""
        if self.process.poll() is None:
            if self._spare is not None:
                eventually(lambda: self.spare_descriptors() <= self._spare, what="no more descriptors than at first")
            eventually(lambda: not self.zombies(), what="every dead child reaped")
            assert self.stop() == 0, self.output

    def nothing_left(self) -> None:
        """No process, no zombie, no socket, no pidfile, no lock."""
        eventually(lambda: not list(self.session()), what="an empty session")
        if not self.killed and self is self.site.supervisors[-1]:
            assert not self.socket.exists()
            assert not self.pidfile.exists()
        pidfile = Pidfile(self.pidfile)
        pidfile.take()
        pidfile.leave()
        assert "Traceback" not in self.output, self.output

    def clear_away(self) -> None:
        """After a test that went wrong: end what is left."""
        for pid in [*self.session(), *([] if self.process.poll() is not None else [self.process.pid])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    def show(self) -> None:
        """Print its log: pytest shows it where a test failed."""
        sys.stdout.write(f"--- {self.log.name}\n{self.output}\n")


def settled(status: Snapshot) -> bool:
    """Everything that should be up is, and nobody else is there."""
    return not status.degraded and all(slot.state == "up" for slot in status.slots)


def up(status: Snapshot, pool: str = "default") -> list[int]:
    """The pool's processes that are up, by slot."""
    return [slot.pid for slot in status.slots if slot.pool == pool and slot.state == "up" and slot.pid]


def is_gone(process: psutil.Process) -> bool:
    """It has ended, be it reaped or not: an orphan's is process 1's business."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
