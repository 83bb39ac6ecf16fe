"""What is wrong with a configuration: gathered, so that one look shows all of it (P18)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from taskqueue.errors import ConfigurationError, did_you_mean
from taskqueue.masking import mask_url
from taskqueue.settings.rules import Rule, describe, name

#: where a key stands: ("queues", "mail", "workers")
Keys = tuple[str, ...]
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Problems:
    """The problems of one configuration, a line each. `overridden` keys are those that --set gave."""

    def __init__(self, source: str, overridden: Collection[Keys] = ()) -> None:
        self.source = source
        self.overridden = overridden
        self.lines: list[str] = []
        self.bad: list[Keys] = []

    def add(self, table: Keys, text: str, *, key: str | None = None) -> None:
        """Note a problem of a table, or of one of its keys."""
        place = table if key is None else (*table, key)
        self.bad.append(place)
        if place in self.overridden:
            self.lines.append(f"--set {dotted(place)}: {text}")
        else:
            where = [self.source, *([f"[{dotted(table)}]"] if table else []), *([dotted((key,))] if key else [])]
            self.lines.append(f"{' '.join(where)}: {text}")

    def unknown(self, table: Keys, key: str, known: Iterable[str]) -> None:
        """Note a key, or at the top a table, that nobody reads."""
        text = unknown("key" if table else "table", key, known)
        self.add(table, text, key=key if (*table, key) in self.overridden else None)

    def within(self, place: Keys) -> bool:
        """Whether a problem of this key, or of one below it, is noted already."""
        return any(bad[: len(place)] == place for bad in self.bad)

    def raise_any(self) -> None:
        """Raise what was gathered as one ConfigurationError; nothing if there is nothing."""
        if self.lines:
            raise ConfigurationError("\n".join(self.lines))


def read_table(raw: dict[str, Any], rules: Mapping[str, Rule], table: Keys, problems: Problems) -> dict[str, Any]:
    """The values of a table's keys that were read well. The others are noted."""
    values = {}
    for key, value in raw.items():
        if key not in rules:
            problems.unknown(table, key, rules)
        elif not problems.within((*table, key)):
            try:
                values[key] = rules[key](value)
            except ValueError as e:
                problems.add(table, str(e), key=key)
    return values


def as_table(raw: Any, table: Keys, problems: Problems) -> dict[str, Any]:
    """`raw`, if it is a table; else an empty one, and the problem is noted."""
    if isinstance(raw, dict):
        return raw
    problems.add(table, f"expected a table, not {describe(raw)}")
    return {}


def named_tables(
    tree: Mapping[str, Any], kind: str, problems: Problems, *, above: Keys = ()
) -> dict[str, dict[str, Any]]:
    """The tables `[kind.NAME]` by name; `above` are the keys of `tree` itself."""
    table = (*above, kind)
    tables = as_table(tree.get(kind, {}), table, problems)
    for given in tables:
        try:
            name(given)
        except ValueError as e:
            problems.add(table, str(e))
    return {given: as_table(raw, (*table, given), problems) for given, raw in tables.items()}


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """A line about a word that nobody knows, with the nearest known one, or all."""
    choices = sorted(known)
    hint = did_you_mean(word, choices) or f"; known: {', '.join(choices) or 'none'}"
    return f"unknown {what} {describe(word)}{hint}"


def dotted(keys: Keys) -> str:
    """Keys as TOML spells them: queues."a b".workers."""
    return ".".join(k if _BARE.fullmatch(k) else _quoted(mask_url(k)) for k in keys)


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=not key.isprintable())
