"""The composition root: from settings to every object, by plain calls.

Applications come to it by `taskqueue.connect`; the commands build an `App` and ask it for a worker or a keeper.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from taskqueue import plugins
from taskqueue.brokers.base import Broker
from taskqueue.clock import Clock, SystemClock
from taskqueue.database.engine import Database
from taskqueue.dispatcher import QueueDispatcher
from taskqueue.errors import ConfigurationError, did_you_mean
from taskqueue.handle import Handle
from taskqueue.keeper import Keeper
from taskqueue.limits import queue_limits
from taskqueue.queue import Parent, Queue
from taskqueue.registry import REGISTRY, Registry
from taskqueue.selectors import SELECTORS
from taskqueue.settings import QueueSettings, Settings
from taskqueue.settings.model import Located
from taskqueue.task.base import AbstractTask
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.reading import TaskLog
from taskqueue.worker.crew import Crew
from taskqueue.worker.deaths import Deaths
from taskqueue.worker.inline import Inline
from taskqueue.worker.leaving import Limits as WorkerLimits
from taskqueue.worker.loop import Worker
from taskqueue.worker.place import Place
from taskqueue.worker.presence import FoundDead, stem_of

#: options of a store that are its database's
DATABASE_OPTIONS = ("prefix", "schema", "listen", "direct_url")


class App:
    """All objects of one configuration in this process. Opens nothing until something is used."""

    def __init__(self, config: Settings, *, registry: Registry = REGISTRY, clock: Clock | None = None) -> None:
        self.settings = config
        self.registry = registry
        self.clock = clock or SystemClock()
        self._databases: dict[str, Database] = {}

    @cached_property
    def task_log_broker(self) -> TaskLogBroker:
        """The store of the task log."""
        located = self.settings.task_log
        opened: TaskLogBroker = plugins.task_log_class(located.url).open(self._store(located))
        return opened

    @cached_property
    def queues(self) -> dict[str, Queue]:
        """All configured queues."""
        return {name: self._queue(queue) for name, queue in self.settings.queues.items()}

    @cached_property
    def task_log(self) -> TaskLog:
        """The task log, as applications see it."""
        return TaskLog(self.task_log_broker)

    @cached_property
    def dispatcher(self) -> QueueDispatcher:
        """What applications hold."""
        return QueueDispatcher(
            self.queues.values(),
            self.task_log,
            default_queue=self.settings.app.default_queue,
            routes=self.settings.app.routes,
            clock=self.clock,
            run_now=Inline(self.registry, self.clock, spawn=self._spawn),
        )

    def _spawn(self, parent: Parent, tasks: Sequence[AbstractTask], keys: Sequence[str | None]) -> list[Handle[Any]]:
        return self.dispatcher.spawn(parent, tasks, keys)

    def import_modules(self) -> None:
        """Import the application's modules, which registers their tasks. Raises ConfigurationError."""
        root = str(self.settings.root)
        if root not in sys.path:
            sys.path.insert(0, root)
        for name in self.settings.app.modules:
            try:
                importlib.import_module(name)
            except (Exception, SystemExit) as error:  # the application's own code runs here
                where = self.settings.file or "the configuration"
                raise ConfigurationError(
                    f"{where} [app] modules: cannot import {name!r} (from {root}): {type(error).__name__}: {error}"
                ) from error

    def warm(self) -> None:
        """Import what the stores need, so that processes forked from this one share it. Opens nothing."""
        for located in self.settings.brokers.values():
            plugins.broker_class(located.url)
        self.dispatcher.queue(self.settings.app.default_queue)
        for queue in self.queues.values():
            if (database := self.database_of(queue)) is not None:
                database.warm()

    def become(self, config: Settings) -> None:
        """Go on with other settings, before anything was opened.

        Whoever holds the dispatcher, or the task log, holds the new one.
        """
        held = {name: made for name in ("task_log", "dispatcher") if (made := vars(self).get(name)) is not None}
        for name in ("queues", "task_log_broker", *held):
            vars(self).pop(name, None)
        self._databases.clear()
        self.settings = config
        for name, made in held.items():
            vars(made).update(vars(getattr(self, name)))
            vars(self)[name] = made

    def worker(
        self,
        names: Sequence[str],
        limits: WorkerLimits,
        *,
        selector: str = "weighted",
        place: Place | None = None,
    ) -> Worker:
        """A worker of these queues; without a place under a master it does the keeper's duties too."""
        queues = [self.dispatcher.queue(name) for name in names]
        self._refuse_immediate(queues)
        stems = _stems(self._databases_of(queues))
        crew = Crew(
            queues,
            SELECTORS[selector]({queue.name: queue.limits.weight for queue in queues}),
            self.registry,
            clock=self.clock,
            databases=self._databases_of(queues),
            stem=stems[0] if stems else None,
            chores=self.keeper().step if place is None else lambda: None,
            place=place,
        )
        return Worker(crew, limits, spawn=self.dispatcher.spawn)

    def keeper(self, deaths: Deaths | None = None) -> Keeper:
        """The keeper of all queues; `deaths` are those that a master tells of."""
        databases = self.registers
        return Keeper(
            list(self.queues.values()),
            self.clock,
            retention={s: kept for s, kept in self.settings.task_log.retention.items() if kept is not None},
            deaths=[
                *([deaths] if deaths else []),
                *(FoundDead(stem, self.clock.monotonic) for stem in _stems(databases)),
            ],
            registers=databases,
        )

    def database_of(self, queue: Queue) -> Database | None:
        """Where the queue's workers are registered and its pause is kept; None if nothing of it is in a database."""
        return self.database_at(queue, self.settings.queues[queue.name].broker) or queue.log_database

    def database_at(self, queue: Queue, broker: str) -> Database | None:
        """Where its messages are, at the broker of that name; None if that is no database."""
        return self._database(self.settings.brokers[broker]) if queue.broker.capabilities.transactional else None

    def close(self) -> None:
        """Let go of every connection."""
        for database in self._databases.values():
            database.close()

    def queue_at(self, name: str, broker: str) -> Queue:
        """The queue of that name as it is with its messages at this broker; ConfigurationError if there is none."""
        if name not in self.settings.queues:
            return self.dispatcher.queue(name)  # which says so
        if broker not in self.settings.brokers:
            known = ", ".join(self.settings.brokers)
            hint = did_you_mean(broker, self.settings.brokers) or f"; known: {known}"
            raise ConfigurationError(f"{self.settings.file}: no broker {broker!r}{hint}")
        return self._queue(replace(self.settings.queues[name], broker=broker))

    def _queue(self, queue: QueueSettings) -> Queue:
        located = self.settings.brokers[queue.broker]
        broker: Broker = plugins.broker_class(located.url).open(self._store(located), queue.name)
        task_log = self.task_log_broker
        log_database = self._database(self.settings.task_log) if task_log.capabilities.transactional else None
        broker_database = self._database(located) if broker.capabilities.transactional else None
        return Queue(
            broker,
            task_log,
            limits=queue_limits(queue),
            database=broker_database if broker_database is log_database else None,
            log_database=log_database,
            clock=self.clock,
        )

    def _store(self, located: Located) -> plugins.Store:
        return plugins.Store(url=located.url, options=located.options, database=lambda: self._database(located))

    def _database(self, located: Located) -> Database:
        key = f"{located.url} {sorted(located.options.items())}"
        if key not in self._databases:
            self._databases[key] = Database(
                located.url,
                timeout=self.settings.app.enqueue_timeout,
                **{key: located.options[key] for key in DATABASE_OPTIONS if key in located.options},
            )
        return self._databases[key]

    @property
    def registers(self) -> list[Database]:
        """The databases in which workers of any queue are registered."""
        return self._databases_of(list(self.queues.values()))

    def _databases_of(self, queues: Sequence[Queue]) -> list[Database]:
        """The databases in which a worker of these queues is registered, and in which they are paused."""
        found = [self.database_of(queue) for queue in queues]
        return list({id(database): database for database in found if database is not None}.values())

    def _refuse_immediate(self, queues: Sequence[Queue]) -> None:
        for queue in queues:
            if queue.broker.capabilities.immediate:
                raise ConfigurationError(
                    f"queue {queue.name!r} is in memory: its tasks run at once where they are enqueued, and no worker "
                    "can see them; give it a broker such as sqlite:///var/taskqueue.db"
                )


def _stems(databases: Sequence[Database]) -> list[Path]:
    """Where workers of this host prove that they live: beside a database's file, or else in this user's own folder."""
    found = [
        Path(database.dialect.path) if database.dialect.path else stem_of(f"{database.name} {database.tables.message}")
        for database in databases
    ]
    return [stem for stem in found if stem is not None]
