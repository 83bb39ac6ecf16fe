"""A scorecard outlives its worker, and a row that was cut short is not believed."""

from __future__ import annotations

import mmap

import pytest

from taskqueue.worker.scorecard import _TAIL_AT, SIZE, Card, Scorecard, State


@pytest.fixture
def buffer():
    with mmap.mmap(-1, SIZE) as memory:
        yield memory


def test_what_was_written_is_read(buffer):
    card = Card(
        incarnation="i" * 36,
        slot="host:1",
        state=State.RUNNING,
        fence=7,
        attempt=2,
        task_id="t" * 36,
        since=1.5,
        deadline=9.25,
        done=3,
    )
    Scorecard(buffer).write(card)
    assert Scorecard(buffer).read() == card


def test_a_row_never_written_is_none(buffer):
    assert Scorecard(buffer).read() is None


@pytest.mark.parametrize("at", [0, _TAIL_AT])
def test_a_torn_row_shows(buffer, at):
    scorecard = Scorecard(buffer)
    scorecard.write(Card(incarnation="i"))
    buffer[at] ^= 0xFF
    assert scorecard.read() is None


def test_an_update_keeps_the_rest(buffer):
    scorecard = Scorecard(buffer)
    scorecard.write(Card(incarnation="i", task_id="t", fence=3))
    scorecard.update(leaving=True)
    assert scorecard.read() == Card(incarnation="i", task_id="t", fence=3, leaving=True)


def test_a_closed_card_takes_no_more_notes(buffer):
    """The thread that runs tasks may have one left when the file is gone already."""
    card = Scorecard(buffer)
    card.write(Card(incarnation="it", slot="h:1"))
    card.close()
    card.update(done=7)
    assert Scorecard(buffer).read().done == 0
