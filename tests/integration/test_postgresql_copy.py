"""Many rows at once are copied into PostgreSQL's tables: the same rows, and the same promises, as inserted ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.database.postgresql import WORTH_A_COPY
from taskqueue.errors import BrokerUnavailable
from taskqueue.ids import new_id
from taskqueue.tasklog.entry import Entry
from taskqueue.tasklog.rds import RdsTaskLogBroker
from tests.support.statements import asked

MANY = WORTH_A_COPY * 4
ODD = ["a\tb", "line\nbreak", "back\\slash", "\\N", "\\.", "", "Größe", "'quoted\"", "\N{PILE OF POO}", "x" * 200]


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
def log(database: Database) -> RdsTaskLogBroker:
    database.initialize()
    return RdsTaskLogBroker(database)


def entries(n: int = MANY) -> list[Entry]:
    return [
        Entry(
            id=new_id(),
            name="shop.tasks:mail",
            queue="mail",
            label=ODD[i % len(ODD)] if i % 7 else None,
            payload=bytes(range(256)) + str(i).encode(),
            created_at=1_700_000_000_000_000 + i,
        )
        for i in range(n)
    ]


def test_odd_texts_and_bytes_come_back_as_they_went_in(log) -> None:
    given = entries()
    assert log.add(given) == [entry.id for entry in given]
    for entry in given:
        found = log.get(entry.id)
        assert found is not None
        assert (found.label, found.payload, found.created_at) == (entry.label, entry.payload, entry.created_at)


def test_many_are_copied_and_few_are_inserted(log) -> None:
    with asked() as seen:
        log.add(entries())
        assert not [said for said in seen if said.startswith("INSERT INTO taskqueue_entry")]
        log.add(entries(2))
    assert [said for said in seen if said.startswith("INSERT INTO taskqueue_entry")]


def test_repeating_a_batch_stores_what_is_missing(log) -> None:
    """P1: a lost answer of a commit may be repeated."""
    given = entries()
    log.add(given[: MANY // 2])
    assert log.add(given) == [entry.id for entry in given[MANY // 2 :]]
    assert log.add(given) == []


def test_two_that_store_the_same_batch_at_once_store_it_once(opened) -> None:
    logs = [RdsTaskLogBroker(opened()) for _ in range(2)]
    given = entries(MANY * 4)
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda log: log.add(given), logs))
    assert sorted(i for answer in answers for i in answer) == sorted(entry.id for entry in given)
    assert sum(logs[0].stats()["mail"].values()) == len(given)


def test_in_the_application_s_own_transaction_they_go_with_it(log, database, url) -> None:
    engine = sa.create_engine(url)
    given = entries()
    with engine.connect() as connection, connection.begin() as theirs:
        with database.join(connection):
            log.add(given)
        theirs.rollback()
    assert log.get(given[0].id) is None
    engine.dispose()


def test_a_session_that_ends_in_the_middle_is_an_outage_and_stores_nothing(log, database) -> None:
    given = entries()

    def cut_off() -> None:
        with database.dialect.connect() as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with pytest.raises(BrokerUnavailable), database.begin():
        cut_off()
        log.add(given)
    assert log.get(given[0].id) is None
    assert log.add(given) == [entry.id for entry in given]
