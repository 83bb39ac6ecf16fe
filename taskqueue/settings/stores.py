"""Brokers and the task log: URLs, the options of each kind of store, and which may stand beside which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from taskqueue.settings.locations import sqlite_url
from taskqueue.settings.model import OPTIONS, BrokerSettings, Located, TaskLogSettings, rules_of, scheme_of
from taskqueue.settings.problems import Keys, Problems, as_table, named_tables, read_table

#: brokers that are no database: their entries need another store
KEEPS_NO_LOG = frozenset({"sqs"})


def read_brokers(tree: Mapping[str, Any], root: Path, problems: Problems) -> dict[str, BrokerSettings]:
    """`[brokers.NAME]`; there must be one."""
    brokers = {}
    for name, raw in named_tables(tree, "brokers", problems).items():
        table = ("brokers", name)
        if "url" not in raw:
            problems.add(table, 'missing; for instance "sqlite:///var/taskqueue.db"', key="url")
        values = _read_store(raw, BrokerSettings, table, root=root, problems=problems)
        brokers[name] = BrokerSettings(name=name, **_completed(values))
    if not brokers:
        problems.add((), 'no broker; add the two lines [brokers.main] and url = "sqlite:///var/taskqueue.db"')
    return brokers


def read_task_log(
    tree: Mapping[str, Any], brokers: Mapping[str, BrokerSettings], default: str, *, root: Path, problems: Problems
) -> TaskLogSettings:
    """`[task_log]`; without a URL of its own it stands in the store of the broker `default`."""
    table = ("task_log",)
    raw = as_table(tree.get("task_log", {}), table, problems)
    url = brokers[default].url if default in brokers else ""
    values = _read_store({"url": url} | raw if url else raw, TaskLogSettings, table, root=root, problems=problems)
    # On a broker's own database it has that broker's tables, unless it says otherwise.
    base = next((b.options for b in brokers.values() if b.url == values.get("url")), {})
    log = TaskLogSettings(**_completed(values, base))
    objection = _objection(log, brokers, named="url" in raw)
    if objection and not problems.within((*table, "url")):
        problems.add(table, objection, key="url")
    return log


def _objection(log: TaskLogSettings, brokers: Mapping[str, BrokerSettings], *, named: bool) -> str | None:
    """Why this log cannot hold the entries of these brokers."""
    loner = next((b for b in brokers.values() if b.scheme in KEEPS_NO_LOG), None)
    shared = next((b for b in brokers.values() if b.scheme in OPTIONS and b.scheme != "memory"), None)
    if loner and not named:
        return f"missing; the broker {loner.name!r} ({loner.scheme}://) keeps no entries: name a database here"
    if log.scheme in KEEPS_NO_LOG:
        return f"{log.scheme}:// keeps no entries: name a database here"
    if shared and log.scheme == "memory":
        return f"memory:// is seen by one process, the broker {shared.name!r} by many: name a database here"
    return None


def _read_store(
    raw: dict[str, Any], struct: type[Located], table: Keys, *, root: Path, problems: Problems
) -> dict[str, Any]:
    """What a store's table says, its options apart. Those of a third party's store are taken as they are."""
    own = rules_of(struct)
    kind = OPTIONS.get(scheme_of(str(raw.get("url", ""))))
    options = rules_of(kind) if kind else {key: _as_it_is for key in raw if key not in own}
    values = read_table(raw, {**own, **options}, table, problems)
    values["options"] = {key: values.pop(key) for key in options if key in values}
    try:
        if scheme_of(values.get("url", "")) == "sqlite":
            values["url"] = sqlite_url(values["url"], root)
    except ValueError as e:
        problems.add(table, str(e), key="url")
    return values


def _completed(values: dict[str, Any], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values with the options that they leave out: those of `base`, then the defaults of their kind of store."""
    kind = OPTIONS.get(scheme_of(values.get("url", "")))
    options = {**(base or {}), **values["options"]}
    return {**values, "options": asdict(kind(**options)) if kind else options}


def _as_it_is(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
