"""config/example.toml shows every key with its default and a line of meaning, and nothing else."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import tomli
from msgspec import structs

from taskqueue.settings import PoolSettings, QueueSettings, Settings, TokenSettings, WebSettings, parse
from taskqueue.settings.model import OPTIONS, BrokerSettings, rules_of
from taskqueue.settings.resolve import TABLES

FILE = Path(__file__).parents[2] / "config" / "example.toml"
SHORT = FILE.read_text(encoding="utf-8")
#: the same with every setting that is commented out ("#key = ...", no blank after the "#") switched on
FULL = re.sub(r"^#(?! |$)", "", SHORT, flags=re.MULTILINE)


def read(text: str) -> Settings:
    return parse(text, file=FILE, environ={"PASSWORD": "open sesame", "TOKEN_OF_ANN": "twenty-characters-long"})


def defaults(struct, *, without=()):
    return {key: value for key, value in structs.asdict(struct()).items() if key not in without}


def test_every_table_is_there():
    assert set(tomli.loads(FULL)) == set(TABLES)


@pytest.mark.parametrize("table", ["app", "task_log", "queue_defaults", "supervisor", "logging"])
def test_every_key_is_there(table):
    keys = rules_of({f.name: f.type for f in structs.fields(Settings)}[table])

    assert set(tomli.loads(FULL)[table]) == set(keys)


def test_every_kind_of_store_and_every_option_is_there():
    shown = {b["url"].split(":")[0].split("+")[0]: set(b) for b in tomli.loads(FULL)["brokers"].values()}
    wanted = {scheme: {*rules_of(BrokerSettings), *rules_of(kind)} for scheme, kind in OPTIONS.items()}

    assert shown == {scheme: keys for scheme, keys in wanted.items() if scheme not in ("memory", "mariadb")}


def test_every_key_of_a_pool_is_there():
    assert all(set(pool) == set(rules_of(PoolSettings)) for pool in tomli.loads(FULL)["pools"].values())


def test_every_key_of_the_web_server_and_of_a_token_is_there():
    shown = tomli.loads(FULL)["web"]

    assert set(shown) == {*rules_of(WebSettings), "tokens"}
    assert all(set(token) == set(rules_of(TokenSettings)) for token in shown["tokens"].values())


def test_what_is_shown_are_the_defaults():
    shown, silent = read(FULL), read(SHORT)

    for part in ("supervisor", "logging", "queue_defaults", "root"):
        assert getattr(shown, part) == getattr(silent, part)
    assert shown.task_log.url == silent.task_log.url
    assert shown.task_log.options == silent.task_log.options
    assert shown.task_log.retention == silent.task_log.retention
    assert structs.replace(shown.app, routes={}) == silent.app
    assert shown.queues["default"] == silent.queues["default"] == QueueSettings(name="default", broker="main")
    assert structs.replace(shown.web, tokens={}) == silent.web
    assert structs.replace(shown.web.tokens["ann"], token="") == TokenSettings(name="ann", owner="ann")
    assert structs.replace(shown.pools["mixed"], queues=()) == PoolSettings(name="mixed")
    for broker in shown.brokers.values():
        assert broker.options == defaults(OPTIONS[broker.scheme])


def test_every_key_has_a_line_of_meaning_at_its_first_place():
    seen, bare = set(), []
    lines = SHORT.splitlines()
    for above, line in itertools.pairwise(lines):
        if key := re.match(r'#?([\w":.]+) = ', line):
            if key[1] not in seen and key[1] != "url" and not above.startswith("# "):
                bare.append(line)
            seen.add(key[1])

    assert not bare
