"""Bad disks, bad files, bad permissions: one clear line each, and nothing is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable, ConfigurationError
from tests.support.programs import run


def pause(database: Database, name: str) -> None:
    with database.begin() as tx:
        tx.execute(sa.insert(database.tables.queue), {"name": name})


def queues(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(database.tables.queue.c.name)).scalars())


@pytest.fixture
def opened():
    databases = []

    def opened(path, **options) -> Database:
        databases.append(Database(f"sqlite:///{path}", **options))
        return databases[-1]

    yield opened
    for database in databases:
        database.close()


def test_a_new_database_is_its_owners_alone(opened, tmp_path):
    """Task parameters may be private."""
    pause(opened(tmp_path / "var" / "queue.db"), "mail")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "var").iterdir()}
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    assert set(modes) >= {"queue.db", "queue.db-wal", "queue.db-lock"}
    assert set(modes.values()) == {0o600}


def test_permissions_that_somebody_set_are_kept_and_shared(opened, tmp_path):
    (tmp_path / "queue.db").touch()
    (tmp_path / "queue.db").chmod(0o664)
    database = opened(tmp_path / "queue.db")
    pause(database, "mail")
    with database.wakeup.listen("mail"):
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o664}
    assert "queue.db-wake-mail" in modes


def test_a_missing_folder_is_named(opened, tmp_path):
    with pytest.raises(ConfigurationError, match=f"there is no folder {tmp_path}/no/such; create it"):
        opened(tmp_path / "no" / "such" / "queue.db").initialize()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_database(opened, tmp_path):
    (tmp_path / "queue.db").mkdir()
    with pytest.raises(ConfigurationError, match=r"queue.db: this is a folder; name a file in it"):
        opened(tmp_path / "queue.db").initialize()


def test_a_text_file_is_no_database_and_stays_as_it_is(opened, tmp_path):
    (tmp_path / "notes.txt").write_text("Dear diary, " * 500)
    with pytest.raises(ConfigurationError, match=r"notes.txt: the file is not a SQLite database; name another one"):
        opened(tmp_path / "notes.txt").initialize()
    assert (tmp_path / "notes.txt").read_text() == "Dear diary, " * 500
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"], "nothing is put beside it"


def test_the_database_you_already_have_is_shared(opened, tmp_path):
    theirs = sqlite3.connect(tmp_path / "shop.db")
    theirs.executescript("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1), (2);")
    database = opened(tmp_path / "shop.db")
    pause(database, "mail")
    assert theirs.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    assert queues(database) == ["mail"]
    theirs.close()


def test_a_damaged_file_is_told_of_and_not_written_to(opened, tmp_path):
    path = tmp_path / "queue.db"
    database = opened(path)
    for n in range(300):
        pause(database, f"{n:0100}")
    database.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(BrokerUnavailable, match=r"the file is damaged; stop what uses it, .*restore a backup"):
        queues(opened(path))
    assert path.stat().st_size == size


FULL = """
import resource, sys
import sqlalchemy as sa
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable

database = Database("sqlite:///" + sys.argv[1])
insert = sa.insert(database.tables.queue)
with database.begin() as tx:
    tx.execute(insert, {"name": "kept"})
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    for batch in range(1000):
        with database.begin() as tx:
            tx.execute(insert, [{"name": f"{batch}/{n}", "paused_by": "x" * 200} for n in range(100)])
    sys.exit("the disk was large enough")
except BrokerUnavailable as error:
    print(error)
assert batch > 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
# There is room again: the same process goes on.
with database.begin() as tx:
    assert tx.execute(sa.select(sa.func.count()).select_from(database.tables.queue)).scalar() == batch * 100 + 1
    tx.execute(insert, {"name": "after"})
database.close()
"""


def test_a_full_disk_loses_nothing_that_was_committed(opened, tmp_path):
    said = run(FULL, tmp_path / "queue.db")
    assert "disk" in said
    assert "full" in said
    assert said.count("\n") == 1
    assert {"kept", "0/0", "after"} <= set(queues(opened(tmp_path / "queue.db")))


def test_a_database_that_cannot_grow_says_so(opened, tmp_path):
    database = opened(tmp_path / "queue.db")
    database.initialize()
    with pytest.raises(BrokerUnavailable, match=r"the disk is full; free some space"), database.begin() as tx:
        tx.execute(sa.text("PRAGMA max_page_count = 1"))
        tx.execute(sa.insert(database.tables.queue), [{"name": f"{n:0200}"} for n in range(1000)])
    database.close()
    assert queues(database) == []


READ_ONLY = """
import os, sys
from taskqueue.database.engine import Database
from taskqueue.errors import BrokerUnavailable
database = Database("sqlite:///" + sys.argv[1])
if os.geteuid() == 0:
    # Root may write anywhere. Nobody may not.
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    with database.begin():
        pass
except BrokerUnavailable as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["file", "folder", "folder without database"])
def test_what_may_only_be_read_is_told_of(tmp_path, what):
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "queue.db"
    if what != "folder without database":
        database = Database(f"sqlite:///{path}")
        database.initialize()
        database.close()
        for file in folder.iterdir():
            file.chmod(0o444)
    folder.chmod(0o777 if what == "file" else 0o555)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    said = run(READ_ONLY, path)
    assert "give this user write access to the file and to its folder" in said
    assert said.count("\n") == 1
    folder.chmod(0o755)


def test_a_database_that_was_deleted_is_not_written_to_in_vain(opened, tmp_path):
    path = tmp_path / "queue.db"
    database = opened(path)
    pause(database, "mail")
    for file in tmp_path.iterdir():
        file.unlink()
    # Once it says what happened; then it begins anew.
    with pytest.raises(BrokerUnavailable, match=r"no such table: taskqueue_queue: was the file replaced\?"):
        pause(database, "lost")
    pause(database, "news")
    assert queues(database) == ["news"]
    assert queues(opened(path)) == ["news"]


def test_a_folder_that_went_away_is_not_made_anew(opened, tmp_path):
    """A drive that was unmounted comes back with what it holds: nothing may stand in its place."""
    folder = tmp_path / "drive"
    folder.mkdir()
    database = opened(folder / "queue.db")
    pause(database, "mail")
    folder.rename(tmp_path / "away")
    with pytest.raises(BrokerUnavailable):
        pause(database, "lost")
    assert not folder.exists()
    (tmp_path / "away").rename(folder)
    assert queues(database) == ["mail"]


def test_a_database_that_was_restored_is_taken_up(opened, tmp_path):
    path = tmp_path / "queue.db"
    database = opened(path)
    pause(database, "mail")
    backup = sqlite3.connect(tmp_path / "backup.db")
    source = sqlite3.connect(path)
    source.backup(backup)
    source.close(), backup.close()
    pause(database, "news")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    (tmp_path / "backup.db").rename(path)
    assert queues(database) == ["mail"]
    pause(database, "after")
    assert queues(opened(path)) == ["after", "mail"]


def test_relative_paths_stay_where_they_began(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = opened("queue.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pause(database, "mail")
    assert (tmp_path / "queue.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
