"""From the tables of a file to Settings: read, merge, check that every name means something.

It goes on past each problem, so that one look shows all of them; what it makes of the rest is thrown away then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from taskqueue.settings.locations import below
from taskqueue.settings.model import AppSettings, LoggingSettings, Settings, SupervisorSettings, rules_of
from taskqueue.settings.problems import Keys, Problems, as_table, read_table, unknown
from taskqueue.settings.queues import QueueTables, read_pools
from taskqueue.settings.stores import read_brokers, read_task_log
from taskqueue.settings.web import read_web

T = TypeVar("T", bound=Struct)
TABLES = ("app", "brokers", "task_log", "queue_defaults", "queues", "pools", "supervisor", "logging", "web")


def resolve(tree: Mapping[str, Any], *, file: Path | None, folder: Path, problems: Problems) -> Settings:
    """The settings, or one ConfigurationError with every problem. Relative paths start at `folder` / [app] root."""
    for key in tree:
        if key not in TABLES:
            problems.unknown((), key, TABLES)
    app = _read(tree, "app", AppSettings, problems)
    root = below(folder, app.root)
    brokers = read_brokers(tree, root, problems)
    tables = QueueTables(tree, app.default_queue, problems)
    broker = tables.default_broker(brokers, problems)
    pools = read_pools(tree, problems)
    pooled = {queue for pool in pools.values() for queue in pool.queues}
    settings = Settings(
        app=replace(app, root=root),
        brokers=brokers,
        task_log=read_task_log(tree, brokers, broker, root=root, problems=problems),
        queue_defaults=tables.merged("", broker, pooled=False),
        queues={queue: tables.merged(queue, broker, pooled=queue in pooled) for queue in tables.queues},
        pools=pools,
        supervisor=_placed(_read(tree, "supervisor", SupervisorSettings, problems), root, problems),
        logging=_read(tree, "logging", LoggingSettings, problems),
        web=read_web(tree, root, problems),
        file=file,
        root=root,
    )
    _check(settings, tables, problems)
    problems.raise_any()
    return settings


def _read(tree: Mapping[str, Any], name: str, struct: type[T], problems: Problems) -> T:
    raw = as_table(tree.get(name, {}), (name,), problems)
    return struct(**read_table(raw, rules_of(struct), (name,), problems))


def _placed(supervisor: SupervisorSettings, root: Path, problems: Problems) -> SupervisorSettings:
    """With absolute paths, each of them another: what one writes, the next would replace."""
    places: dict[str, Path] = {}
    for key in ("control_socket", "pidfile", "metrics_file"):
        given: Path | None = getattr(supervisor, key)
        if given is None:
            continue
        place = below(root, given)
        other = next((known for known, taken in places.items() if taken == place), None)
        if other:
            problems.add(("supervisor",), f"that is the path of {other}: name another", key=key)
        places[key] = place
    return replace(supervisor, **places)


def _check(settings: Settings, tables: QueueTables, problems: Problems) -> None:
    """Every queue and broker that is named somewhere exists, and no two pools have one name."""

    def check(what: str, word: str, known: Iterable[str], table: Keys, key: str) -> None:
        if word not in known:
            problems.add(table, unknown(what, word, known), key=key)

    check("queue", settings.app.default_queue, settings.queues, ("app",), "default_queue")
    for task, queue in settings.app.routes.items():
        check("queue", queue, settings.queues, ("app", "routes"), task)
    for table, broker in tables.named_brokers():
        check("broker", broker, settings.brokers, table, "broker")
    for pool in settings.pools.values():
        for queue in pool.queues:
            check("queue", queue, settings.queues, ("pools", pool.name), "queues")
        if pool.name in settings.queues and settings.queues[pool.name].workers:
            text = f"[queues.{pool.name}] has workers, which are a pool of that name already: rename this one"
            problems.add(("pools", pool.name), text)
