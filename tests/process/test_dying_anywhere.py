"""SIGKILL just before and just after every call to a store that a task's life makes, and a new start (P1 to P4, R1, R4).

Which calls there are is what a life without a death shows: a call that is new in a contract is died at, too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.faults import CALLS, Death
from tests.support.lives import LIVES
from tests.support.mortals import PARTS, WITH_A_LINE, Mortals, sweep

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]
STORES = ["sqlite", "postgresql", "mariadb", "sqs+sqlite", "sqs+postgresql"]
everywhere = [pytest.mark.soak, pytest.mark.timeout(1800)]
#: a task's worker died under it: somebody has to give it back
UNDER_WAY = Death("log.start", 1, "after")


@pytest.fixture(params=STORES)
def store(request) -> str:
    return request.param


@pytest.fixture
def mortals(make_site, store, tmp_path: Path) -> Mortals:
    queues = {"queues": WITH_A_LINE} if store.startswith("sqs") else {}
    return Mortals(make_site(stores=stores.configured(store, tmp_path), **PARTS | queues), tmp_path)


@pytest.fixture
def life(request, store) -> str:
    if request.param == "line" and not store.startswith("sqs"):
        pytest.skip("no groups there")
    return request.param


every_life = pytest.mark.parametrize("life", LIVES, indirect=True)


@every_life
class TestEverywhere:
    pytestmark = everywhere

    def test_a_worker_dies(self, mortals, life):
        assert sweep(mortals.stage, partial(mortals.die, life)) == {}

    def test_an_application_dies(self, mortals, life):
        assert sweep(mortals.applications, partial(mortals.enqueue_and_die, life)) == {}

    def test_a_worker_dies_as_it_starts_or_leaves(self, mortals, life):
        assert sweep(mortals.stage, partial(mortals.die_from_start_to_stop, life)) == {}


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("life", ["eventful", "crowd", "line"], indirect=True)
def test_a_worker_dies_while_it_gives_back_what_a_dead_one_held(mortals, life):
    before = Death("log.claim", 1, "after") if life == "line" else UNDER_WAY
    assert sweep(mortals.stage, partial(mortals.die, life), before) == {}
