"""R1, R2: who may claim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.database import incarnations
from taskqueue.database.engine import Database
from taskqueue.errors import Deposed
from taskqueue.message import Message
from tests.support.clock import FakeClock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/queue.db", clock=FakeClock())
    yield database
    database.close()


def register(database: Database, name: str, *, lease: float = 120, queues: tuple[str, ...] = ("mail",)) -> None:
    incarnations.register(
        database, name, slot=f"h/mail/{name}", host="h", pid=7, kind="worker", queues=queues, lease=lease
    )


def test_a_registered_worker_is_known(database):
    register(database, "a", queues=("mail", "news, too"))
    (worker,) = incarnations.alive(database)
    assert (worker.id, worker.slot, worker.host, worker.pid, worker.kind) == ("a", "h/mail/a", "h", 7, "worker")
    assert worker.queues == ("mail", "news, too")
    assert worker.started_at == database.clock.micros()
    assert 110 < worker.lease <= 120


def test_registering_again_changes_nothing(database):
    register(database, "a")
    register(database, "a", lease=-1)
    assert [worker.id for worker in incarnations.alive(database)] == ["a"]


def test_a_worker_lives_as_long_as_it_is_renewed(database):
    register(database, "a", lease=-1)
    assert incarnations.expired(database) == ["a"]
    assert incarnations.renew(database, "a", lease=60)
    assert incarnations.expired(database) == []
    assert [worker.id for worker in incarnations.alive(database)] == ["a"]


def test_who_was_removed_may_not_claim_and_hears_of_it(database):
    register(database, "a")
    register(database, "b")
    assert incarnations.remove(database, ["a", "never was"]) == {"a"}
    assert incarnations.remove(database, ["a"]) == set()
    assert incarnations.remove(database, []) == set()
    assert not incarnations.renew(database, "a", lease=60)
    assert incarnations.renew(database, "b", lease=60)


def test_of_whom_nobody_has_heard_for_longer_than_a_lease_is_struck_off_once_it_holds_nothing(database):
    """Its host does not come back: nobody else would."""
    register(database, "living")
    for name in ("lost", "holding"):
        register(database, name)
    broker = RdsQueueBroker(database, "mail", owner="holding")
    broker.push([Message("m", b"")])
    (held,) = broker.pop(limit=1, lease=600)
    for name in ("lost", "holding"):
        assert incarnations.renew(database, name, lease=-1)
    assert incarnations.strike_off(database) == ["lost"]
    assert incarnations.expired(database) == ["holding"]
    broker.ack([held])
    assert incarnations.strike_off(database) == ["holding"]
    assert incarnations.strike_off(database) == []
    assert [worker.id for worker in incarnations.alive(database)] == ["living"]
    with pytest.raises(Deposed):
        broker.pop(limit=1, lease=600)


def test_peers_are_those_who_live_stay_and_serve_the_queue(database):
    register(database, "a")
    register(database, "b", queues=("news", "mail"))
    register(database, "c", queues=("news",))
    register(database, "dead", lease=-1)
    register(database, "leaving")
    incarnations.leaving(database, "leaving")
    assert incarnations.peers(database, "mail") == 2
    assert incarnations.peers(database, "news") == 2
    assert incarnations.peers(database, "mai") == 0
    assert len(incarnations.alive(database)) == 4


def test_paused_queues_are_read(database):
    with database.begin() as tx:
        rows = [
            {"name": "mail", "paused_at": 1, "paused_by": "ann"},
            {"name": "news", "paused_at": None, "paused_by": None},
        ]
        tx.execute(sa.insert(database.tables.queue), rows)
    assert incarnations.paused_queues(database) == {"mail"}
