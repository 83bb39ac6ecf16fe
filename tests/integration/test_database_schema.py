"""P17, P21: our tables in a file that is new, shared with others, too old or too new."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import alembic
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from taskqueue.database import upgrade
from taskqueue.database.engine import Database
from taskqueue.errors import ConfigurationError, SchemaMismatch
from tests.support import readme
from tests.support.programs import start

Open = Callable[..., Database]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    databases = []

    def opened(**options) -> Database:
        databases.append(Database(f"sqlite:///{path}", **options))
        return databases[-1]

    yield opened
    for database in databases:
        database.close()


def contents(path: Path) -> dict[str, object]:
    """All that the file says: its definitions, and the rows of each table."""
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    schema = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    connection.close()
    return {"schema": sorted(map(str, schema)), **rows}


def add_queue(database: Database, name: str) -> None:
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.queue), {"name": name})


def queues(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.execute(sa.select(database.tables.queue.c.name)).scalars())


def say_revision(path: Path, revision: str, oldest_release: str | None = None) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE taskqueue_version SET version_num = ?", (revision,))
    if oldest_release:
        connection.execute("UPDATE taskqueue_meta SET value = ? WHERE name = 'oldest_release'", (oldest_release,))
    connection.commit()
    connection.close()


# Beginning


def test_hot_tables_are_kept_in_their_key_s_own_tree(opened, path):
    opened().initialize()
    connection = sqlite3.connect(path)
    clustered = {name for (_, name, _, _, without, _) in connection.execute("PRAGMA table_list") if without}
    connection.close()
    assert clustered == {f"taskqueue_{name}" for name in ("message", "lease", "delayed", "entry")}


def join_nothing(database: Database) -> None:
    with pytest.raises(ConfigurationError), database.join(None):
        pass


@pytest.mark.parametrize("use", [queues, lambda database: add_queue(database, "mail"), join_nothing])
def test_the_first_use_initialises_the_file(opened, path, use):
    use(opened())
    assert "taskqueue_entry" in contents(path)


def test_initialising_again_changes_nothing(opened, path):
    opened().initialize()
    before = contents(path)
    database = opened()
    for _ in range(2):
        database.initialize()
    assert contents(path) == before


def test_threads_that_use_a_new_file_at_once_all_work(opened):
    databases = [opened() for _ in range(2)]
    at_once = threading.Barrier(6)

    def work(number: int) -> None:
        at_once.wait()
        add_queue(databases[number % 2], f"q{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queues(opened()) == [f"q{number}" for number in range(6)]


ROUNDS = """
import os, sys
import alembic.command  # so that both are as fast
import sqlalchemy as sa
from taskqueue.database.engine import Database

folder, me = sys.argv[1:]
for line in sys.stdin:
    database = Database(f"sqlite:///{folder}/{line.strip()}.db")
    print("ready", flush=True)
    sys.stdin.readline()
    if int(line) % 2:
        database.initialize()
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.queue), {"name": me})
    with database.read() as connection:
        assert me in connection.execute(sa.select(database.tables.queue.c.name)).scalars().all()
    database.close()
    print("done", flush=True)
"""


def test_processes_that_begin_a_file_at_once_both_work(tmp_path):
    """P17, with `initialize` and without, several times over."""
    processes = [start(ROUNDS, tmp_path, name) for name in "ab"]

    def tell(line: str) -> None:
        for process in processes:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def all_say(line: str) -> None:
        for process in processes:
            assert process.stdout.readline() == f"{line}\n", process.stderr.read()

    for number in range(8):
        tell(str(number))
        all_say("ready")
        tell("go")
        all_say("done")
        found = contents(tmp_path / f"{number}.db")
        assert [row[0] for row in sorted(found["taskqueue_queue"])] == ["a", "b"]
        assert found["taskqueue_version"] == [(f"{upgrade.HEAD:04}",)]
        assert sorted(name for name, _ in found["taskqueue_meta"]) == ["boot_id", "message_id", "oldest_release"]
    for process in processes:
        assert process.communicate(timeout=30) == ("", "")


# Too new, too old


def test_a_schema_that_is_too_new_is_one_clear_line_and_is_not_written_to(opened, path):
    database = opened()
    add_queue(database, "mail")
    database.close()
    say_revision(path, "0099", oldest_release="99")
    before = contents(path)
    newcomer = opened()
    uses = [newcomer.initialize, lambda: add_queue(newcomer, "lost"), lambda: queues(newcomer)]
    for use in [*uses, lambda: newcomer.join(None).__enter__()]:
        with pytest.raises(SchemaMismatch, match="its schema 0099 is newer than this release knows") as refused:
            use()
        assert refused.value.exit_code == 78
        assert "\n" not in str(refused.value)
    assert contents(path) == before


def test_a_version_that_is_none_is_one_clear_line_and_is_not_written_to(opened, path):
    opened().initialize()
    say_revision(path, "ae1027a6acf")
    before = contents(path)
    with pytest.raises(SchemaMismatch, match="says 'ae1027a6acf', which is no schema of any release; restore a backup"):
        opened().initialize()
    assert contents(path) == before


NEXT = """
from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    tables = context.config.attributes["tables"]
    op.add_column(f"{tables.prefix}queue", sa.Column("note", sa.Text))
    if FAILS:
        raise ZeroDivisionError
"""


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """From now on this process is the next release, which has a revision more."""

    def next_release(*, fails: bool = False) -> None:
        folder = tmp_path / "100% next"
        shutil.copytree(Path(upgrade.__file__).with_name("migrations"), folder / "migrations")
        (folder / "migrations/versions/r0002_next.py").write_text(NEXT.replace("FAILS", str(fails)))
        monkeypatch.setattr(upgrade, "__file__", str(folder / "upgrade.py"))
        monkeypatch.setattr(upgrade, "HEAD", 2)

    return next_release


def test_an_old_schema_is_brought_up_at_first_use_and_keeps_its_rows(opened, path, next_release):
    add_queue(old := opened(), "mail")
    next_release()
    assert queues(opened()) == ["mail"]
    found = contents(path)
    assert found["taskqueue_version"] == [("0002",)]
    assert found["taskqueue_queue"] == [("mail", None, None, None)]
    # The release before goes on beside it.
    add_queue(old, "news")
    assert queues(opened()) == ["mail", "news"]


def test_an_upgrade_that_fails_leaves_everything_as_it_was(opened, path, next_release):
    opened().initialize()
    before = contents(path)
    next_release(fails=True)
    with pytest.raises(ZeroDivisionError):
        opened().initialize()
    assert contents(path) == before


def test_where_a_person_brings_it_up_an_old_schema_is_one_clear_line(opened, path, next_release, monkeypatch):
    opened().initialize()
    before = contents(path)
    next_release()
    database = opened()
    monkeypatch.setattr(database.dialect, "initializes_itself", False)
    with pytest.raises(SchemaMismatch, match=r"too old for this release; run `taskqueue init`") as refused:
        queues(database)
    assert refused.value.exit_code == 78
    assert contents(path) == before
    database.initialize()
    assert queues(database) == []


# Beside others


@pytest.fixture
def theirs(tmp_path: Path, path: Path) -> Config:
    """An application with its own Alembic, which follows the README's recipe, and has made its first table."""
    names: dict[str, object] = {}
    exec(_recipe(), names)
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    env = """
    import sqlalchemy as sa
    from alembic import context

    attributes = context.config.attributes
    with attributes["engine"].connect() as connection:
        context.configure(
            connection=connection, target_metadata=attributes["metadata"], include_name=attributes["include_name"]
        )
        with context.begin_transaction():
            context.run_migrations()
    """
    (folder / "env.py").write_text(textwrap.dedent(env))
    shutil.copy(Path(alembic.__file__).with_name("templates") / "generic/script.py.mako", folder)
    metadata = sa.MetaData()
    sa.Table("orders", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("email", sa.Text))
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    config = Config(attributes={"engine": engine, "metadata": metadata, "include_name": names["include_name"]})
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    return config


def _recipe() -> str:
    (recipe,) = [block.text for block in readme.blocks("python") if "def include_name" in block.text]
    return recipe


def test_an_application_s_own_migrations_and_ours_do_not_see_each_other(opened, path, theirs, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    command.revision(theirs, "first", autogenerate=True)
    command.upgrade(theirs, "head")
    with theirs.attributes["engine"].begin() as connection:
        connection.exec_driver_sql("INSERT INTO orders VALUES (1, 'ann@example.org')")
    before = contents(path)
    add_queue(opened(), "mail")
    now = contents(path)
    assert now["orders"] == [(1, "ann@example.org")]
    assert now["alembic_version"] == before["alembic_version"] != []
    assert {name for name in now if not name.startswith("taskqueue_")} == set(before)

    command.check(theirs)  # raises if it would propose anything
    with theirs.attributes["engine"].connect() as connection:
        context = MigrationContext.configure(connection)
        dropped = {change[0] for change in compare_metadata(context, theirs.attributes["metadata"])}
    assert "remove_table" in dropped, "which it would without the recipe"

    ours = {name: rows for name, rows in now.items() if name.startswith("taskqueue_")}
    command.downgrade(theirs, "base")
    assert "orders" not in contents(path)
    assert {name: rows for name, rows in contents(path).items() if name.startswith("taskqueue_")} == ours


def test_tables_of_our_names_that_are_not_ours_are_left_alone(opened, path):
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE taskqueue_queue (id INTEGER); INSERT INTO taskqueue_queue VALUES (7);")
    connection.close()
    before = contents(path)
    with pytest.raises(ConfigurationError, match="it has a table taskqueue_queue .*set another `prefix`"):
        opened().initialize()
    assert contents(path) == before
    add_queue(opened(prefix="tq_"), "mail")
    assert contents(path)["taskqueue_queue"] == [(7,)]


def test_another_prefix_is_another_task_queue_in_the_same_file(opened, path):
    first, second = opened(), opened(prefix="other_")
    add_queue(first, "mail")
    before = contents(path)
    add_queue(second, "news")
    now = contents(path)
    assert (queues(first), queues(second)) == (["mail"], ["news"])
    assert {name: now[name] for name in before if name != "schema"} == {n: before[n] for n in before if n != "schema"}
    assert {f"other_{n.removeprefix('taskqueue_')}" for n in before if n.startswith("taskqueue_")} <= set(now)
    with second.begin() as tx:
        assert second.dialect.reserve_ids(tx, 5) == 1
    with first.begin() as tx:
        assert first.dialect.reserve_ids(tx, 1) == 1
    say_revision(path, "0099", oldest_release="99")
    with pytest.raises(SchemaMismatch):
        queues(opened())
    assert queues(opened(prefix="other_")) == ["news"], "each has its own version"


def test_a_file_s_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "100% größe #1?"
    folder.mkdir()
    database = Database(sa.URL.create("sqlite", database=str(folder / "queue.db")).render_as_string())
    add_queue(database, "mail")
    database.close()
    assert "queue.db" in os.listdir(folder)
