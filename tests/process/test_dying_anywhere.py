"""SIGKILL just before and just after every call to a store that a task's life makes, and a new start (P1 to P4, R1).

Which calls there are is what a life without a death shows: a call that is new in a contract is died at, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.faults import Death
from tests.support.lives import LIVES
from tests.support.mortals import PARTS, WITH_A_LINE, Mortals, sweep

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]
STORES = ["sqlite", "postgresql", "mariadb", "sqs+sqlite"]
#: a task's worker died under it: somebody has to give it back
UNDER_WAY = Death("log.start", 1, "after")


@pytest.fixture(params=STORES)
def store(request) -> str:
    return request.param


@pytest.fixture
def mortals(make_site, store, tmp_path: Path) -> Iterator[Mortals]:
    queues = {"queues": WITH_A_LINE} if store.startswith("sqs") else {}
    mortals = Mortals(make_site(stores=stores.configured(store, tmp_path), **PARTS | queues), tmp_path)
    yield mortals
    mortals.end()


@pytest.fixture
def life(request, store) -> str:
    if request.param == "line" and not store.startswith("sqs"):
        pytest.skip("no groups there")
    return request.param


def lives(*names: str):
    return pytest.mark.parametrize("life", names, indirect=True)


@pytest.mark.soak
@pytest.mark.timeout(1800)
class TestEverywhere:
    @lives("eventful", "crowd", "cancelled", "joined", "line")
    def test_a_worker_dies(self, mortals, life):
        assert sweep(mortals.stage, partial(mortals.die, life)) == {}

    @lives(*LIVES)
    def test_an_application_dies(self, mortals, life):
        assert sweep(mortals.applications, partial(mortals.enqueue_and_die, life)) == {}

    @lives("eventful", "line")
    def test_a_worker_dies_as_it_starts_or_leaves(self, mortals, life):
        assert sweep(mortals.stage, partial(mortals.die_from_start_to_stop, life)) == {}

    @lives("eventful", "crowd", "line")
    def test_a_worker_dies_while_it_gives_back_what_a_dead_one_held(self, mortals, life):
        before = Death("log.claim", 1, "after") if life == "line" else UNDER_WAY
        assert sweep(mortals.stage, partial(mortals.die, life), before) == {}
