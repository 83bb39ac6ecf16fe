"""Servers that cannot be used: one clear line, the right exit code, no secret, and nothing lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from taskqueue.errors import EXIT_CONFIGURATION, EXIT_FAILED
from tests.support import planted
from tests.support.servers_to_break import OwnPostgresql, OwnServer, own_mariadb, own_postgresql, saying_version
from tests.support.shell import Shell, shell

CONFIG = """
[app]
modules = ["tests.support.errands"]
enqueue_timeout = 2
[brokers.main]
url = "{url}"
[queues.default]
"""
ADD = "tests.support.errands:add"
SECRET = planted.PASSWORD
#: what a person or an application would do
COMMANDS = [("enqueue", ADD, "a=1"), ("worker", "--once", "--log-level", "warning"), ("init",), ("log", "list")]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[OwnPostgresql]:
    with own_postgresql() as server:
        server.execute(f"CREATE ROLE ann LOGIN PASSWORD '{SECRET}'", "CREATE DATABASE shop OWNER ann")
        server.configure(hba="local all postgres trust\nlocal all all scram-sha-256\n")
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Iterator[OwnServer]:
    with own_mariadb() as server:
        server.execute("CREATE DATABASE shop", f"CREATE USER ann@'127.0.0.1' IDENTIFIED BY '{SECRET}'")
        server.execute("GRANT ALL ON shop.* TO ann@'127.0.0.1'")
        yield server


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request) -> OwnServer:
    return request.getfixturevalue(request.param)


@pytest.fixture
def shop(server) -> str:
    """A database of this test's own, which is ann's."""
    name = f"shop_{uuid4().hex[:8]}"
    if isinstance(server, OwnPostgresql):
        server.execute(f"CREATE DATABASE {name} OWNER ann")
    else:
        server.execute(f"CREATE DATABASE {name}", f"GRANT ALL ON {name}.* TO ann@'127.0.0.1'")
    return name


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as opened:
        yield opened


def configure(sh: Shell, url: str) -> None:
    sh.forget()
    sh.config.write_text(CONFIG.format(url=url))


def refused(sh: Shell, said: str, *, code: int, commands=COMMANDS) -> None:
    for args in commands:
        sh.forget()
        ran = sh.type(*args)
        assert ran.code == code, (args, ran)
        assert said in ran.line, args
        assert SECRET not in ran.err
        assert "wrong-one" not in ran.err


def test_a_wrong_password(sh, server, shop):
    configure(sh, server.url_of(shop, user="ann", password=SECRET))
    sh("init")
    task_id = sh.enqueue(ADD, "a=1")
    configure(sh, server.url_of(shop, user="ann", password="wrong-one"))
    refused(sh, "the server does not let this user in; check user and password", code=EXIT_CONFIGURATION)
    configure(sh, server.url_of(shop, user="ann", password=SECRET))
    assert [entry["id"] for entry in sh.json("log", "list")["entries"]] == [task_id]
    sh.drain()


def test_a_missing_database(sh, server):
    configure(sh, server.url_of("nowhere"))
    refused(sh, "there is no such database; create it, or name another one", code=EXIT_CONFIGURATION)


def test_a_server_that_is_too_old_postgresql(sh, postgresql):
    with saying_version(postgresql, "13.14") as url:
        configure(sh, url)
        refused(sh, "PostgreSQL 13.14 is too old; upgrade the server to 14 or newer", code=EXIT_CONFIGURATION)
        found = sh.type("doctor").out
        assert "WRONG  postgresql+psycopg://postgres:***@127.0.0.1:" in found
        assert "is too old; upgrade the server" in found


def test_a_server_that_is_too_old_mariadb(sh):
    with own_mariadb("--version=10.5.23-MariaDB") as server:
        server.execute("CREATE DATABASE shop")
        configure(sh, server.url_of("shop"))
        refused(sh, "MariaDB 10.5.23-MariaDB is too old; upgrade the server to 10.6", code=EXIT_CONFIGURATION)


def test_a_user_without_rights_postgresql(sh, postgresql):
    configure(sh, postgresql.url_of("shop", user="ann", password=SECRET))
    sh("init")
    task_id = sh.enqueue(ADD, "a=1")
    postgresql.execute(
        "DROP ROLE IF EXISTS bob",
        f"CREATE ROLE bob LOGIN PASSWORD '{SECRET}'",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO bob",
        database="shop",
    )
    configure(sh, postgresql.url_of("shop", user="bob", password=SECRET))
    refused(sh, "this user may not do that; grant it the right", code=EXIT_FAILED, commands=COMMANDS[:1])
    assert task_id in sh("log", "show", task_id)


def test_a_user_without_rights_mariadb(sh, mariadb):
    configure(sh, mariadb.url_of("shop", user="ann", password=SECRET))
    sh("init")
    task_id = sh.enqueue(ADD, "a=1")
    mariadb.execute(
        f"CREATE OR REPLACE USER bob@'127.0.0.1' IDENTIFIED BY '{SECRET}'", "GRANT SELECT ON shop.* TO bob@'127.0.0.1'"
    )
    configure(sh, mariadb.url_of("shop", user="bob", password=SECRET))
    refused(sh, "this user may not do that; grant it the right", code=EXIT_FAILED, commands=COMMANDS[:1])
    assert task_id in sh("log", "show", task_id)


def test_a_role_that_only_reads_by_default_can_write_all_the_same(sh, postgresql):
    """Transactions of ours say that they write."""
    postgresql.execute("ALTER ROLE ann IN DATABASE shop SET default_transaction_read_only = on")
    try:
        configure(sh, postgresql.url_of("shop", user="ann", password=SECRET))
        sh("init")
        sh.enqueue(ADD, "a=1")
        sh.drain()
    finally:
        postgresql.execute("ALTER ROLE ann IN DATABASE shop RESET default_transaction_read_only")


def test_a_server_that_only_reads_mariadb(sh, mariadb):
    configure(sh, mariadb.url_of("shop", user="ann", password=SECRET))
    sh("init")
    task_id = sh.enqueue(ADD, "a=1")
    mariadb.execute("SET GLOBAL read_only = ON")
    try:
        said = "it is read-only, as a replica is; name the primary server"
        refused(sh, said, code=EXIT_FAILED, commands=COMMANDS[:1])
        sh.forget()
        assert "it only reads, as a replica does" in sh.type("doctor").out
    finally:
        mariadb.execute("SET GLOBAL read_only = OFF")
    sh.forget()
    sh.drain()
    assert sh.json("log", "show", task_id)["status"] == "completed"


@pytest.mark.timeout(120)
def test_a_replica_postgresql(sh):
    with own_postgresql() as server:
        server.execute("CREATE DATABASE shop")
        configure(sh, server.url_of("shop"))
        sh("init")
        task_id = sh.enqueue(ADD, "a=1")
        sh.forget()
        server.configure(standby=True)
        refused(
            sh, "it is read-only, as a replica is; name the primary server", code=EXIT_FAILED, commands=COMMANDS[:1]
        )
        sh.forget()
        assert "it is a replica, which only reads" in sh.type("doctor").out
        assert [entry["id"] for entry in sh.json("log", "list")["entries"]] == [task_id]
        sh.forget()


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [("postgresql://ann:s3cret@h/shop", "psycopg", "postgresql"), ("mysql://ann:s3cret@h/shop", "pymysql", "mysql")],
)
def test_a_missing_driver(sh, monkeypatch, url, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    configure(sh, url)
    refused(sh, f"pip install 'taskqueue-supervisor[{extra}]'", code=EXIT_CONFIGURATION)
    assert f"pip install 'taskqueue-supervisor[{extra}]'" in sh.type("doctor").out
