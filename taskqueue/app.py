"""The composition root: from settings to every object, by plain calls.

`connect` is what applications call; the commands build an `App` and ask it for a worker or a keeper.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from taskqueue import plugins, settings
from taskqueue.brokers.base import Broker
from taskqueue.clock import Clock, SystemClock
from taskqueue.database import tally
from taskqueue.database.engine import Database
from taskqueue.dispatcher import QueueDispatcher
from taskqueue.errors import ConfigurationError, did_you_mean
from taskqueue.handle import Handle
from taskqueue.keeper import Keeper
from taskqueue.queue import Limits as QueueLimits
from taskqueue.queue import Parent, Queue
from taskqueue.registry import REGISTRY, Registry
from taskqueue.selectors import SELECTORS
from taskqueue.settings import QueueSettings, Settings
from taskqueue.settings.model import Located
from taskqueue.task.base import AbstractTask
from taskqueue.task.function import set_default_dispatcher
from taskqueue.tasklog.base import TaskLogBroker
from taskqueue.tasklog.reading import TaskLog
from taskqueue.worker.crew import Crew
from taskqueue.worker.inline import Inline
from taskqueue.worker.leaving import Limits as WorkerLimits
from taskqueue.worker.loop import Worker

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

    def worker(
        self,
        names: Sequence[str],
        limits: WorkerLimits,
        *,
        selector: str = "weighted",
        slot: str | None = None,
        alone: bool = True,
    ) -> Worker:
        """A worker of these queues; `alone`: it does the keeper's duties too."""
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
            chores=self.keeper().step if alone else lambda: None,
            slot=slot,
        )
        return Worker(crew, limits, spawn=self.dispatcher.spawn)

    def keeper(self) -> Keeper:
        """The keeper of all queues."""
        databases = self._databases_of(list(self.queues.values()))

        def fold() -> None:
            for database in databases:
                tally.fold_all(database)

        return Keeper(
            list(self.queues.values()),
            self.clock,
            retention={s: kept for s, kept in self.settings.task_log.retention.items() if kept is not None},
            stems=_stems(databases),
            fold=fold,
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
            limits=_limits(queue),
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
    """Database files of this host, beside which workers prove that they live."""
    return [Path(database.dialect.path) for database in databases if database.dialect.path is not None]


def _limits(queue: QueueSettings) -> QueueLimits:
    return QueueLimits(
        priority=queue.priority,
        lease=queue.lease,
        timeout=queue.timeout,
        retries=queue.retries,
        max_crashes=queue.max_crashes,
        max_waiting=queue.max_waiting,
        unknown_grace=queue.unknown_grace,
        commit_each=queue.commit == "each",
        weight=queue.weight,
    )


_apps: dict[tuple[Path, tuple[str, ...]], App] = {}
_lock = threading.Lock()


def open_app(config: str | Path | None = None, *, sets: Sequence[str] = ()) -> App:
    """The process's one `App` of that configuration file (see `taskqueue.settings.load` for where it is looked up)."""
    key = (settings.find(config).absolute(), tuple(sets))
    with _lock:
        if key not in _apps:
            _apps[key] = App(settings.load(key[0], sets=sets))
        return _apps[key]


def connect(config: str | Path | None = None, *, sets: Sequence[str] = ()) -> QueueDispatcher:
    """The dispatcher of that configuration; one per process and configuration, safe in threads and after a fork.

    `config` is a TOML file; None looks it up as the commands do. `sets` overrides values ("queues.mail.workers=8").
    Nothing is opened before the first use. Raises ConfigurationError.
    """
    dispatcher = open_app(config, sets=sets).dispatcher
    set_default_dispatcher(lambda: dispatcher)
    return dispatcher
