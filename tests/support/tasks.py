"""Tasks that child processes import. Each leaves traces in files, outside of the system under test."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

from taskqueue import AbstractTask, Report, Retry, TaskCancelled, TaskTimeout, context, task
from tests.support.ledger import signed, trace


def pause(seconds: float) -> None:
    """A task's own work: it takes so long."""
    threading.Event().wait(seconds)


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def traced(ledger: str, seconds: float = 0.0) -> dict[str, int]:
    trace(ledger, "start")
    if seconds:
        pause(seconds)
    trace(ledger, "end")
    return signed()


@task
def until(ledger: str, file: str) -> str:
    """Runs until `file` exists."""
    trace(ledger, "start")
    while not Path(file).exists():
        pause(0.005)
    trace(ledger, "end")
    return "the file is there"


@task
def until_stopping(ledger: str) -> str:
    trace(ledger, "start")
    while not context.stopping:
        pause(0.005)
    raise Retry("to be continued", delay=0)


@task
def until_cancelled(ledger: str) -> None:
    trace(ledger, "start")
    while not context.cancel_requested:
        pause(0.005)
    raise TaskCancelled


@task
def progressing(ledger: str, file: str) -> None:
    trace(ledger, "start")
    context.progress(3, 7, "third of seven")
    while not Path(file).exists():
        pause(0.005)


@task
def says_progress(message: str) -> Report:
    context.progress(1, 2, message)
    pause(0.5)
    return Report.warning(message, {message: message}).with_children(Report.info(message))


@task
def stubborn(ledger: str) -> None:
    """Does not yield to anything that is raised into it."""
    trace(ledger, "start")
    while True:
        try:
            pause(60)
        except BaseException:  # noqa: BLE001  # what this task is for
            trace(ledger, "caught")


@task(timeout=0.3)
def too_slow(ledger: str) -> None:
    trace(ledger, "start")
    pause(60)


@task(timeout=0.5)
def slow_and_tells(ledger: str) -> None:
    trace(ledger, "start")
    try:
        pause(60)
    except TaskTimeout:
        trace(ledger, "timeout")
        raise


@task
def chain(ledger: str, links: int) -> None:
    """Enqueues the next link as the last thing that it does."""
    trace(ledger, "end")
    if links > 1:
        chain.enqueue(ledger, links - 1)


@task(timeout=0.3)
async def too_slow_async(ledger: str) -> None:
    trace(ledger, "start")
    await asyncio.sleep(60)


@task(timeout=0.3)
def hogs_the_interpreter() -> None:
    """Holds the interpreter lock in C for ever: no Python thread of the worker can act."""
    ctypes.PyDLL(None).sleep(600)


@task
async def add_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@task
def dies(ledger: str, times: int = 99) -> str:
    """Takes its worker with it, at its first so many runs."""
    trace(ledger, "start")
    if len([line for line in Path(ledger).read_text().splitlines() if context.id in line]) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@task(retries=2, backoff=0.01)
def fails(text: str = "no luck") -> None:
    raise ValueError(text)


@task(retries=5, backoff=0.5)
def fails_at_first(ledger: str, times: int) -> None:
    """Fails at its first so many attempts."""
    trace(ledger, "start")
    if context.attempt <= times:
        raise ValueError("no luck yet")
    trace(ledger, "end")


@task
def leaves() -> None:
    raise SystemExit(3)


@task
def unstorable() -> object:
    return object()


@task
def asks_for_ever() -> None:
    raise Retry("never", delay=float("inf"))


class NeverAgain(Retry):
    """Sets what `Retry` would have refused."""

    def __init__(self) -> None:
        super().__init__("never")
        self.delay = float("nan")


@task
def asks_for_ever_past_the_check() -> None:
    raise NeverAgain


@task
def says_no_text() -> Report:
    return Report.success({"a": 1})  # type: ignore[arg-type]  # what is tested


@task
def adds_no_report() -> Report:
    return Report.success().with_children("text")  # type: ignore[arg-type]  # what is tested


@task
def progresses_oddly(value: str) -> None:
    context.progress(float(value), message="photo \ud800.jpg")


@task
def crashes_then_fails(ledger: str) -> None:
    """Dies with its worker at its first run, and fails by itself at the others."""
    trace(ledger, "start")
    if len([line for line in Path(ledger).read_text().splitlines() if context.id in line]) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("no luck")


@task
def parent(children: int, ledger: str) -> str:
    trace(ledger, "start")
    context.create_children(traced.bind(ledger) for _ in range(children))
    return f"{children} children"


@task
def parent_that_dies_once(children: int, ledger: str) -> str:
    trace(ledger, "start")
    context.create_children(traced.bind(ledger) for _ in range(children))
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{children} children"


@task
def parent_of_a_failure(ledger: str) -> str:
    context.create_child(fails)
    return "one child"


def until_a_signal() -> None:
    """What a forked child does: a quarter of a minute at most, whatever else goes wrong."""
    signal.alarm(15)
    while True:
        signal.pause()


def exit_code_of(child: int) -> int:
    """Of a forked child; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@task
def forks(ledger: str) -> int:
    child = os.fork()
    if not child:
        trace(ledger, "child")
        until_a_signal()
    return exit_code_of(child)


@task
def forks_in_a_thread(ledger: str) -> int:
    codes: list[int] = []
    inside = contextvars.copy_context()
    thread = threading.Thread(target=lambda: codes.append(inside.run(forks, ledger)))
    thread.start()
    thread.join()
    return codes[0]


@task
def forks_and_terminates_at_once(times: int) -> list[int | None]:
    import multiprocessing  # it takes its time, which all other programs with these tasks save

    fork = multiprocessing.get_context("fork")
    codes = []
    for _ in range(times):
        child = fork.Process(target=until_a_signal)
        child.start()
        child.terminate()
        child.join()
        codes.append(child.exitcode)
    return codes


@task
def both_come_back(ledger: str, how: str) -> int:
    """The child leaves the task too."""
    child = os.fork()
    if child:
        trace(ledger, "start")
        return exit_code_of(child)
    signal.alarm(15)
    if how == "raise":
        raise ValueError("the child's")
    if how == "exit":
        raise SystemExit(3)
    return -1


@task
def pid() -> int:
    return os.getpid()


@task
def grows(megabytes: int) -> int:
    _kept.append(bytearray(megabytes * 1024 * 1024))
    return os.getpid()


_kept: list[Any] = []


class Greeting(AbstractTask):
    PARAM_NAME = "name"

    def set_name(self, name: str) -> None:
        if not name:
            raise ValueError("a greeting needs a name")
        self.set_parameter(self.PARAM_NAME, name)

    def __call__(self) -> Report:
        return Report.success(f"Hello, {self.get_parameter(self.PARAM_NAME)}!")


@task
def log_of_others(config: str) -> int:
    """How many completed tasks the log shows while this one runs."""
    from taskqueue import connect

    return connect(config).task_log.categories()["completed"]


log = logging.getLogger("shop.tasks")


@task(retries=1, backoff=0.01)
def tells(lines: int, then: str) -> Report:
    """Logs so many lines, and then fails, answers that it failed, or ends well."""
    for number in range(lines):
        log.info("line %d", number, extra={"of": lines})
    if then == "raise":
        raise ValueError("no luck")
    return Report.error("no luck") if then == "answer" else Report.success()


@task
async def tells_from_everywhere() -> None:
    """Logs from its coroutines and threads."""

    def in_a_thread(task_id: str) -> None:
        log.warning("from a thread of its own", extra={"task_id": task_id})
        log.warning("from a thread that says nothing")

    log.warning("from the coroutine")
    await asyncio.gather(asyncio.to_thread(log.warning, "from to_thread"), asyncio.create_task(_tells_beside()))
    thread = threading.Thread(target=in_a_thread, args=[context.id])
    thread.start()
    thread.join()
    raise ValueError("no luck")


async def _tells_beside() -> None:
    log.warning("from a coroutine beside")


@task
def tells_odd_things() -> None:
    log.warning("%s\nforged \x1b[31m\0\ud800", "postgresql://ann:s3cret@db/x")
    try:
        raise LookupError("nothing there")
    except LookupError:
        log.exception("what went wrong")
    log.warning("x" * 20_000)
    log.info("%d", "no number")
    raise ValueError("no luck")


@task
def has_children_and_fails_at_first(ledger: str) -> None:
    context.create_children([traced.bind(ledger)])
    if context.attempt == 1:
        raise Retry("once more", delay=0)


@task
def tells_and_dies(lines: int) -> None:
    """Takes its worker with it at its first run; logs nothing at its second."""
    if context.attempt > 1:
        return
    for number in range(lines):
        log.info("line %d", number)
    os.kill(os.getpid(), signal.SIGKILL)
