"""Where a run stores: a folder with a configuration, on a store that is made for it and goes with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import sqlalchemy as sa

from tests.support import sqs
from tests.support.eventually import eventually
from tests.support.own_servers import OwnPostgresql, free_port, listens
from tests.support.project import REPOSITORY

CONFIG = """
[app]
modules = ["tests.bench.tasks"]
[brokers.main]
{broker}
{task_log}
[logging]
level = "warning"
"""


class Postgresql:
    """A server: the one that `url` names, else one of our own."""

    def __init__(self, url: str | None) -> None:
        self._own = None if url else OwnPostgresql()
        self._url = sa.make_url(url or self._own.url).set(drivername="postgresql+psycopg")

    @contextmanager
    def database(self) -> Iterator[sa.URL]:
        """A new and empty one, as long as the block lasts."""
        name = f"taskqueue_bench_{uuid4().hex[:12]}"
        administer(self._url, f"CREATE DATABASE {name}")
        try:
            yield self._url.set(database=name)
        finally:
            administer(self._url, f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """End it, if it is ours."""
        if self._own is not None:
            self._own.close()


def administer(url: sa.URL | str, statement: str) -> None:
    """Run a statement that can be part of no transaction."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def text_of(url: sa.URL, driver: str = "postgresql+psycopg") -> str:
    """The URL with its password, for that driver."""
    return url.set(drivername=driver).render_as_string(hide_password=False)


#: Counts the calls of each kind, and tells them at an address of its own.
COUNTING = """
import collections, json
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
calls, serve = collections.Counter(), DomainDispatcherApplication.__call__
def counted(self, environ, start):
    if environ["PATH_INFO"] == "/bench-calls":
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(calls).encode()]
    calls[environ.get("HTTP_X_AMZ_TARGET", "?").rpartition(".")[2]] += 1
    return serve(self, environ, start)
DomainDispatcherApplication.__call__ = counted
"""


class Sqs:
    """moto's server, which counts."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with tempfile.TemporaryFile() as ahead:
            ahead.truncate(8)
            self._process = subprocess.Popen(
                [sys.executable, "-c", COUNTING + sqs.SERVER, str(port), str(ahead.fileno())],
                pass_fds=[ahead.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            eventually(lambda: listens(port), what="an answer of the SQS server")
        os.environ.update(sqs.CREDENTIALS)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def calls(url: str) -> dict[str, int]:
    """How often each kind of call was made at that server so far."""
    with urllib.request.urlopen(f"{url}/bench-calls") as answer:
        return dict(json.load(answer))


@contextmanager
def project(broker: str, task_log: str = "") -> Iterator[Path]:
    """The configuration of a project on these stores, whose tables are there."""
    with tempfile.TemporaryDirectory(prefix="taskqueue-bench-") as folder:
        config = Path(folder, "taskqueue.toml")
        config.write_text(CONFIG.format(broker=broker, task_log=task_log))
        command = [sys.executable, "-m", "taskqueue", "--config", str(config), "init"]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        yield config


def flush_time(times: int = 100) -> float:
    """Milliseconds that a write of 4 kB takes until it is on the disk of temporary files; the median."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(times):
            began = time.perf_counter()
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return round(median(took), 3)
