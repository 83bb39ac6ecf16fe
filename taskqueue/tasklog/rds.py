"""The task log in a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import sqlalchemy as sa

from taskqueue.clock import Clock
from taskqueue.database.engine import Database
from taskqueue.errors import ConfigurationError
from taskqueue.plugins import Store, scheme_of
from taskqueue.tasklog import ending
from taskqueue.tasklog.base import LogCapabilities
from taskqueue.tasklog.claiming import claim_of
from taskqueue.tasklog.entry import Claim, Entry, Outcome
from taskqueue.tasklog.rds_store import RdsStore
from taskqueue.tasklog.rows import as_row, head_of
from taskqueue.tasklog.statements import NEW, adding, claiming
from taskqueue.tasklog.stored import StoredTaskLog


class RdsTaskLogBroker(StoredTaskLog):
    """Entries in a database, shared by all who open it. Joins the thread's open transaction (`Database.begin`)."""

    capabilities = LogCapabilities(durable=True, shared=True, transactional=True)

    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        super().__init__(RdsStore(database), clock=clock)
        self._database = database

    @classmethod
    def open(cls, store: Store) -> Self:
        if store.database is None:
            raise ConfigurationError(f"task log {scheme_of(store.url)}://...: it needs a database")
        return cls(store.database())

    def initialize(self) -> None:
        self._database.initialize()

    def adding(self, columns: tuple[str, ...]) -> tuple[sa.CTE, sa.CTE]:
        return adding(self._database.tables, self._database.dialect, columns)

    def claiming(self, ids: sa.ScalarSelect[Any]) -> tuple[sa.CTE, sa.CTE]:
        return claiming(self._database.tables, self._database.dialect, ids)

    def ending(self) -> tuple[sa.CTE, sa.CTE]:
        return ending.ending(self._database.tables)

    def ends(self, outcomes: Sequence[Outcome], receipts: Sequence[int]) -> dict[str, Any]:
        return ending.values_of(outcomes, receipts, now=self._clock.micros())

    def claim_of(self, row: Sequence[Any]) -> Claim:
        return claim_of(head_of(row))

    def added(self, entry: Entry) -> dict[str, Any]:
        return {NEW + name: value for name, value in as_row(entry).items() if value is not None}
