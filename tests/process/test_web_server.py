"""`taskqueue web` as a process: addresses, long polls, streams, callers that go away, and a quick end."""

from __future__ import annotations

import json
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from taskqueue.app import App
from taskqueue.settings import load
from tests.support import errands
from tests.support.eventually import eventually
from tests.support.own_servers import OwnPostgresql
from tests.support.web import Serve, Server, events

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]
ANYWHERE = ("--bind", "127.0.0.1:0")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    made: list[Server] = []

    def started(*args: str, folder: Path = tmp_path, **options: object) -> Server:
        made.append(Server(folder, *(args or ANYWHERE), **options))
        return made[-1]

    yield started
    for server in made:
        server.close()


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


@pytest.fixture
def app(server: Server) -> Iterator[App]:
    """The same configuration, in this process."""
    opened = App(load(server.config))
    yield opened
    opened.close()


def enqueue(app: App, task=errands.add, *args, **options) -> str:
    return app.dispatcher.options(**options).enqueue(task, *(args or (1,))).id


# Addresses


def test_it_serves_until_it_is_told_to_go(server):
    client = server.client()
    assert httpx.get(f"{server.address}/healthz").text == "ok\n"
    assert client.get("/tasks").json() == {"tasks": [], "next": None}
    assert client.get("/tasks").headers.get("server") is None
    assert server.stop() == 0
    assert server.log.read_text().splitlines()[-1].endswith("web server ended")


@pytest.mark.parametrize("signal", ["SIGINT", "SIGQUIT", "SIGTERM"])
def test_every_stop_is_one(server, signal):
    import signal as signals

    assert server.address
    server.process.send_signal(getattr(signals, signal))
    assert server.process.wait(20) == 0


def test_an_address_that_is_taken_is_one_line(serve, server, tmp_path):
    port = server.address.rpartition(":")[2]
    second = serve("--bind", f"127.0.0.1:{port}", folder=tmp_path)
    assert second.process.wait(30) == 1
    said = second.log.read_text().splitlines()[-1]
    assert said.startswith(f"taskqueue: cannot listen at 127.0.0.1:{port}: another server listens there; end it, or ")


def test_strangers_are_not_let_in_by_an_option(serve):
    server = serve("--bind", "0.0.0.0:0", guarded=False)
    assert server.process.wait(30) == 78
    assert "without tokens everybody who reaches 0.0.0.0:0 could do everything" in server.log.read_text()


def test_a_socket_file_is_its_owners_alone_and_goes_with_the_server(serve, tmp_path):
    path = tmp_path / "web.sock"
    server = serve("--bind", f"unix:{path}", guarded=False)
    assert server.address == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
        assert client.get("/api/v1/tasks").status_code == 200
        assert client.post("/api/v1/operations", json={"action": "cancel", "search": {}}).status_code == 202
    second = serve("--bind", f"unix:{path}", guarded=False)
    assert second.process.wait(30) == 1
    assert "another server listens there" in second.log.read_text()
    assert server.stop() == 0
    assert list(tmp_path.glob("*web.sock*")) == []


def test_a_socket_file_of_a_dead_server_is_taken_over_and_another_file_is_not(serve, tmp_path):
    path = tmp_path / "web.sock"
    dead = serve("--bind", f"unix:{path}")
    assert dead.address
    dead.process.kill()
    dead.process.wait(10)
    assert path.exists()
    assert serve("--bind", f"unix:{path}").address
    precious = tmp_path / "precious"
    precious.write_text("mine")
    refused = serve("--bind", f"unix:{precious}")
    assert refused.process.wait(30) == 1
    assert "is there and is no socket: move it away" in refused.log.read_text()
    assert precious.read_text() == "mine"


def test_a_path_below_which_a_proxy_serves_it(serve):
    server = serve(web='root_path = "/queue"')
    client = server.client()
    made = client.post("/tasks", json={"name": "tests.support.errands:add", "parameters": {"a": 1}})
    assert made.headers["location"] == f"/queue/api/v1/tasks/{made.json()['id']}"


# Long polls


def test_who_waits_is_told_within_a_moment(server, app):
    task = enqueue(app)
    client = server.client()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, f"/tasks/{task}", params={"wait": 60})
        eventually(lambda: psutil.Process(server.process.pid).net_connections(kind="tcp"))
        app.task_log.cancel(task)
        assert waiting.result(20).json()["status"] == "cancelled"


def test_callers_that_go_away_leave_nothing_behind(server, app):
    """Neither a thread, nor a connection, nor somebody who is still asked for."""
    task = enqueue(app)
    process = psutil.Process(server.process.pid)
    server.client().get("/tasks")
    port = int(server.address.rpartition(":")[2])
    gone = []
    for _ in range(40):
        caller = socket.create_connection(("127.0.0.1", port))
        line = f"GET /api/v1/tasks/{task}?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer the-token-of-ann"
        caller.sendall(line.replace("ann", "operator-0123456789").encode() + b"\r\n\r\n")
        gone.append(caller)
    eventually(lambda: len(_established(process)) >= 40)
    for caller in gone:
        caller.close()
    eventually(lambda: len(_established(process)) <= 2, what="the connections to be gone")
    # The main one, eight for requests, one each for who follows and who listens, and the database's own.
    assert process.num_threads() <= 12
    assert server.client().get(f"/tasks/{task}").status_code == 200


def _established(process: psutil.Process) -> list[object]:
    return [one for one in process.net_connections(kind="tcp") if one.status == psutil.CONN_ESTABLISHED]


def test_an_open_wait_or_stream_delays_no_end(server, app):
    task = enqueue(app)
    client = server.client()
    opened = threading.Barrier(3)

    def listen(path: str) -> int:
        with client.stream("GET", path) as answer:
            lines = answer.iter_lines()
            next(lines)
            opened.wait(20)
            return sum(1 for _ in lines)

    with ThreadPoolExecutor(3) as pool:
        waiting = pool.submit(client.get, f"/tasks/{task}", params={"wait": 60})
        streams = [pool.submit(listen, "/events"), pool.submit(listen, f"/events?task={task}")]
        opened.wait(20)
        eventually(lambda: len(_established(psutil.Process(server.process.pid))) >= 3)
        began = time.monotonic()
        assert server.stop() == 0
        took = time.monotonic() - began
        assert waiting.result(20).json()["status"] == "enqueued"
        assert all(stream.result(20) >= 0 for stream in streams)
    assert took < 2, f"it took {took:.1f} s to leave"
    assert "Traceback" not in server.log.read_text()


# Streams


def test_the_fleet_is_told_each_second(server, app):
    enqueue(app)
    with server.client("reader").stream("GET", "/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        told = (json.loads(data) for name, data in events(answer) if name == "fleet")
        first = next(told)
        assert [(queue["name"], queue["waiting"]) for queue in first["queues"]] == [("default", 1), ("other", 0)]
        assert (first["hosts"], first["away"]) == ([], "")
        enqueue(app)
        enqueue(app)
        later = next(sample for sample in told if sample["queues"][0]["waiting"] == 3)
        assert later["queues"][0]["entered_per_minute"] > 0
        assert later["queues"][0]["ended_per_minute"] == 0


def test_a_task_is_told_of_as_it_changes(server, app):
    ours, other = enqueue(app, owner="ann"), enqueue(app, owner="ann")
    with server.client("ann").stream("GET", "/events", params={"task": [ours, other]}) as answer:
        told = ((name, json.loads(data)) for name, data in events(answer))
        assert {next(told)[1]["id"] for _ in range(2)} == {ours, other}
        app.task_log.cancel(ours)
        name, task = next(told)
        assert (name, task["id"], task["status"]) == ("task", ours, "cancelled")


def test_a_listener_that_goes_away_ends_what_was_done_for_it(server, app):
    process = psutil.Process(server.process.pid)
    with server.client().stream("GET", "/events") as answer:
        next(answer.iter_lines())
    eventually(lambda: len(_established(process)) <= 1)

    def asks_nothing() -> bool:
        before = process.io_counters().read_chars
        threading.Event().wait(1.5)
        return process.io_counters().read_chars - before < 20_000

    eventually(asks_nothing, what="a server that looks at nothing any more")


# Outages


def test_a_store_that_is_away_is_told_and_is_back_when_it_is(serve, tmp_path):
    """P15, P16."""
    store = OwnPostgresql()
    try:
        server = serve(stores=f'url = "{store.url}"')
        App(load(server.config)).dispatcher.initialize()
        client = server.client()
        made = client.post("/tasks", json={"name": "tests.support.errands:add", "parameters": {"a": 1}})
        made = made.json()["id"]
        store.control("stop", "-m", "immediate")
        away = client.get("/tasks")
        assert (away.status_code, away.headers["retry-after"]) == (503, "2")
        assert away.headers["content-type"] == "application/problem+json"
        assert client.get(f"/tasks/{made}", params={"wait": 1}).status_code == 503
        assert httpx.get(f"{server.address}/healthz").status_code == 200
        store.control("start", "-o", f"-h '' -k {store.folder}")
        assert eventually(lambda: (again := client.get("/tasks")).status_code == 200 and again).json()["tasks"]
        assert client.get(f"/tasks/{made}").status_code == 200
    finally:
        store.close()


def test_a_stream_goes_on_through_an_outage(server, app):
    enqueue(app)
    database = app.settings.root / "tasks.db"
    with server.client().stream("GET", "/events") as answer:
        told = (json.loads(data) for name, data in events(answer) if name == "fleet")
        assert next(told)["queues"]
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("ALTER TABLE taskqueue_host RENAME TO elsewhere")
        assert next(sample for sample in told if sample["away"])["queues"] == []
        with closing(sqlite3.connect(database)) as connection, suppress(sqlite3.Error), connection:
            connection.execute("ALTER TABLE elsewhere RENAME TO taskqueue_host")
        assert next(sample for sample in told if not sample["away"])["queues"]


def test_modules_that_cannot_be_imported_hide_no_task(serve):
    server = serve(modules='"no_such_module"')
    client = server.client()
    assert client.get("/tasks").status_code == 200
    answer = client.post("/tasks", json={"name": "tests.support.errands:add"})
    assert (answer.status_code, "cannot import 'no_such_module'" in answer.text) == (409, True)
    assert "tasks cannot be enqueued here" in server.log.read_text()
