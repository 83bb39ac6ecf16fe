from __future__ import annotations

from types import SimpleNamespace

import pytest

from taskqueue.database.schema import tables
from taskqueue.database.transaction import Transaction
from taskqueue.errors import TaskQueueError


class Direct(SimpleNamespace):
    def run(self, connection, statement, values) -> int:
        self.executed.append(values)
        return len(values)


@pytest.fixture
def direct() -> Direct:
    return Direct(executed=[])


@pytest.fixture
def transaction(direct) -> Transaction:
    return Transaction(None, tables(), direct)


def test_counts_that_come_to_nothing_are_not_written(transaction, direct):
    transaction.count("mail", "waiting", 1)
    transaction.count("mail", "waiting", -1)
    transaction.settle()
    assert direct.executed == []


def test_counts_are_one_statement(transaction, direct):
    transaction.count("mail", "waiting", 2)
    transaction.count("news", "waiting", 3)
    transaction.count("mail", "waiting", 1)
    transaction.settle()
    transaction.settle()
    assert [tuple(values.values()) for values in direct.executed] == [("mail", "waiting", 3, "news", "waiting", 3)]


def test_a_part_that_failed_breaks_the_whole_though_it_was_caught(transaction, direct):
    with pytest.raises(KeyError), transaction.part():
        raise KeyError("first")
    with pytest.raises(ValueError, match="second"), transaction.part():
        raise ValueError("second")
    transaction.count("mail", "waiting", 1)
    with pytest.raises(TaskQueueError, match="all of it was rolled back") as broken:
        transaction.settle()
    assert repr(broken.value.__cause__) == "KeyError('first')"
    assert direct.executed == []
