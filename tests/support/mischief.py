"""Tasks that do to their worker what operators fear."""

from __future__ import annotations

import ctypes
import os
import subprocess

from taskqueue import task
from tests.support.tasks import pause, trace


def start_a_process(ledger: str) -> subprocess.Popen[bytes]:
    """A child of the worker, which would live for five minutes; its number is in the ledger."""
    child = subprocess.Popen(["sleep", "300"])
    trace(ledger, f"child-{child.pid}")
    return child


def child_of(lines: list[list[str]]) -> int:
    """Its number."""
    return next(int(line[0].removeprefix("child-")) for line in lines if line[0].startswith("child-"))


@task
def waits_with_a_child(ledger: str) -> None:
    trace(ledger, "start")
    start_a_process(ledger).wait()


@task
def stubborn_with_a_child(ledger: str) -> None:
    """Yields to nothing that is raised into it."""
    trace(ledger, "start")
    start_a_process(ledger)
    while True:
        try:
            pause(60)
        except BaseException:  # noqa: BLE001  # what this task is for
            continue


@task
def holds_the_interpreter(ledger: str) -> None:
    """In C, for ever, whatever signal comes: no Python thread of the worker can act."""
    trace(ledger, "start")
    libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(128)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


@task
def exits(ledger: str, code: int) -> None:
    """Takes its worker with it, by an exit code that would mean something else."""
    trace(ledger, "start")
    os._exit(code)


@task
def leaves_a_stranger(ledger: str) -> None:
    """A grandchild in a session of its own, whose parent is gone: process 1 is to reap it."""
    program = 'setsid sh -c "echo child-$$ >> $0; exec sleep 0.3" "$0" & exit'
    subprocess.run(["sh", "-c", program, ledger], check=True)


@task
def uses_memory(ledger: str, megabytes: int) -> None:
    trace(ledger, "start")
    held = [bytearray(os.urandom(1)) * (1024 * 1024) for _ in range(megabytes)]
    trace(ledger, f"held-{len(held)}")
