"""Lists and pages read an index in its own order, so that they cost the same at any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from taskqueue.database.engine import Database
from taskqueue.status import Status
from taskqueue.tasklog import searching
from taskqueue.tasklog.entry import Filter, Op, Search
from taskqueue.tasklog.query import check
from taskqueue.tasklog.rds import RdsTaskLogBroker
from taskqueue.tasklog.statements import Statements
from tests.support.clock import FakeClock
from tests.support.task_logs import Story

OPEN = Filter("status", Op.LT, Status.COMPLETED)
SEARCHES = {
    "the newest": ("PRIMARY KEY", Search()),
    "the oldest": ("PRIMARY KEY", Search(descending=False)),
    "one status": ("entry_status", Search(filters=(Filter("status", Op.EQ, Status.FAILED),))),
    "several statuses": ("entry_status", Search(filters=(OPEN,))),
    "all but one status": ("entry_status", Search(filters=(Filter("status", Op.NE, Status.COMPLETED),))),
    "by status": ("entry_status", Search(sort="status")),
    "one owner": ("entry_owner", Search(owner="ann")),
    "one owner's open tasks": ("entry_owner", Search(owner="ann", filters=(OPEN,))),
    "by owner": ("entry_owner", Search(sort="owner", descending=False)),
    "one name": ("entry_name", Search(filters=(Filter("name", Op.EQ, "shop:mail"),))),
    "one name's failures": (
        "entry_name",
        Search(filters=(Filter("name", Op.EQ, "shop:mail"), Filter("status", Op.EQ, Status.FAILED))),
    ),
    "by name": ("entry_name", Search(sort="name")),
    "children": ("entry_parent", Search(filters=(Filter("parent_id", Op.EQ, "p"),))),
    "failed children": ("entry_parent", Search(filters=(Filter("parent_id", Op.EQ, "p"), OPEN))),
    "anything else": ("PRIMARY KEY", Search(filters=(Filter("label", Op.LIKE, "%night%"),))),
    "before some time": ("PRIMARY KEY", Search(filters=(Filter("created_at", Op.LT, 10**15),))),
}


def values_of(number: int) -> dict[str, Any]:
    return {
        "owner": f"o{number % 7}",
        "name": f"shop:{number % 5}",
        "status": Status(number % 8),
        "relayed_at": number if number % 100 else None,
        "parent_id": f"p{number % 50}" if number % 2 else None,
    }


@pytest.fixture(scope="module", params=["fresh", "analyzed"])
def database(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Database]:
    """With and without what the planner may know of the data."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('log') / 'tasks.db'}")
    story = Story(RdsTaskLogBroker(database), FakeClock())
    story.log.initialize()
    story.log.add([story.entry(**values_of(n)) for n in range(2000)])
    if request.param == "analyzed":
        with database.begin() as tx:
            tx.execute(sa.text("ANALYZE"))
    yield database
    database.close()


def plan(database: Database, statement: sa.Executable, parameters: dict[str, Any] | None = None) -> list[str]:
    """How SQLite reads what this statement asks, in the words of EXPLAIN QUERY PLAN."""
    steps: list[str] = []

    def explain(_connection, cursor, sql, values, _context, _many) -> None:
        steps.extend(row[3] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))

    with database.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", explain)
        connection.execute(statement, parameters).all()
        sa.event.remove(connection, "before_cursor_execute", explain)
    return steps


@pytest.mark.parametrize("name", SEARCHES)
def test_a_page_is_read_from_an_index_and_never_sorted(database: Database, name: str) -> None:
    index, search = SEARCHES[name]
    steps = plan(database, searching.page(check(search), database.tables.entry, database.dialect))
    reads = [step for step in steps if "taskqueue_entry" in step]
    assert reads
    assert all(index in step or (index == "PRIMARY KEY" and step == "SCAN taskqueue_entry") for step in reads), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize("name", ["the newest", "several statuses", "by status", "one owner", "by name", "children"])
def test_a_later_page_is_found_and_not_counted_off(database: Database, name: str) -> None:
    _, search = SEARCHES[name]
    query = check(search)
    after = ({"status": 4, "name": "shop:1"}.get(query.sort, "x"), "01900000-0000-7000-8000-000000000000")
    steps = plan(database, searching.page(replace(query, after=after), database.tables.entry, database.dialect))
    assert all(step.startswith("SEARCH") for step in steps if "taskqueue_entry" in step), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("unrelayed", "entry_unrelayed"),
        ("unrelayed_due", "entry_unrelayed"),
        ("turns", "entry_group"),
        ("keyed", "entry_key"),
        ("with_open_children", "entry_parent"),
        ("child_counts", "entry_parent"),
        ("child_ids", "entry_parent"),
        ("awaits_message", "entry_parent"),
        ("lively_children", "entry_parent"),
        ("heads", "PRIMARY KEY"),
        ("statuses", "PRIMARY KEY"),
        ("children", "entry_parent"),
        ("counts_of_owner", "entry_owner"),
        ("ended", "entry_status"),
    ],
)
def test_the_rules_read_by_index(database: Database, statement: str, index: str) -> None:
    sql = Statements(database.tables, database.dialect)
    values = {"ids": ["x"], "statuses": [5, 6], "parent": "x", "owner": "ann", "status": 4, "limit": 9}
    values |= {"before": 1, "due": 1, "queue": "mail", "after": "", "below": "1", "now": 1, "key": "x"}
    steps = plan(database, getattr(sql, statement), values)
    assert any(index in step for step in steps), steps


def test_what_waits_for_years_is_not_read_when_something_is_due(database: Database) -> None:
    """The keeper asks each second: it goes from the queue's first to the last that is due, and no further."""
    sql, values = Statements(database.tables, database.dialect), {"queue": "mail", "before": 1, "due": 1, "limit": 9}
    (step,) = plan(database, sql.unrelayed_due, values)
    assert "(queue=? AND relayed_at=? AND due_at<?)" in step, step
    (step,) = plan(database, sql.unrelayed, values)
    assert "(queue=? AND relayed_at=? AND due_at=?)" in step, step


def test_whose_turn_it_is_in_a_group_is_found_at_its_head(database: Database) -> None:
    sql = Statements(database.tables, database.dialect)
    steps = [step for step in plan(database, sql.turns, {"ids": ["x"], "now": 1}) if "entry_group" in step]
    assert len(steps) == 2
    assert all("(queue=? AND group_name=? AND status=?)" in step for step in steps), steps
