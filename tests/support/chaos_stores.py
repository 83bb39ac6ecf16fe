"""The stores that a chaotic story plays on, each with what can go wrong with it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from tests.support import sqs, stores
from tests.support.eventually import eventually
from tests.support.own_servers import OwnMariadb, OwnPostgresql, OwnServer
from tests.support.sqs_unruly import UnrulySqs


class Store(AbstractContextManager["Store"]):
    """A store of the story's own, as long as the block. `text` is its configuration."""

    weights: ClassVar[Mapping[str, int]] = {}

    def __init__(self, folder: Path, seed: int) -> None:
        self.text = ""
        self.done: Counter[str] = Counter()
        self._folder = folder
        self._stack = ExitStack()

    def calm(self) -> None:
        """Nothing goes wrong any more."""

    def __exit__(self, *error: object) -> None:
        self._stack.close()


class Sqlite(Store):
    """One file for all: SQLite is for one host, so that these are three supervisors of one."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.file = folder / "tasks.db"
        self.text = f'url = "sqlite:///{self.file}"'


class SmallDisk(Sqlite):
    """SQLite in a folder that is a disk of its own, of a few dozen megabytes: see `tests.support.small_disk`."""

    weights: ClassVar[Mapping[str, int]] = {"fill_disk": 4}

    def __init__(self, folder: Path, seed: int) -> None:
        assert folder.is_mount(), f"{folder} is no disk of its own: what fills it would fill this machine's"
        super().__init__(folder, seed)

    def fill_disk(self, size: float) -> None:
        """No byte is left, until somebody could not go on."""
        before, ballast = self._complaints(), self._folder / "ballast"

        def missed() -> bool:
            # A log that was long once has room to be written again: without this it might take hours.
            with closing(sqlite3.connect(self.file, timeout=0.1)) as connection, suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with ballast.open("ab", buffering=0) as file, suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            return self._complaints() > before

        try:
            eventually(missed, within=60, what="somebody who misses the space")
        finally:
            ballast.unlink()

    def _complaints(self) -> int:
        logs = self._folder.parent.glob("*/supervisor-*.log")
        return sum(log.read_text(errors="replace").count("the disk is full") for log in logs)


class _Server(Store):
    weights: ClassVar[Mapping[str, int]] = {"restart_server": 2, "end_sessions": 4}
    kind: Callable[[], OwnServer]
    sessions = ""
    ending = ""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self._server = type(self).kind()
        self._stack.callback(self._server.close)
        self.url = self._server.url
        self.text = f'url = "{self.url}"'
        # Its administrator is no session of those whom it ends.
        self._engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def restart_server(self, size: float) -> None:
        """It crashes and comes back."""
        self._server.restart()

    def end_sessions(self, size: float) -> None:
        """All connections are gone, whatever they were about."""
        with self._engine.connect() as connection:
            numbers = list(connection.exec_driver_sql(self.sessions).scalars())
            for number in numbers:
                with suppress(sa.exc.DBAPIError):  # it has ended by itself
                    connection.exec_driver_sql(self.ending.format(number))


class Postgresql(_Server):
    """A server of its own."""

    kind = OwnPostgresql
    sessions = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    ending = "SELECT pg_terminate_backend({})"


class Mariadb(_Server):
    """A server of its own."""

    kind = OwnMariadb
    sessions = "SELECT id FROM information_schema.processlist WHERE db IS NOT NULL AND id <> connection_id()"
    ending = "KILL {}"


class Sqs(Store):
    """Queues at SQS behind an unruly relay, the task log in a PostgreSQL server of its own."""

    weights: ClassVar[Mapping[str, int]] = {"refuse_all": 3}

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        server = OwnPostgresql()
        self._stack.callback(server.close)
        self.relay = self._stack.enter_context(UnrulySqs(sqs.endpoint(), seed))
        self.text = stores.with_sqs(server.url, self.relay.url)
        self.done = self.relay.done

    def refuse_all(self, size: float) -> None:
        """It answers errors, until it has answered a good many."""
        before = self.relay.refused
        self.relay.broken = True
        eventually(lambda: self.relay.refused >= before + 5 + int(size * 20), within=60, what="refused requests")
        self.relay.broken = False

    def calm(self) -> None:
        self.relay.calm = True


STORES: dict[str, Callable[[Path, int], Any]] = {
    "sqlite": Sqlite,
    "small-disk": SmallDisk,
    "postgresql": Postgresql,
    "mariadb": Mariadb,
    "sqs": Sqs,
}
