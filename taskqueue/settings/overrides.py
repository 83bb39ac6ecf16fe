"""`--set queues.mail.workers=8`: one value of the file replaced from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tomli

from taskqueue.errors import ConfigurationError
from taskqueue.masking import mask_url
from taskqueue.settings.problems import Keys, dotted, unknown
from taskqueue.settings.queues import IMPLICIT
from taskqueue.settings.rules import literal

#: tables of tables: an override changes what stands there and adds nothing, or a slip of the pen made a queue
NAMED = {"brokers": "broker", "queues": "queue", "pools": "pool"}


def apply(tree: dict[str, Any], sets: Iterable[str]) -> set[Keys]:
    """Put each KEY=VALUE into `tree`; the keys that were set. VALUE is TOML, or else a text as it stands."""
    done = set()
    for given in sets:
        name, equals, value = given.partition("=")
        keys = _keys(name)
        if not equals or len(keys) < 2:
            raise ConfigurationError(
                f"--set {mask_url(name)!r}: expected TABLE.KEY=VALUE, such as queues.mail.workers=8"
            )
        _put(tree, keys, literal(value))
        done.add(keys)
    return done


def _keys(name: str) -> Keys:
    """("queues", "mail", "workers") for "queues.mail.workers"; empty if it is not one key."""
    try:
        node: Any = tomli.loads(f"{name} = 0")
    except (ValueError, RecursionError):
        return ()
    keys = []
    while isinstance(node, dict) and len(node) == 1:
        key, node = next(iter(node.items()))
        keys.append(key)
    return tuple(keys) if node == 0 else ()


def _put(tree: dict[str, Any], keys: Keys, value: Any) -> None:
    what, known = NAMED.get(keys[0]), tree.get(keys[0], {})
    if keys[0] == "queues" and isinstance(known, dict):
        known = {IMPLICIT: {}} | known
    if what and isinstance(known, dict) and keys[1] not in known:
        raise ConfigurationError(f"--set {dotted(keys)}: {unknown(what, keys[1], known)}")
    table = tree
    for depth, key in enumerate(keys[:-1], start=1):
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"--set {dotted(keys)}: {dotted(keys[:depth])} is no table")
    table[keys[-1]] = value
