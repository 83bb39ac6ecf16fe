"""The master's signals: none is lost, none does anything by itself, and what nobody can order pauses."""

from __future__ import annotations

import os
import select
import signal

import pytest

from supervisor.signals import HEARD, IGNORED, Signals, reset_in_child


@pytest.fixture
def signals():
    signals = Signals()
    signals.install()
    yield signals
    signals.restore()


def send(*names: str) -> None:
    for name in names:
        # To this thread, as there is no other in a master; one of another test's would take what is masked here.
        signal.raise_signal(signal.Signals[name])


def names(signals: Signals) -> list[str]:
    return [number.name for number in signals.heard()]


@pytest.mark.parametrize("number", HEARD)
def test_each_is_heard_and_does_nothing_else(signals, number):
    os.kill(os.getpid(), number)
    assert select.select([signals.fd], [], [], 0)[0]
    assert signals.heard() == [number]
    assert signals.heard() == []


@pytest.mark.parametrize("number", IGNORED)
def test_what_means_nothing_ends_nobody(signals, number):
    os.kill(os.getpid(), number)
    assert signals.heard() == []


def test_they_are_heard_in_the_order_in_which_they_came(signals):
    order = ["SIGCONT", "SIGUSR2", "SIGHUP", "SIGCONT", "SIGTERM", "SIGUSR2"]
    send(*order)
    assert names(signals) == order


def test_three_thousand_are_heard(signals):
    for _ in range(1000):
        send("SIGUSR2", "SIGHUP", "SIGCONT")
    assert len(signals.heard()) == 3000


def test_a_full_pipe_blocks_nobody(signals):
    for _ in range(70_000):
        signal.raise_signal(signal.SIGHUP)
    assert len(signals.heard()) == 65_536
    send("SIGTERM")
    assert names(signals) == ["SIGTERM"]


# Before they are taken over


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_what_a_fleet_gets_while_modules_are_imported_ends_nobody_and_is_heard_then(name):
    """P6: an operator pauses every host, and one of them has just begun."""
    if not (pid := os.fork()):
        try:
            signals = Signals()
            signals.hold()
            send(name)
            signals.install()
            heard = [number.name for number in signals.heard()]
            os._exit(42 if heard == ([] if name == "SIGUSR1" else [name]) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


def test_a_stop_while_modules_are_imported_is_one():
    if not (pid := os.fork()):
        Signals().hold()
        send("SIGTERM")
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM


# The mask around a fork


def test_what_comes_behind_the_mask_is_heard_after_it(signals):
    with signals.masked():
        send("SIGTERM")
        assert signals.heard() == []
    assert names(signals) == ["SIGTERM"]


@pytest.mark.parametrize("order", [["SIGUSR2", "SIGCONT"], ["SIGCONT", "SIGUSR2"]])
def test_of_a_pause_and_a_resume_behind_the_mask_the_pause_wins(signals, caplog, order):
    """P6: the kernel does not order them."""
    with signals.masked():
        send(*order)
    assert names(signals)[-1] == "SIGUSR2"
    assert "nobody can tell which was the last: paused" in caplog.text
    send("SIGCONT")
    assert names(signals) == ["SIGCONT"], "it is said once"


def test_of_two_masks_the_first_is_not_forgotten(signals):
    with signals.masked():
        send("SIGUSR2", "SIGCONT")
    with signals.masked():
        pass
    assert names(signals)[-1] == "SIGUSR2"


def test_one_alone_behind_the_mask_is_itself(signals, caplog):
    with signals.masked():
        send("SIGCONT")
    assert names(signals) == ["SIGCONT"]
    assert not caplog.text


def test_the_mask_that_was_there_before_is_there_after_it(signals):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        with pytest.raises(ZeroDivisionError), signals.masked():
            _ = 1 / 0
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before | {signal.SIGUSR1}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_what_was_there_before_comes_back():
    before = {number: signal.getsignal(number) for number in (*HEARD, *IGNORED)}
    opened = len(os.listdir("/proc/self/fd"))
    signals = Signals()
    signals.install()
    signals.restore()
    assert {number: signal.getsignal(number) for number in before} == before
    assert len(os.listdir("/proc/self/fd")) == opened
    assert signal.set_wakeup_fd(-1) == -1


# In a child that boots

DEFAULT_ENDS_IT = {signal.SIGTERM, signal.SIGQUIT}


@pytest.mark.parametrize("number", [*HEARD, *IGNORED], ids=lambda number: number.name)
def test_before_it_has_handlers_of_its_own_a_child_is_ended_by_a_stop_alone(signals, number):
    """What is sent to a whole fleet (HUP, USR2 ...) harms none that boots; nothing comes into its master's pipe."""
    mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    with signals.masked():
        if not (pid := os.fork()):
            try:
                reset_in_child(mask)
                os.kill(os.getpid(), number)
                os._exit(42)
            finally:
                os._exit(1)
    _, status = os.waitpid(pid, 0)
    if number in DEFAULT_ENDS_IT:
        assert os.WTERMSIG(status) == number
    else:
        assert os.waitstatus_to_exitcode(status) == 42
    assert number is signal.SIGCHLD or number not in signals.heard()
