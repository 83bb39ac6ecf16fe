"""Signals become orders: state, not events (P5, P6)."""

from __future__ import annotations

import os
import signal

import pytest

from taskqueue.worker.orders import SAME, Orders, Stop


@pytest.fixture
def orders():
    orders = Orders()
    orders.install()
    yield orders
    orders.restore()


def send(orders: Orders, *names: str) -> Orders:
    for name in names:
        os.kill(os.getpid(), getattr(signal, name))
        orders.obey()
    return orders


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_one_signal_stops_gracefully(orders, name):
    assert send(orders, name).stop is Stop.GRACEFUL


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_a_second_term_or_int_means_now(orders, second):
    send(orders, "SIGTERM")._insisted_at -= SAME + 0.01
    assert send(orders, second).stop is Stop.NOW


def test_a_stop_that_is_sent_to_the_process_and_its_group_is_one(orders):
    assert send(orders, "SIGTERM", "SIGTERM").stop is Stop.GRACEFUL


def test_a_second_quit_stays_graceful(orders):
    assert send(orders, "SIGQUIT", "SIGQUIT").stop is Stop.GRACEFUL
    send(orders, "SIGTERM")._insisted_at -= SAME + 0.01
    assert send(orders, "SIGQUIT").stop is Stop.GRACEFUL


def test_usr2_pauses_and_cont_resumes(orders):
    assert send(orders, "SIGUSR2").paused
    assert not send(orders, "SIGCONT").paused
    assert send(orders, "SIGUSR2", "SIGUSR2").paused


def test_a_poke_wakes_and_orders_nothing(orders):
    orders.poke()
    orders.wait(5)
    assert orders.obey() == []
    assert orders.stop is Stop.NO


def test_ten_thousand_pokes_do_not_block(orders):
    for _ in range(100_000):
        orders.poke()
    assert orders.obey() == []


def test_the_handlers_that_were_there_come_back():
    before = signal.getsignal(signal.SIGTERM)
    orders = Orders()
    orders.install()
    orders.restore()
    assert signal.getsignal(signal.SIGTERM) is before


def test_orders_that_were_given_back_can_be_poked_and_waited_for():
    orders = Orders()
    orders.install()
    orders.restore()
    orders.poke()
    orders.wait(0.01)
    assert orders.obey() == []
    orders.restore()


# Under a master: paused by a signal to this very process, or from above (P6)


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("above", [True, False])
def test_paused_here_or_from_above_is_paused(orders, here, above):
    orders.paused_here, orders.paused_above = here, above
    assert orders.paused is (here or above)


def test_cont_takes_back_only_what_usr2_said(orders):
    orders.paused_above = True
    send(orders, "SIGUSR2", "SIGCONT")
    assert not orders.paused_here
    assert orders.paused


def test_what_is_taken_back_above_leaves_what_usr2_said(orders):
    send(orders, "SIGUSR2")
    orders.paused_above = True
    orders.paused_above = False
    assert orders.paused
    assert orders.paused_here


def test_a_pause_does_not_hold_up_a_stop(orders):
    orders.paused_above = True
    assert send(orders, "SIGUSR2", "SIGTERM").stop is Stop.GRACEFUL
