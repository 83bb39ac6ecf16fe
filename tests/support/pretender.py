"""A process that has nothing of a master but its socket: the real Control, in a loop as the master's, and a made-up
snapshot that commands change.

    python -m tests.support.pretender SOCKET [PREPARATION]     PREPARATION is Python that is run first
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from supervisor.client import Unreachable, talk
from supervisor.control import Control
from supervisor.request import Peer, Refused, Request
from taskqueue.errors import did_you_mean
from taskqueue.snapshot import Pause, Pool, Slot, Snapshot
from tests.support import planted
from tests.support.eventually import eventually
from tests.support.programs import ROOT

SECRET = planted.PASSWORD
#: what a bug would tell
INSIDE = "what is inside"
STARTED = 1_767_225_600.0


def pool(name: str, *slots: Slot, **facts: Any) -> Pool:
    return Pool(
        **{"name": name, "kind": "queue", "wanted": len(slots), "configured": len(slots), "slots": slots} | facts
    )


def slot(pool_name: str, index: int, state: Any = "up", **facts: Any) -> Slot:
    return Slot(name=f"web-1/{pool_name}/{index}", pool=pool_name, index=index, state=state, **facts)


def made_up(**facts: Any) -> Snapshot:
    """A host on which all is well."""
    said: dict[str, Any] = {
        "version": "0.1.0",
        "host": "web-1",
        "pid": os.getpid(),
        "config": "/srv/shop/config/taskqueue.toml",
        "started_at": STARTED,
        "uptime": 11520.0,
        "state": "running",
        "pools": (
            pool(
                "mail",
                slot(
                    "mail",
                    0,
                    pid=4712,
                    activity="running",
                    task_id="0199a1b2-0000-7000-8000-4f2a9c81d0b3",
                    task_name="shop.tasks:mail",
                    task_age=3.2,
                    age=11519.0,
                    done=1234,
                    memory=48 * 2**20,
                ),
                slot("mail", 1, pid=4713, activity="idle", age=75.0, done=7, restarts=2, memory=47 * 2**20),
            ),
            pool("mixed", slot("mixed", 0, pid=4714, activity="idle"), kind="pool", queues=("mail", "reports")),
            pool("keeper", slot("keeper", 0, pid=4715, activity="idle", age=11519.0, memory=2**30), kind="keeper"),
        ),
    }
    return Snapshot(**said | facts)


class Pretender:
    """Answers as a master would."""

    def __init__(self, path: Path) -> None:
        self.selector = selectors.DefaultSelector()
        self.control = Control(path, self.selector, self.handle)
        self.snapshot = made_up()
        self.leaving = False
        self.done: list[str] = []

    def handle(self, request: Request, peer: Peer) -> dict[str, Any]:
        if request.command in ("status", "ping"):
            return {"snapshot": self.snapshot} if request.command == "status" else {}
        self.done.append(" ".join(filter(None, (request.command, request.target))))
        answer = getattr(self, request.command)(request, peer)
        return {"message": answer, "number": len(self.done)}

    def pause(self, request: Request, peer: Peer) -> str:
        self._pool(request)
        self.snapshot = replace(self.snapshot, paused=(Pause(scope="host", by=str(peer), since=STARTED),))
        return f"paused by {peer}"

    def resume(self, request: Request, _peer: Peer) -> str:
        self.snapshot = replace(self.snapshot, paused=())
        return "goes on"

    def scale(self, request: Request, _peer: Peer) -> str:
        found = self._pool(request)
        assert found is not None
        scaled = replace(found, wanted=request.workers, scaled=True)
        pools = tuple(scaled if p is found else p for p in self.snapshot.pools)
        self.snapshot = replace(self.snapshot, pools=pools)
        return f"{found.name}: {request.workers} workers"

    def restart(self, request: Request, _peer: Peer) -> str:
        return "\x1b[31mrestarting" if self._pool(request) else "restarting all"

    def reload(self, _request: Request, _peer: Peer) -> str:
        raise Refused(f"reload refused: postgresql://shop:{SECRET}@db/shop does not answer")

    def stop(self, request: Request, _peer: Peer) -> str:
        self.leaving = request.now
        self.snapshot = replace(self.snapshot, state="stopping")
        return "stopping"

    def _pool(self, request: Request) -> Pool | None:
        if request.target is None:
            return None
        names = {pool.name: pool for pool in self.snapshot.pools}
        name = request.target.partition("/")[0]
        if name == "bug":
            raise RuntimeError(INSIDE)
        if name not in names:
            raise Refused(f"no pool {name!r}{did_you_mean(name, names)}")
        return names[name]

    def run(self) -> None:
        self.control.open()
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "leaving", True))
        waker, wakened = os.pipe()
        os.set_blocking(wakened, False)
        signal.set_wakeup_fd(wakened)
        self.selector.register(waker, selectors.EVENT_READ)
        while not self.leaving:
            due = self.control.due()
            for key, _ in self.selector.select(None if due is None else max(0.0, due - time.monotonic())):
                if key.data is self.control:
                    self.control.ready(key)
            self.control.tick(time.monotonic())
        self.control.close()


class RunningPretender:
    """Such a process."""

    def __init__(self, path: Path, *, first: str = "") -> None:
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.support.pretender", str(path), first],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            eventually(lambda: self.answers() or self.process.poll() is not None, what="its first answer")
        except AssertionError:
            self.process.kill()
            raise

    @property
    def pid(self) -> int:
        return self.process.pid

    def answers(self) -> bool:
        try:
            return bool(talk(str(self.path), {"command": "ping"})["ok"])
        except Unreachable:
            return False

    def stop(self) -> str:
        """End it; what it had to say, which is nothing if all went well."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        return errors


if __name__ == "__main__":
    exec(sys.argv[2] if len(sys.argv) > 2 else "")
    Pretender(Path(sys.argv[1])).run()
