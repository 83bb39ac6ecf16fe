"""The web application in this process, with one caller for each role; and as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from taskqueue.app import App
from taskqueue.limits import worker_limits
from taskqueue.settings import parse
from taskqueue.web.application import create
from tests.support.eventually import eventually
from tests.support.project import REPOSITORY

#: by name, which is the role but for the users ann and bob
TOKENS = {name: f"the-token-of-{name}-0123456789" for name in ("ann", "bob", "reader", "operator")}
CONFIG = """
[app]
modules = [{modules}]
[brokers.main]
{stores}
[queues.default]
[queues.other]
[web]
enqueue = {enqueue}
{web}
{tokens}
"""
PARTS = {"modules": '"tests.support.errands"', "stores": 'url = "sqlite:///tasks.db"', "enqueue": "true", "web": ""}
API = "/api/v1"


def tokens() -> str:
    """The tables of all tokens."""
    role = {"ann": "user", "bob": "user"}
    return "\n".join(
        f'[web.tokens.{name}]\ntoken = "{token}"\nrole = "{role.get(name, name)}"' for name, token in TOKENS.items()
    )


def configuration(*, guarded: bool = True, **parts: str) -> str:
    """The text of a configuration; guarded by tokens or not. `parts` are those of CONFIG."""
    return CONFIG.format(**{**PARTS, **parts}, tokens=tokens() if guarded else "")


class Web:
    """An application with its store in a folder. `caller` gives clients; without tokens everybody is an operator."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.app = App(parse(configuration(**options), file=folder / "taskqueue.toml"))
        self.app.import_modules()
        self.asgi = create(self.app)
        self._open = contextlib.ExitStack()
        #: one for all, so that all requests run in one event loop
        self._client = self._open.enter_context(
            TestClient(self.asgi, base_url="http://127.0.0.1", client=("127.0.0.1", 50000))
        )

    def __call__(self, name: str | None, method: str, path: str, **options: Any) -> httpx.Response:
        """What this caller is answered; None shows no token. Paths begin behind /api/v1."""
        shown = {} if name is None else {"Authorization": f"Bearer {TOKENS.get(name, name)}"}
        headers = {**shown, **options.pop("headers", {})}
        return self._client.request(method, API + path, headers=headers, follow_redirects=False, **options)

    def get(self, path: str, *, name: str | None = "operator", **options: Any) -> Any:
        """The JSON of what must be there."""
        answer = self(name, "GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def plain(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request as it is said."""
        return self._client.request(method, path, **options)

    def enqueue(self, task: Any, *args: Any, owner: str | None = None, **options: Any) -> str:
        """A task of that owner; its id."""
        said = {"owner": owner, **options} if owner else options
        return str(self.app.dispatcher.options(**said).enqueue(task, *args).id)

    def drain(self) -> None:
        """Let a worker run all that is due."""
        names = list(self.app.settings.queues)
        self.app.worker(names, worker_limits(self.app.settings, names, drain=True)).run()

    def close(self) -> None:
        self.asgi.state.hub.close()
        self._open.close()
        self.app.close()


class Server:
    """`taskqueue web` as a process; `client` talks to it as `name`."""

    def __init__(self, folder: Path, *args: str, **options: Any) -> None:
        self.config = folder / "taskqueue.toml"
        self.config.write_text(configuration(**options))
        self.log = folder / "web.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "taskqueue", "web", "--config", str(self.config), *args],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._clients: list[httpx.Client] = []

    @property
    def address(self) -> str:
        """Where it says that it listens."""
        return eventually(self._address, within=30)

    def _address(self) -> str:
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"web server started +address=(\S+)", self.log.read_text())
        return found[1] if found else ""

    def client(self, name: str | None = "operator") -> httpx.Client:
        shown = {"Authorization": f"Bearer {TOKENS[name]}"} if name else {}
        self._clients.append(httpx.Client(base_url=self.address + API, headers=shown, timeout=30))
        return self._clients[-1]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def ask_at(socket_file: Path, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """One request to a server at that file; the status code and the JSON of its answer. Raises OSError."""
    connection = HTTPConnection("localhost", timeout=20)
    with contextlib.closing(connection), socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(20)
        connection.sock.connect(str(socket_file))
        encoded = None if body is None else json.dumps(body)
        connection.request(method, API + path, encoded, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def events(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """The events of a stream, name and data, as they come."""
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, line.removeprefix("data: ")


Serve = Callable[..., Server]
