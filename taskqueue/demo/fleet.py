"""The demo's supervisor: `supervisor run` as a process of its own, with what it says of its workers.

It is asked through its control socket, as `supervisor status` does. This package knows nothing else of it: it stands on
`taskqueue`, and is started by its command.
"""

from __future__ import annotations

import json
import os
import signal as signals
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Self

import msgspec
import psutil

import taskqueue
from taskqueue.errors import EXIT_FAILED, TaskQueueError
from taskqueue.settings.load import VARIABLE

#: seconds that all have to leave before they are killed; more than [supervisor] grace
PATIENCE = 15.0
#: seconds that an answer may take
ANSWER = 10.0
#: of a socket's path, on every system
MOST_BYTES = 100
#: so many deaths that nobody ordered are too many
MAX_DEATHS = 5


class Slot(msgspec.Struct, frozen=True):
    """A worker's place, as the supervisor tells of it."""

    name: str
    pool: str
    index: int
    state: str
    pid: int | None = None
    activity: str = ""
    task_id: str = ""
    restarts: int = 0
    note: str = ""

    def __str__(self) -> str:
        return f"{self.pool}/{self.index} (pid {self.pid})"


class Pool(msgspec.Struct, frozen=True):
    """Workers of one kind."""

    kind: str
    slots: tuple[Slot, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """The whole, at one moment."""

    pools: tuple[Pool, ...] = ()

    @property
    def workers(self) -> list[Slot]:
        """All but the keeper."""
        return [slot for pool in self.pools if pool.kind != "keeper" for slot in pool.slots]

    def ready(self, number: int) -> bool:
        """Whether so many workers are there, and no others."""
        return [slot.state for slot in self.workers] == ["up"] * number

    @property
    def paused(self) -> bool:
        """Whether no worker has a task, or will start one."""
        return all(slot.activity == "paused" for slot in self.workers)


class Fleet:
    """One supervisor with its workers. A context manager: at its end no process is left."""

    def __init__(self, config: Path, control: Path, log: Path) -> None:
        self._config = config
        self._control = control
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._known: dict[int, psutil.Process] = {}
        #: the processes that each worker's place has had, by its name
        self.history: defaultdict[str, list[int]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The supervisor's own."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it. It leaves if this process is killed, and Ctrl-C in a terminal is for this process alone."""
        with self._log.open("wb") as out:
            tethered = ["supervisor.tether", str(os.getpid()), sys.executable, "-m"]
            self._process = self._run([*tethered, "supervisor", "run"], out.fileno(), os.environ)

    def look(self) -> Seen:
        """What it says; nothing as long as it starts. Raises TaskQueueError if it has ended, or workers cannot live."""
        self._check()
        try:
            seen = msgspec.convert(self._ask("status")["snapshot"], Seen)
        except (FileNotFoundError, ConnectionRefusedError):
            return Seen()
        except (OSError, ValueError, KeyError) as error:
            self._check()
            raise TaskQueueError(
                f"the supervisor (pid {self.pid}) does not answer: {error!r}; see {self._log}"
            ) from error
        self._remember(seen)
        return seen

    def status(self, width: int) -> str:
        """What a person sees who types `supervisor status` at a terminal of so many columns."""
        ours, theirs = os.openpty()
        environment = {"TERM": "xterm-256color", **os.environ, "COLUMNS": str(width)}
        with os.fdopen(ours, "rb", buffering=0) as screen:
            try:
                program = self._run(["supervisor", "status"], theirs, environment)
            finally:
                os.close(theirs)
            with program:
                return b"".join(_read(screen)).decode(errors="replace")

    def signal(self, number: int) -> None:
        """As `kill -NUMBER` with the supervisor's process id."""
        self._check()
        if self._process:
            self._process.send_signal(number)

    def kill_at_work(self) -> Slot | None:
        """Kill a worker in the middle of a task, and say which; None if none could be caught at it."""
        for slot in self.look().workers:
            process = self._known.get(slot.pid or 0)
            if process is None or not slot.task_id:
                continue
            with suppress(psutil.NoSuchProcess):
                process.suspend()  # it cannot end its task while we look
                now = next((worker for worker in self.look().workers if worker.pid == slot.pid), None)
                if now is not None and now.task_id:
                    process.kill()
                    return now
                process.resume()
        return None

    def stop(self) -> int:
        """End all: by TERM, as an operator would, and after a while by KILL; the supervisor's exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        family = [*self._known.values()]
        with suppress(psutil.NoSuchProcess):
            family += psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = EXIT_FAILED
        finally:  # however impatient the person at the terminal
            process.kill()
            process.wait()
            _kill(family)
            with suppress(OSError):  # as a supervisor leaves it that was killed
                self._control.unlink()
        return code

    def _run(self, module: Sequence[str], out: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  # nosec B603  # our own command, from our own Python
            [sys.executable, "-m", *module],
            # Whence -m finds the very package that runs here.
            cwd=Path(taskqueue.__file__).parents[1],
            env={**environment, VARIABLE: str(self._config)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            process_group=0,
        )

    def _check(self) -> None:
        code = self._process.poll() if self._process else None
        if code is None:
            return
        how = f"was killed by {signals.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise TaskQueueError(f"the supervisor {how}; it said last: {said[0]}")

    def _ask(self, command: str) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER)
            connection.connect(str(self._control))
            connection.sendall(json.dumps({"command": command}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer: dict[str, object] = json.loads(answers.readline())
        return answer

    def _remember(self, seen: Seen) -> None:
        for pool in seen.pools:
            for slot in pool.slots:
                self._meet(slot, worker=pool.kind != "keeper")
        if (deaths := sum(slot.restarts for slot in seen.workers)) > MAX_DEATHS:
            note = next((slot.note for slot in seen.workers if slot.note), "nothing")
            raise TaskQueueError(f"workers cannot live here: {deaths} died; the last: {note}; see {self._log}")

    def _meet(self, slot: Slot, *, worker: bool) -> None:
        if slot.pid is None or slot.pid in self._known:
            return
        with suppress(psutil.NoSuchProcess):
            self._known[slot.pid] = psutil.Process(slot.pid)
            if worker:
                self.history[slot.name].append(slot.pid)


def _read(screen: FileIO) -> Iterator[bytes]:
    with suppress(OSError):  # how Linux says that nobody writes to it any more
        while found := screen.read(65536):
            yield found


def _kill(family: list[psutil.Process]) -> None:
    """Those that are left. psutil looks at when a process began, so that none is taken for another of its number."""
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=PATIENCE)


def control_socket(place: Path) -> Path:
    """Where the supervisor listens that has its files in `place`: there, unless that is too long for a socket."""
    here = place / "var" / "supervisor.sock"
    if len(os.fsencode(here)) <= MOST_BYTES:
        return here
    return Path("/tmp") / f"taskqueue-demo-{os.getpid()}-{time.monotonic_ns():x}.sock"  # noqa: S108  # mode 0600
