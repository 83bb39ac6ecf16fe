"""SIGKILL just before and just after every call to a store that a task's life makes, and a new start (P1 to P4, R1).

Which calls there are is what a life without a death shows: a call that is new in a contract is died at, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.faults import CALLS, Death
from tests.support.lives import LIVES
from tests.support.mortals import PARTS, WITH_A_LINE, Mortals, Supervised, sweep

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
def supervised(make_site, store, tmp_path: Path) -> Supervised:
    return Supervised(make_site(stores=stores.configured(store, tmp_path), **PARTS), tmp_path)


@pytest.fixture
def life(request, store) -> str:
    if LIVES[request.param].grouped and not store.startswith("sqs"):
        pytest.skip("no groups there")
    return request.param


def lives(*names: str):
    return pytest.mark.parametrize("life", names, indirect=True)


def choice(*deaths: Death, after: tuple[Death, ...] = ()) -> list[tuple[Death, ...]]:
    return [(*after, death) for death in deaths]


#: a sample: between what one store and the other one knows, and between what is done and what is known to be done
OF_A_WORKER = [
    *choice(
        Death("log.claim", 1, "after"),
        Death("broker.push", 1, "after"),
        Death("log.finish", 1, "after"),
        Death("commit", 3, "after"),
    ),
    *choice(Death("log.lost", 1, "after"), after=(UNDER_WAY,)),
]
OF_AN_APPLICATION = choice(Death("log.add", 1, "after"), Death("commit", 1, "after"))


def test_a_worker_or_an_application_dies_in_between(mortals, store):
    # All of them on SQLite, every other one elsewhere.
    step = 1 if store == "sqlite" else 2
    for deaths in OF_A_WORKER[::step]:
        assert mortals.die("eventful", *deaths) == [], deaths
        assert mortals.stage.came() == len(deaths), deaths
    for deaths in OF_AN_APPLICATION[::step]:
        assert mortals.enqueue_and_die("keyed", *deaths) == [], deaths
        assert mortals.applications.came() == len(deaths), deaths


@pytest.mark.parametrize("store", ["sqlite", *(pytest.param(one, marks=pytest.mark.soak) for one in STORES[1:])])
def test_a_supervised_worker_or_its_keeper_dies_in_between(supervised):
    for deaths in [*OF_A_WORKER, *choice(Death("log.lost", 1, "before"), after=(UNDER_WAY,))]:
        assert supervised.die("eventful", *deaths) == [], deaths
        assert supervised.stage.came() == len(deaths), deaths


#: calls of people, of programs that look on, and of `taskqueue move`
OF_OTHERS = {
    "broker.dead_letters",
    "broker.take",
    "log.archive",
    "log.attempts",
    "log.children",
    "log.search",
    "log.settle",
    "log.stats",
    "log.statuses",
}
#: where the broker knows who holds what, and where it does not and messages are only hints
OF_LEASES = {"broker.recover"}
OF_HINTS = {"broker.reveal", "log.get", "log.relayed", "log.turns", "log.unheard_of", "log.unrelayed"}
#: where one statement can do it all
AT_ONCE = {"broker.hand_back", "broker.hand_over", "queue.enqueue_at_once"}


@pytest.mark.parametrize(
    ("store", "others"),
    [
        ("sqlite", OF_HINTS | AT_ONCE),
        pytest.param("postgresql", OF_HINTS | {"broker.ready"}, marks=pytest.mark.soak),
        pytest.param("sqs+sqlite", OF_LEASES | AT_ONCE, marks=pytest.mark.soak),
    ],
)
def test_the_lives_make_every_call_of_the_contracts(mortals, others):
    """A call that is new there is to be made by one of them, or to be named here with those that no life makes."""
    lives = [name for name, life in LIVES.items() if not life.grouped or others >= OF_LEASES]
    mortals.start()
    for life in lives:
        mortals.enqueue_by_a_mortal(life)
    mortals.settle()
    for life in {"eventful", "line"} & set(lives):
        mortals.die(life, UNDER_WAY)
    mortals.stop()
    made = mortals.stage.calls_ever() | mortals.applications.calls_ever()
    assert set(CALLS) - made == OF_OTHERS | others


@pytest.mark.soak
@pytest.mark.timeout(1800)
class TestEverywhere:
    @lives("eventful", "crowd", "cancelled", "joined", "line", "overtaken")
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
        assert sweep(mortals.stage, partial(mortals.die, life), UNDER_WAY) == {}

    @lives("eventful")
    def test_a_supervised_worker_or_its_keeper_dies(self, supervised, life):
        assert sweep(supervised.stage, partial(supervised.die, life)) == {}
