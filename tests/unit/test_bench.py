"""What the bench makes of its figures."""

from __future__ import annotations

import pytest

from tests.bench.profile import sampled
from tests.bench.rows import ROWS, result_of, verdict

DRAIN, LATENCY = ROWS["drain-ceiling"], ROWS["latency-peer"]


def a_round(ours: float, *ceilings: float) -> dict[str, dict[str, float]]:
    names = [name for name, _ in DRAIN.against]
    found = {name: {"drain_per_s": rate} for name, rate in zip(names, ceilings, strict=False)}
    return {"ours-postgresql": {"drain_per_s": ours}, **found}


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    rounds = [a_round(10, 20), a_round(100, 100), a_round(30, 40)]

    result = result_of(DRAIN, rounds)

    assert (result.ours, result.others, result.ratio) == (30, 40, 0.75)


def test_ours_is_compared_to_the_best_of_the_others() -> None:
    assert result_of(DRAIN, [a_round(10, 20, 40)]).ratio == 0.25
    peers = {name: {"latency_ms_p50": 4.0 + number} for number, (name, _) in enumerate(LATENCY.against)}
    assert result_of(LATENCY, [{"ours-postgresql": {"latency_ms_p50": 2.0}, **peers}]).ratio == 0.5


def test_who_is_not_there_is_not_compared() -> None:
    result = result_of(DRAIN, [a_round(10)])

    assert (result.ours, result.others, result.ratio, verdict(DRAIN, result)) == (10, None, None, "")


@pytest.mark.parametrize(("ratio", "word"), [(0.59, "short"), (0.6, "reach"), (0.85, "aim")])
def test_more_is_better_for_rates(ratio: float, word: str) -> None:
    assert verdict(DRAIN, result_of(DRAIN, [a_round(ratio, 1)])) == word


@pytest.mark.parametrize(("share", "word"), [(0.31, "short"), (0.25, "reach"), (0.2, "aim")])
def test_less_is_better_for_costs(share: float, word: str) -> None:
    row = ROWS["sqs"]

    assert verdict(row, result_of(row, [{"ours-sqs": {"calls_a_task": share}}])) == word


def test_a_profile_counts_who_was_at_work_and_not_the_start() -> None:
    stacks = "a;b (x.py) 3\na;b (x.py);c (y.py) 1\n<frozen importlib._bootstrap>;d 90\n 5"

    assert sampled(stacks) == [" 75.0%  b (x.py)", " 25.0%  c (y.py)"]
