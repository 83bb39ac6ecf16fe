"""When a worker is recycled."""

from __future__ import annotations

import pytest

from taskqueue.limits import worker_limits
from taskqueue.settings import parse

CONFIG = parse("""
    [brokers.main]
    url = "sqlite:///tasks.db"
    [queues.default]
    [queues.often]
    max_tasks = 100
    max_memory = "1GB"
    [queues.seldom]
    max_tasks = 1000
    max_memory = "200MB"
    [queues.once]
    max_tasks = 1
""")


def test_a_queue_without_figures_recycles_nobody():
    limits = worker_limits(CONFIG, ["default"])
    assert (limits.max_tasks, limits.max_memory) == (0, 0)


def test_the_lowest_figure_of_its_queues_counts():
    limits = worker_limits(CONFIG, ["seldom", "often", "default"])
    assert 90 <= limits.max_tasks <= 110
    assert limits.max_memory == worker_limits(CONFIG, ["seldom"]).max_memory > 0


def test_not_all_workers_go_at_once():
    found = {worker_limits(CONFIG, ["seldom"]).max_tasks for _ in range(100)}
    assert len(found) > 20
    assert 900 <= min(found) <= max(found) <= 1100


def test_one_is_one():
    assert {worker_limits(CONFIG, ["once"]).max_tasks for _ in range(50)} == {1}


@pytest.mark.parametrize("said", [{}, {"tasks": 5, "seconds": 2.0, "drain": True}])
def test_what_was_said_is_kept_and_unknown_queues_are_nobodys_figure(said):
    limits = worker_limits(CONFIG, ["nowhere"], **said)
    assert {name: getattr(limits, name) for name in said} == said
    assert limits.max_tasks == 0
