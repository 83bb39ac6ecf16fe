from __future__ import annotations

from types import SimpleNamespace

import pytest

from taskqueue.database.schema import tables
from taskqueue.database.transaction import Transaction
from taskqueue.errors import TaskQueueError


class Connection(SimpleNamespace):
    def execute(self, statement, parameters) -> None:
        self.executed.append(parameters)


@pytest.fixture
def connection() -> Connection:
    return Connection(executed=[])


def test_counts_that_come_to_nothing_are_not_written(connection):
    transaction = Transaction(connection, tables())
    transaction.count("mail", "waiting", 1)
    transaction.count("mail", "waiting", -1)
    transaction.settle()
    assert connection.executed == []


def test_counts_are_one_statement(connection):
    transaction = Transaction(connection, tables())
    transaction.count("mail", "waiting", 2)
    transaction.count("news", "waiting", 3)
    transaction.count("mail", "waiting", 1)
    transaction.settle()
    transaction.settle()
    rows = [("mail", "waiting", 3), ("news", "waiting", 3)]
    assert [[tuple(row.values()) for row in rows] for rows in connection.executed] == [rows]


def test_a_part_that_failed_breaks_the_whole_though_it_was_caught(connection):
    transaction = Transaction(connection, tables())
    with pytest.raises(KeyError), transaction.part():
        raise KeyError("first")
    with pytest.raises(ValueError, match="second"), transaction.part():
        raise ValueError("second")
    transaction.count("mail", "waiting", 1)
    with pytest.raises(TaskQueueError, match="all of it was rolled back") as broken:
        transaction.settle()
    assert repr(broken.value.__cause__) == "KeyError('first')"
    assert connection.executed == []
