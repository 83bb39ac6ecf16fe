"""Lists as array literals: whatever is in them comes out again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskqueue.database.engine import Database
from taskqueue.database.postgresql_arrays import array
from taskqueue.tasklog.rds import RdsTaskLogBroker

#: PostgreSQL takes no NUL in a text, and no half of a surrogate pair
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
ODD = ["", "NULL", "null", "{}", '"', "\\", ",", "a,b", "{a}", " ", "\n", "é", "\\x00", 'a"b\\c', "01a20e4d-38bd-7984"]
TYPES = {
    "texts": (sa.Text(), st.lists(st.none() | TEXT | st.sampled_from(ODD))),
    "names": (sa.String(255), st.lists(st.none() | st.sampled_from(ODD))),
    "numbers": (sa.BigInteger(), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))),
    "bytes": (sa.LargeBinary(), st.lists(st.none() | st.binary())),
    "ids": (sa.Text(), st.lists(st.uuids().map(str), min_size=1)),
}


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.mark.parametrize("name", TYPES)
def test_what_goes_in_comes_out(database: Database, name: str) -> None:
    kind, lists = TYPES[name]
    column = sa.func.unnest(array("given", kind)).column_valued("value")
    statement = sa.select(sa.cast(column, kind))

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(lists)
    def goes(values: list[object]) -> None:
        assert [value for (value,) in database.rows(statement, {"given": values})] == values

    goes()


@pytest.mark.parametrize("ids", [ODD, ["NULL"], ["a,b", "c"], [], ["x" * 5000], ["\u2028"]])
def test_ids_that_are_none_of_ours_are_not_there_and_no_error(database: Database, ids: list[str]) -> None:
    log = RdsTaskLogBroker(database)
    assert log.statuses(ids) == {}
    assert log.cancel(ids) == {}
