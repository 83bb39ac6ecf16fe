"""`taskqueue init` and the schema on each kind of database (P17, P21)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from taskqueue.database.engine import Database
from taskqueue.errors import SchemaMismatch
from tests.support.own_servers import postgresql_wheel
from tests.support.servers import Unreachable, new_database, skip_or_fail
from tests.support.shell import Shell, shell

CONFIG = """
[app]
modules = ["tests.support.errands"]
[brokers.main]
url = "{url}"
{options}
[queues.default]
"""
ADD = "tests.support.errands:add"


class Place(msgspec.Struct):
    """A new database of one kind, and a command line at it."""

    kind: str
    url: str
    sh: Shell

    @property
    def plain(self) -> str:
        """The URL as clients take it."""
        return self.url.replace("+psycopg", "").replace("+pymysql", "")

    def execute(self, *statements: str) -> list:
        """As an administrator, each statement by itself; the rows of the last."""
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                answers = [connection.exec_driver_sql(statement) for statement in statements]
                return list(answers[-1].all()) if answers[-1].returns_rows else []
        finally:
            engine.dispose()

    def tables(self, schema: str | None = None) -> list[str]:
        engine = sa.create_engine(self.url)
        try:
            return sorted(sa.inspect(engine).get_table_names(schema=schema))
        finally:
            engine.dispose()

    def works(self) -> None:
        """A task is enqueued and runs."""
        self.sh.forget()
        task_id = self.sh.enqueue(ADD, "a=1")
        self.sh.drain()
        assert self.sh.json("log", "show", task_id)["status"] == "completed"


@pytest.fixture
def place(request, tmp_path):
    kind = request.param
    try:
        url = f"sqlite:///{tmp_path}/tasks.db" if kind == "sqlite" else new_database(kind)
    except Unreachable as reason:
        skip_or_fail(str(reason))
    with shell(tmp_path, config=CONFIG.format(url=url, options="")) as sh:
        yield Place(kind, url, sh)


everywhere = pytest.mark.parametrize("place", ["sqlite", "postgresql", "mariadb"], indirect=True)
on: Callable[..., pytest.MarkDecorator] = lambda *kinds: pytest.mark.parametrize("place", kinds, indirect=True)  # noqa: E731  # a mark


def client(place: Place) -> list[str]:
    """The command that reads statements from its input, as an administrator types it."""
    url = sa.make_url(place.url)
    if place.kind == "sqlite":
        return [program("sqlite3"), "-bail", str(url.database)]
    if place.kind == "postgresql":
        return [program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", place.plain]
    login = [f"--host={url.host}", f"--port={url.port or 3306}", f"--user={url.username}"]
    return [
        program("mariadb", "mysql"),
        *login,
        *([f"--password={url.password}"] if url.password else []),
        url.database,
    ]


def program(*names: str) -> str:
    bundled = Path(str(postgresql_wheel().__file__)).parent / "pginstall" / "bin"
    found = next((path for n in names if (path := shutil.which(n) or shutil.which(n, path=str(bundled)))), None)
    if found is None:
        skip_or_fail(f"no {' or '.join(names)} here")
    return str(found)


def feed(place: Place, statements: str) -> None:
    ended = subprocess.run(client(place), input=statements, text=True, capture_output=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


# The plan


@everywhere
def test_the_plan_says_what_would_be_done_and_does_nothing(place):
    ran = place.sh.type("init", "--plan")
    assert (ran.code, ran.err) == (1, "")
    assert ": create schema 0001 (queue default; task log)\n" in ran.out
    assert place.tables() == []
    if place.kind == "sqlite":
        Path(sa.make_url(place.url).database).unlink()  # by looking for tables
        assert place.sh.type("init", "--plan").code == 1
        assert not list(place.sh.folder.glob("tasks.db*"))

    assert ": schema 0001 (queue default; task log)\n" in place.sh("init")
    assert ": nothing to do (queue default; task log)\n" in place.sh("init", "--plan")
    place.works()


@on("sqlite")
def test_what_was_done_is_told_to_programs(place):
    said = {"brokers": ["main"], "queues": ["default"], "task_log": True}
    assert json.loads(place.sh.type("init", "--plan", "--json").out) == [
        {"store": place.url, **said, "schema": 0, "todo": "create schema 0001"}
    ]
    assert place.sh.json("init") == [{"store": place.url, **said, "schema": 1, "done": "create schema 0001"}]
    assert place.sh.json("init") == [{"store": place.url, **said, "schema": 1, "done": None}]


@on("sqlite")
def test_the_plan_leaves_a_database_of_the_application_as_it_is(place):
    place.execute("CREATE TABLE orders (id INTEGER)")
    file = Path(sa.make_url(place.url).database)
    before = file.read_bytes()
    assert place.sh.type("init", "--plan").code == 1
    assert file.read_bytes() == before
    assert list(place.sh.folder.glob("tasks.db?*")) == []


# Statements for an administrator


@everywhere
def test_the_statements_work_as_they_are_fed_to_the_databases_own_client(place):
    feed(place, place.sh("init", "--sql"))
    database = Database(place.url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "taskqueue_version"})
        assert [
            found
            for found in compare_metadata(context, database.tables.metadata)
            if found[1].name != "taskqueue_number"  # it is MySQL's alone
        ] == []
    database.close()
    assert "nothing to do" in place.sh("init", "--plan")
    place.works()


@on("postgresql")
def test_the_statements_are_for_the_schema_and_prefix_of_the_configuration(place):
    place.sh.config.write_text(CONFIG.format(url=place.url, options='schema = "of tasks"\nprefix = "tq_"'))
    feed(place, place.sh("init", "--sql"))
    assert place.tables() == []
    assert "tq_entry" in place.tables("of tasks")
    place.works()


@everywhere
def test_statements_for_a_schema_that_is_there_are_none(place):
    said = place.sh("init", "--sql", "--after", "1")
    assert [line for line in said.splitlines() if line and not line.startswith("--")] == []


@on("sqlite")
def test_statements_are_printed_for_one_store_at_a_time(place):
    place.sh.config.write_text(
        CONFIG.format(url=place.url, options="") + f'[task_log]\nurl = "sqlite:///{place.sh.folder}/log.db"\n'
    )
    said = place.sh.type("init", "--sql")
    assert (said.code, said.line) == (
        2,
        "2 databases are configured: name one by --store: main, log; see `taskqueue init --help`",
    )
    assert place.sh("init", "--sql", "--store", "log").startswith(f"-- sqlite:///{place.sh.folder}/log.db (task log)")
    assert "no store 'mian', did you mean 'main'?" in place.sh.type("init", "--store", "mian").line


# Locks


@on("postgresql")
def test_an_init_does_not_wait_behind_a_long_transaction(place):
    engine = sa.create_engine(place.url)
    with engine.connect() as other:
        other.exec_driver_sql("CREATE TABLE taskqueue_message (id INTEGER)")
        ran = place.sh.type("init", "--lock-timeout", "300ms")
        assert ran.code == 1
        assert "others held a lock on it for longer than 0.3 s (--lock-timeout)" in ran.line
        other.rollback()
    engine.dispose()
    assert place.tables() == []
    place.sh("init")
    place.works()


@on("mariadb")
def test_an_init_does_not_wait_for_a_table_that_is_in_use_for_long(place):
    place.execute("CREATE TABLE taskqueue_version (version_num VARCHAR(32) PRIMARY KEY)")
    statement = "CREATE TABLE taskqueue_entry (id INTEGER)"
    place.execute(statement)
    engine = sa.create_engine(place.url)
    with engine.connect() as other:
        other.exec_driver_sql("LOCK TABLES taskqueue_entry WRITE")
        ran = place.sh.type("init", "--lock-timeout", "1s")
        other.exec_driver_sql("UNLOCK TABLES")
    engine.dispose()
    assert ran.code == 1
    assert "others held a lock on it for longer than 1 s (--lock-timeout)" in ran.line
    place.execute("DROP TABLE taskqueue_entry")
    place.sh("init")
    place.works()


@on("mariadb")
def test_an_init_gives_up_where_another_one_is_at_work_for_long(place):
    name = sa.make_url(place.url).database
    engine = sa.create_engine(place.url)
    with engine.connect() as other:
        other.exec_driver_sql(f"SELECT GET_LOCK('{name}.taskqueue_init', 5)")
        assert "others held a lock on it" in place.sh.type("init", "--lock-timeout", "1s").line
        other.exec_driver_sql(f"SELECT RELEASE_LOCK('{name}.taskqueue_init')")
    engine.dispose()
    assert place.tables() == []


@on("mariadb")
def test_an_init_that_failed_keeps_no_lock_in_a_process_that_goes_on(place):
    place.execute("CREATE TABLE taskqueue_version (version_num VARCHAR(32) PRIMARY KEY)")
    place.execute("CREATE TABLE taskqueue_entry (id INTEGER)")
    failing, other = Database(place.url, timeout=1), Database(place.url, timeout=1)
    with pytest.raises(sa.exc.DBAPIError, match="ix_taskqueue_entry|Key column"):
        failing.initialize()
    with pytest.raises(SchemaMismatch), failing.read():
        pass
    place.execute("DROP TABLE taskqueue_entry")
    other.initialize()
    failing.initialize()
    for one in (failing, other):
        one.close()
    place.works()


# Half way


@on("mariadb")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.soak)])
def test_an_init_that_was_ended_anywhere_is_finished_by_the_next(place, step):
    """Statements that define tables commit by themselves there."""
    script = [s.strip() for s in place.sh("init", "--sql").split(";") if "CREATE" in s or "INSERT" in s]
    assert len(script) > 15
    for done in range(len(script) - 1, 0, -step):
        place.execute(*script[:done])
        place.sh.forget()
        assert "create schema 0001" in place.sh.type("init", "--plan").out
        place.sh("init")
        database = Database(place.url)
        with database.read() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": "taskqueue_version"})
            found = compare_metadata(context, database.tables.metadata)
            assert [f for f in found if f[1].name != "taskqueue_number"] == [], script[done]
            assert connection.execute(sa.select(sa.func.count()).select_from(database.tables.meta)).scalar() == 2
        database.close()
        if done <= step or done == len(script) - 1:
            place.works()
        place.execute("SET foreign_key_checks = 0", *(f"DROP TABLE {table}" for table in place.tables()))


@on("mariadb")
def test_a_version_that_somebody_lost_is_not_taken_for_an_init_half_way(place):
    place.sh("init")
    place.sh.enqueue(ADD, "a=1")
    place.execute("DELETE FROM taskqueue_version")
    place.sh.forget()
    said = place.sh.type("init")
    assert said.code == 78
    assert "the table taskqueue_version says None, which is no schema of any release; restore a backup" in said.line


# Releases beside each other


def to_next(place: Place, *, oldest: int) -> None:
    """What a later release would do: a new column, and its revision."""
    place.sh("init")
    place.execute(
        "ALTER TABLE taskqueue_entry ADD COLUMN colour VARCHAR(10) DEFAULT 'red' NOT NULL",
        "CREATE INDEX ix_taskqueue_colour ON taskqueue_entry (colour)",
        "CREATE TABLE taskqueue_later (id INTEGER)",
        "UPDATE taskqueue_version SET version_num = '0002'",
        f"UPDATE taskqueue_meta SET value = '{oldest}' WHERE name = 'oldest_release'",
    )
    place.sh.forget()


@everywhere
def test_this_release_goes_on_beside_the_next_one_that_has_only_added_something(place):
    """P21"""
    to_next(place, oldest=1)
    place.works()
    assert ": schema 0002 (" in place.sh("init")
    assert "nothing to do" in place.sh("init", "--plan")
    assert place.execute("SELECT version_num FROM taskqueue_version") == [("0002",)]


@everywhere
def test_a_schema_that_this_release_cannot_live_with_is_one_line(place):
    """P21"""
    to_next(place, oldest=2)
    for args in (("init",), ("init", "--plan"), ("log", "list"), ("enqueue", ADD, "a=1")):
        said = place.sh.type(*args)
        assert said.code == 78
        assert "its schema 0002 is newer than this release knows (0001); upgrade taskqueue-supervisor here" in said.line


@everywhere
def test_the_connections_check_is_told_to_programs(place):
    place.sh("init")
    checks = place.sh.json("check")
    assert [(check["what"].split(",")[0], check["ok"]) for check in checks] == [
        ("configuration", True),
        ("modules", True),
        ("broker main", True),
        ("task log", True),
    ]
    place.sh.config.write_text(CONFIG.format(url="postgresql://ann:s3cret@127.0.0.1:1/shop", options=""))
    place.sh.forget()
    ran = place.sh.type("check", "--json")
    assert ran.code == 1
    wrong = [check for check in json.loads(ran.out) if not check["ok"]]
    assert [check["what"].split(",")[0] for check in wrong] == ["broker main", "task log"]
    assert "does not answer; is the server running" in wrong[0]["text"]
    assert "s3cret" not in ran.out + ran.err
