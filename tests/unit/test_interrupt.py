"""Raising into a task happens only while its own code runs, and only into the run that was meant (R17)."""

from __future__ import annotations

import threading

import pytest

from taskqueue.errors import LeaseLost, TaskTimeout
from taskqueue.worker.interrupt import Interrupter


@pytest.fixture
def interrupter():
    interrupter = Interrupter()
    interrupter.install()
    return interrupter


def interrupt_from_another_thread(interrupter: Interrupter, run: int, reason: Exception) -> None:
    thread = threading.Thread(target=interrupter.interrupt, args=(run, reason))
    thread.start()
    thread.join()


def test_a_blocking_call_is_interrupted(interrupter):
    def later(run: int) -> None:
        threading.Timer(0.05, interrupter.interrupt, (run, TaskTimeout("over"))).start()

    with pytest.raises(TaskTimeout, match="over"), interrupter as run:
        later(run)
        threading.Event().wait(30)


def test_between_tasks_nothing_is_raised(interrupter):
    with interrupter as run:
        pass
    interrupt_from_another_thread(interrupter, run, TaskTimeout("late"))


def test_the_next_run_is_not_meant(interrupter):
    with interrupter as run:
        pass
    with interrupter:
        interrupt_from_another_thread(interrupter, run, TaskTimeout("late"))


def test_a_run_is_interrupted_once(interrupter):
    with pytest.raises(LeaseLost), interrupter as run:
        try:
            interrupt_from_another_thread(interrupter, run, LeaseLost("first"))
            threading.Event().wait(5)
        finally:
            interrupt_from_another_thread(interrupter, run, TaskTimeout("second"))
