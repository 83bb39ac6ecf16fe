"""What a keeper hears of a death (P4, R5)."""

from __future__ import annotations

import pytest

from taskqueue.worker.deaths import Death
from taskqueue.worker.scorecard import Card

NOW = 100.0


@pytest.mark.parametrize(
    ("card", "running"),
    [
        (None, None),
        (Card(incarnation="i", slot="h:1"), {}),
        (Card(incarnation="i", slot="h:1", task_id="t"), {"t": "the worker died while it ran the task (worker h:1)"}),
        (
            Card(incarnation="i", slot="h:1", task_id="t", deadline=NOW + 1),
            {"t": "the worker died while it ran the task (worker h:1)"},
        ),
        (
            Card(incarnation="i", slot="h:1", task_id="t", deadline=NOW),
            {"t": "the worker was ended: the task did not yield at its time limit (worker h:1)"},
        ),
        (Card(incarnation="i", slot="h:1", task_id="t", leaving=True), {}),
        (Card(incarnation="i", slot="h:1", task_id="t", supervised=True), None),
    ],
    ids=["no card", "idle", "at work", "in time", "past its time", "told to go", "a master knows better"],
)
def test_of_a_worker_that_no_master_reaped_its_scorecard_tells(card, running):
    assert Death.alone("i", card, NOW).running == running


@pytest.mark.parametrize(
    ("death", "said"),
    [
        (Death(incarnation="i"), "worker i died"),
        (Death(incarnation="i", slot="h/mail/0", running={}), "worker h/mail/0 died"),
        (Death(incarnation="i", slot="h/mail/0", running={"t": "why"}), "worker h/mail/0 died while it ran task t"),
    ],
)
def test_a_death_in_one_line(death, said):
    assert str(death) == said
