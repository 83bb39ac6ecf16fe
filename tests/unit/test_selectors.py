"""Which queue next (P14)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue.selectors import SELECTORS, Selector, StrictPrioritySelector, WeightedSelector

weights = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 50), min_size=2, max_size=6)


def take(selector: Selector, full: Collection[str], tasks: int = 1) -> str:
    """One turn of a worker: try the queues in order, the first that has work gives `tasks` of them."""
    queue = next(q for q in selector.order() if q in full)
    selector.took(queue, tasks)
    return queue


def shares(selector: Selector, full: Collection[str], turns: int, tasks: int = 1) -> Counter[str]:
    return Counter(take(selector, full, tasks) for _ in range(turns))


def test_weighted_shares_follow_the_weights() -> None:
    assert shares(WeightedSelector({"mail": 5, "reports": 3, "sync": 2}), {"mail", "reports", "sync"}, 1000) == {
        "mail": 500,
        "reports": 300,
        "sync": 200,
    }


def test_weighted_turns_are_spread_not_bunched() -> None:
    selector = WeightedSelector({"mail": 3, "sync": 1})
    turns = [take(selector, {"mail", "sync"}) for _ in range(12)]
    assert all("sync" in turns[start : start + 4] for start in range(0, 12, 4))
    assert turns.count("mail") == 9


def test_shares_count_tasks_not_turns() -> None:
    selector = WeightedSelector({"short": 1, "long": 1})
    given_: Counter[str] = Counter()
    for _ in range(300):
        queue = next(iter(selector.order()))
        tasks = 10 if queue == "short" else 1
        selector.took(queue, tasks)
        given_[queue] += tasks
    assert abs(given_["short"] - given_["long"]) <= 10


@given(weights, st.lists(st.integers(0, 63), min_size=60, max_size=60))
def test_no_queue_that_has_work_starves(weights: dict[str, int], busy: list[int]) -> None:
    patient, *others = weights
    bound = sum(weight / weights[patient] + 1 for weight in weights.values())
    selector, waited = WeightedSelector(weights), 0
    for bits in busy:
        full = {queue for place, queue in enumerate(others) if bits >> place & 1}
        waited = 0 if take(selector, full | {patient}) == patient else waited + 1
        assert waited <= bound


@given(weights, st.integers(1, 20))
def test_an_empty_queue_delays_none_and_saves_up_no_turns(weights: dict[str, int], tasks: int) -> None:
    empty, *rest = weights
    selector, without = WeightedSelector(weights), WeightedSelector({q: weights[q] for q in rest})
    for _ in range(50):
        assert take(selector, rest, tasks) == take(without, rest, tasks)
    back = [take(selector, weights, tasks) for _ in range(60)]
    first_run = next((i for i, queue in enumerate(back) if queue != empty), len(back))
    assert first_run <= weights[empty] / min(weights[q] for q in rest) + 1


def test_strict_serves_the_highest_queue_that_has_work() -> None:
    selector = StrictPrioritySelector({"low": 1, "high": 9, "middle": 5})
    assert selector.order() == ["high", "middle", "low"]
    assert shares(selector, {"low", "middle"}, 10) == {"middle": 10}
    assert take(selector, {"low"}) == "low"
    assert take(selector, {"low", "high"}) == "high"


def test_strict_lets_equals_take_turns() -> None:
    assert shares(StrictPrioritySelector({"a": 2, "b": 2, "c": 1}), {"a", "b", "c"}, 10) == {"a": 5, "b": 5}


@pytest.mark.parametrize("kind", sorted(SELECTORS))
@given(weights=weights)
def test_every_queue_is_in_every_order(kind: str, weights: dict[str, int]) -> None:
    selector = SELECTORS[kind](weights)
    for _ in range(10):
        assert sorted(selector.order()) == sorted(weights)
        take(selector, weights)


@pytest.mark.parametrize("kind", sorted(SELECTORS))
@pytest.mark.parametrize("weights", [{}, {"mail": 0}, {"mail": -1}, {"mail": float("nan")}])
def test_a_weight_that_is_not_above_zero_is_refused(kind: str, weights: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        SELECTORS[kind](weights)
