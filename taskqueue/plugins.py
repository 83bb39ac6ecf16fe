"""Brokers and task logs by URL scheme, through entry points: the built-in ones come in by the same door as others.

A package adds a broker with two lines of its `pyproject.toml`, after which `url = "redis://..."` works:

    [project.entry-points."taskqueue.brokers"]
    redis = "acme_broker:RedisQueueBroker"

Its class has the methods of `taskqueue.brokers.base.Broker` (or `taskqueue.tasklog.base.TaskLogBroker`) and is opened
by `cls.open(store, queue, owner=...)` (or `cls.open(store)`). `postgresql+psycopg://` looks up `postgresql`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from taskqueue.errors import ConfigurationError, did_you_mean

BROKERS, TASK_LOGS = "taskqueue.brokers", "taskqueue.task_log_brokers"
#: what this package registers in its pyproject.toml, for running from a source tree that is not installed
BUILT_IN = {
    BROKERS: {
        "memory": "taskqueue.brokers.memory:InMemoryQueueBroker",
        "sqlite": "taskqueue.brokers.rds:RdsQueueBroker",
        "postgresql": "taskqueue.brokers.rds:RdsQueueBroker",
        "sqs": "taskqueue.brokers.sqs:SqsQueueBroker",
        "mysql": "taskqueue.brokers.rds:RdsQueueBroker",
        "mariadb": "taskqueue.brokers.rds:RdsQueueBroker",
    },
    TASK_LOGS: {
        "memory": "taskqueue.tasklog.memory:InMemoryTaskLogBroker",
        "sqlite": "taskqueue.tasklog.rds:RdsTaskLogBroker",
        "postgresql": "taskqueue.tasklog.rds:RdsTaskLogBroker",
        "mysql": "taskqueue.tasklog.rds:RdsTaskLogBroker",
        "mariadb": "taskqueue.tasklog.rds:RdsTaskLogBroker",
    },
}
_KIND = {BROKERS: "broker", TASK_LOGS: "task log broker"}


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker or task log is opened from."""

    url: str
    #: the other keys of its table in the configuration
    options: Mapping[str, Any] = {}
    #: this process's one `Database` of that URL; a store that is no database never calls it
    database: Callable[[], Any] | None = None


def broker_class(url: str) -> type[Any]:
    """The `Broker` that serves this URL's scheme; ConfigurationError says what is missing."""
    return _load(BROKERS, url)


def task_log_class(url: str) -> type[Any]:
    """The `TaskLogBroker` that serves this URL's scheme; ConfigurationError says what is missing."""
    return _load(TASK_LOGS, url)


def _load(group: str, url: str) -> type[Any]:
    scheme = scheme_of(url)
    known = _registered(group)
    if scheme not in known:
        raise ConfigurationError(f"no {_KIND[group]} for '{scheme}://'{_advice(scheme, group, known)}")
    try:
        loaded = known[scheme].load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the {_KIND[group]} for '{scheme}://' ({known[scheme].value}, from {_origin(known[scheme])}) "
            f"cannot be imported: {error}; install what is missing or repair that package"
        ) from error
    if not isinstance(loaded, type):
        raise ConfigurationError(f"entry point {known[scheme].value} of group {group} is no class")
    return loaded


def scheme_of(url: str) -> str:
    """`postgresql` of `postgresql+psycopg://...`; ConfigurationError where there is none (the URL is not repeated)."""
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise ConfigurationError("a broker's url begins with its scheme, as in 'sqlite:///var/tasks.db' or 'memory://'")
    return scheme.partition("+")[0].lower()


def _registered(group: str) -> dict[str, EntryPoint]:
    found = {name: EntryPoint(name, value, group) for name, value in BUILT_IN[group].items()}
    installed: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = installed.setdefault(point.name.lower(), point)
        if other.value != point.value:
            raise ConfigurationError(
                f"two packages serve '{point.name}://': {_origin(other)} ({other.value}) and "
                f"{_origin(point)} ({point.value}); uninstall one of them"
            )
    return found | installed


def _advice(scheme: str, group: str, known: Mapping[str, EntryPoint]) -> str:
    guess = did_you_mean(scheme, known)
    return (
        f"{guess or ''}; known: {', '.join(sorted(known))}. "
        f"Other packages add theirs by the entry point group {group!r}: install the one that serves '{scheme}'"
    )


def _origin(point: EntryPoint) -> str:
    return f"package {point.dist.name}" if point.dist else "taskqueue itself"
