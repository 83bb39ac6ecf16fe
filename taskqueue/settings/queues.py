"""Queues and pools: defaults, merging, and which workers serve which queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskqueue.settings.model import BrokerSettings, PoolSettings, QueueSettings, rules_of
from taskqueue.settings.problems import Keys, Problems, as_table, named_tables, read_table

#: this queue needs no table of its own
IMPLICIT = "default"


class QueueTables:
    """`[queue_defaults]` and each `[queues.NAME]` as the file has them, not merged yet."""

    def __init__(self, tree: Mapping[str, Any], default_queue: str, problems: Problems) -> None:
        rules = rules_of(QueueSettings)
        self.default_queue = default_queue
        self.defaults = read_table(
            as_table(tree.get("queue_defaults", {}), ("queue_defaults",), problems),
            rules,
            ("queue_defaults",),
            problems,
        )
        self.queues: dict[str, dict[str, Any]] = {IMPLICIT: {}} if default_queue == IMPLICIT else {}
        self.queues |= {
            queue: read_table(raw, rules, ("queues", queue), problems)
            for queue, raw in named_tables(tree, "queues", problems).items()
        }

    def default_broker(self, brokers: Mapping[str, BrokerSettings], problems: Problems) -> str:
        """The name of the default queue's broker; with one broker, that one."""
        named = self.queues.get(self.default_queue, {}).get("broker") or self.defaults.get("broker")
        if named is None and len(brokers) > 1 and not problems.within(("queues", self.default_queue, "broker")):
            text = f"there are several brokers ({', '.join(brokers)}): name the one of the default queue"
            problems.add(("queues", self.default_queue), text, key="broker")
        return named or next(iter(brokers), "")

    def named_brokers(self) -> list[tuple[Keys, str]]:
        """Where a broker is named, and which."""
        places: list[tuple[Keys, dict[str, Any]]] = [(("queue_defaults",), self.defaults)]
        places += [(("queues", queue), values) for queue, values in self.queues.items()]
        return [(table, values["broker"]) for table, values in places if "broker" in values]

    def merged(self, queue: str, broker: str, *, pooled: bool) -> QueueSettings:
        """A queue's settings in full. What a pool serves has no workers of its own unless its table asks for some."""
        pool = {"workers": 0} if pooled else {}
        return QueueSettings(name=queue, **({"broker": broker} | self.defaults | pool | self.queues.get(queue, {})))


def read_pools(tree: Mapping[str, Any], problems: Problems) -> dict[str, PoolSettings]:
    """`[pools.NAME]`, each of at least one queue."""
    pools = {}
    for pool, raw in named_tables(tree, "pools", problems).items():
        table = ("pools", pool)
        if "queues" not in raw:
            problems.add(table, "missing; list the queues that it serves", key="queues")
        pools[pool] = PoolSettings(name=pool, **read_table(raw, rules_of(PoolSettings), table, problems))
    return pools
