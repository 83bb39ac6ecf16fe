"""Brokers and task logs of third parties come in by entry point (DESIGN 5)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from taskqueue import plugins
from taskqueue.brokers.memory import InMemoryQueueBroker
from taskqueue.brokers.rds import RdsQueueBroker
from taskqueue.errors import ConfigurationError
from taskqueue.message import Message

SOURCE = """
from taskqueue.brokers.memory import InMemoryQueueBroker

class ParcelBroker(InMemoryQueueBroker):
    pass

class ParcelLog:
    pass

not_a_class = 1
"""
ENTRY_POINTS = """
[taskqueue.brokers]
parcel = acme_parcel:ParcelBroker
broken = acme_missing:Broker
number = acme_parcel:not_a_class

[taskqueue.task_log_brokers]
parcel = acme_parcel:ParcelLog
"""
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution of that name with these entry points where Python finds installed packages."""

    def put(name: str, points: str) -> None:
        site = tmp_path / name
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        (site / "acme_parcel.py").write_text(SOURCE)
        monkeypatch.syspath_prepend(str(site))

    monkeypatch.delitem(sys.modules, "acme_parcel", raising=False)
    return put


def test_an_installed_package_brings_a_broker_and_a_task_log(install: Install) -> None:
    install("acme-parcel", ENTRY_POINTS)
    broker = plugins.broker_class("parcel://depot").open(plugins.Store(url="parcel://depot"), "mail")
    broker.push([Message("1", b"hello")])
    assert [d.body for d in broker.pop(limit=1, lease=60)] == [b"hello"]
    assert plugins.task_log_class("parcel+fast://depot").__name__ == "ParcelLog"


def test_the_built_in_brokers_come_in_by_the_same_door() -> None:
    assert plugins.broker_class("memory://") is InMemoryQueueBroker
    assert plugins.broker_class("sqlite:///var/tasks.db") is RdsQueueBroker
    assert plugins.broker_class("postgresql+psycopg://db/shop") is RdsQueueBroker
    assert (
        plugins.broker_class("mysql+pymysql://db/shop") is plugins.broker_class("mariadb://db/shop") is RdsQueueBroker
    )
    assert plugins.broker_class("SQLite+pysqlite:///var/tasks.db") is RdsQueueBroker


def test_an_unknown_scheme_is_refused_with_a_guess_and_what_is_known() -> None:
    with pytest.raises(ConfigurationError, match=r"no broker for 'sqlit://', did you mean 'sqlite'\?; known: .*memory"):
        plugins.broker_class("sqlit:///x")
    with pytest.raises(ConfigurationError, match=r"group 'taskqueue.task_log_brokers': install the one .* 'carrier'"):
        plugins.task_log_class("carrier://pigeon")


@pytest.mark.parametrize(
    ("url", "says"),
    [("broken://x", "package acme-parcel.*cannot be imported.*acme_missing"), ("number://x", "is no class")],
)
def test_a_broken_package_is_named(install: Install, url: str, says: str) -> None:
    install("acme-parcel", ENTRY_POINTS)
    with pytest.raises(ConfigurationError, match=says):
        plugins.broker_class(url)


def test_two_packages_for_one_scheme_are_refused(install: Install) -> None:
    install("acme-parcel", ENTRY_POINTS)
    install("other-parcel", "[taskqueue.brokers]\nparcel = acme_parcel:OtherBroker\n")
    with pytest.raises(ConfigurationError, match=r"two packages serve 'parcel://'.*uninstall one"):
        plugins.broker_class("parcel://x")


@pytest.mark.parametrize("url", ["", "tasks.db", "user:secret@host/db"])
def test_a_url_without_a_scheme_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"begins with its scheme") as refused:
        plugins.broker_class(url)
    assert "secret" not in str(refused.value)
