"""What is raised into a task waits for the end of a step of our stores (R17)."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from taskqueue.errors import LeaseLost, TaskTimeout
from taskqueue.shield import SHIELD, Shield
from taskqueue.worker.interrupt import Interrupter


@pytest.fixture
def interrupter():
    before = signal.getsignal(signal.SIGURG)
    interrupter = Interrupter()
    interrupter.install()
    yield interrupter
    signal.signal(signal.SIGURG, before)
    assert (SHIELD.depth, SHIELD.pending) == (0, None)


def interrupt(interrupter: Interrupter, reason: BaseException) -> None:
    """From another thread, as the lifeline does; the handler has run when this returns."""
    thread = threading.Thread(target=interrupter.interrupt, args=(interrupter.run, reason))
    thread.start()
    thread.join()
    os.getpid()


def test_an_interrupt_waits_for_the_end_of_the_outermost_step(interrupter):
    done = []
    with pytest.raises(TaskTimeout, match="over"), interrupter:
        with SHIELD():
            with SHIELD():
                interrupt(interrupter, TaskTimeout("over"))
                done.append("inner")
            done.append("outer")
        done.append("never")
    assert done == ["inner", "outer"]


def test_outside_of_a_step_it_is_raised_at_once(interrupter):
    with pytest.raises(TaskTimeout), interrupter:
        with SHIELD():
            pass
        interrupt(interrupter, TaskTimeout("over"))
        pytest.fail("not raised")


def test_a_step_that_fails_is_the_cause_of_the_interrupt_that_waited(interrupter):
    with pytest.raises(LeaseLost) as raised, interrupter, SHIELD():
        interrupt(interrupter, LeaseLost("gone"))
        raise ValueError("the step's own")
    assert repr(raised.value.__cause__) == 'ValueError("the step\'s own")'


def test_what_waits_at_the_end_of_the_task_is_dropped(interrupter):
    left_open = SHIELD()
    with interrupter:
        left_open.__enter__()
        interrupt(interrupter, TaskTimeout("over"))
        assert isinstance(SHIELD.pending, TaskTimeout)
    left_open.__exit__(None, None, None)
    with interrupter, SHIELD():
        pass


def test_a_task_that_runs_inside_of_another_drops_nothing_of_it(interrupter):
    done = []
    with pytest.raises(TaskTimeout), interrupter:
        with SHIELD():
            interrupt(interrupter, TaskTimeout("over"))
            with Interrupter():
                done.append("within")
        pytest.fail("not raised")
    assert done == ["within"]


def test_other_threads_have_no_shield():
    found = []

    def step() -> None:
        with SHIELD():
            found.append(SHIELD.depth)

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert found == [0]


def test_a_step_that_another_thread_closes_is_over():
    def step():
        with SHIELD():
            yield

    unfinished = step()
    next(unfinished)
    assert SHIELD.depth == 1
    thread = threading.Thread(target=unfinished.close)
    thread.start()
    thread.join()
    assert SHIELD.depth == 0


def test_a_thread_that_forks_is_the_childs_main_thread():
    shield = Shield()
    shield.depth, shield.pending = 1, TaskTimeout("the parent's")

    def forked() -> None:
        shield._after_fork()
        with shield():
            assert shield.depth == 1

    thread = threading.Thread(target=forked)
    thread.start()
    thread.join()
    assert (shield.depth, shield.pending) == (0, None)
