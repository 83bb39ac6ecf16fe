"""P17, P21: our tables come, and come up, by themselves or by `taskqueue init`; and fit the release that uses them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from taskqueue.database import upgrade
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, SchemaMismatch
from tests.support.programs import run, start

Open = Callable[..., Database]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    databases = []

    def opened(file: str = "queue.db", **options) -> Database:
        databases.append(Database(f"sqlite:///{tmp_path / file}", **options))
        return databases[-1]

    yield opened
    for database in databases:
        database.close()


def definitions(connection: sa.Connection) -> dict[str, str]:
    """What the file says of its tables and indexes, without their version table and accidents of spelling."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {name: re.sub(r"\s+", " ", sql) for name, sql in rows if not name.endswith("version")}


def set_meta(database: Database, **facts: str) -> None:
    meta = database.tables.meta
    with database.begin() as tx:
        for name, value in facts.items():
            tx.execute(sa.delete(meta).where(meta.c.name == name))
            tx.execute(sa.insert(meta), {"name": name, "value": value})


def set_revision(database: Database, revision: str) -> None:
    with database.begin() as tx:
        tx.execute(sa.update(upgrade.version_table(database.tables)).values(version_num=revision))
    database.close()


@pytest.mark.parametrize("prefix", ["taskqueue_", "tq_", ""])
def test_the_migrations_make_exactly_the_tables_of_the_code(opened, prefix):
    database = opened(prefix=prefix)
    database.initialize()
    plain = sa.create_engine("sqlite://")
    with database.read() as migrated, plain.connect() as created:
        database.tables.metadata.create_all(created)
        assert definitions(migrated) == definitions(created)
        context = MigrationContext.configure(migrated, opts={"version_table": f"{prefix}version"})
        assert compare_metadata(context, database.tables.metadata) == []
    plain.dispose()


def test_the_release_knows_its_newest_revision():
    config = Config()
    config.set_main_option("script_location", str(Path(upgrade.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions == [f"{number:04}" for number in range(upgrade.HEAD, 0, -1)]


def test_initialising_again_touches_nothing(opened):
    database = opened()
    database.initialize()
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.queue), {"name": "mail"})
        database.dialect.reserve_ids(tx, 7)
    for other in (database, opened()):
        other.initialize()
        with other.begin() as tx:
            assert tx.execute(sa.select(other.tables.queue.c.name)).scalars().all() == ["mail"]
            assert database.dialect.reserve_ids(tx, 1) >= 8


def test_processes_that_initialise_at_once_do_not_disturb_each_other(tmp_path):
    program = """
    import sys
    from taskqueue.database.engine import Database
    import alembic.command  # so that all are at the same point
    database = Database("sqlite:///" + sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    database.initialize()
    with database.begin() as tx:
        print(database.dialect.reserve_ids(tx, 1))
    database.close()
    """
    processes = [start(program, tmp_path / "queue.db") for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=30) for process in processes]
    assert sorted(answers) == [(f"{n}\n", "") for n in (1, 2, 3, 4)]


def test_alembic_is_loaded_only_when_there_is_something_to_do(opened, tmp_path):
    opened().initialize()
    program = """
    import sys
    from taskqueue.database.engine import Database
    database = Database("sqlite:///" + sys.argv[1])
    with database.begin():
        pass
    assert "alembic" not in sys.modules
    database.close()
    """
    run(program, tmp_path / "queue.db")


def test_several_task_queues_share_one_file(opened):
    first, second = opened(prefix="a_"), opened(prefix="b_")
    for database in (first, second, first):
        with database.begin() as tx:
            tx.execute(database.dialect.insert_new(database.tables.queue), {"name": database.tables.prefix})
    with second.read() as connection:
        assert connection.execute(sa.select(second.tables.queue.c.name)).scalars().all() == ["b_"]


def test_a_schema_that_is_too_new_is_refused_in_one_line(opened):
    database = opened()
    set_meta(database, oldest_release="2")
    set_revision(database, "0002")
    for step in (database.initialize, lambda: database.begin().__enter__(), lambda: database.read().__enter__()):
        with pytest.raises(SchemaMismatch, match=r"queue.db: its schema 0002 is newer than .* knows \(0001\); upgrade"):
            step()


def test_a_newer_schema_that_only_added_something_is_lived_with(opened):
    """P21: release N-1 goes on beside N."""
    database = opened()
    set_meta(database, oldest_release="1")
    set_revision(database, "0007")
    database.initialize()
    with database.begin() as tx:
        assert tx.execute(sa.select(database.tables.queue)).all() == []


def test_where_a_person_initialises_the_missing_schema_is_said(opened, monkeypatch):
    database = opened()
    monkeypatch.setattr(database.dialect, "initializes_itself", False)
    with pytest.raises(SchemaMismatch, match=r"missing or too old for this release; run `taskqueue init`"):
        database.begin().__enter__()
    database.initialize()
    with database.begin():
        pass


def test_tables_are_not_created_against_a_transaction_that_is_to_be_joined(opened):
    database = opened(timeout=0.2)
    engine = sa.create_engine(database.name)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id INTEGER)")
        connection.exec_driver_sql("INSERT INTO orders VALUES (1)")
        with pytest.raises(BrokerUnavailable, match=r"run `taskqueue init`"):
            database.join(connection).__enter__()
    engine.dispose()
