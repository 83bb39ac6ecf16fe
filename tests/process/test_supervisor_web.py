"""The web server as one more child of the supervisor: started, replaced and ended with it, and no worker's concern."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

import httpx
import psutil
import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.supervision import TWO_WORKERS, RunningSupervisor, Site, up
from tests.support.web import ask_at, events

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]
WEB = '\n[web]\nbind = "unix:web.sock"\n'


def ask(site: Site, method: str, path: str, body: object = None) -> Any:
    """What the web server answers: its status code and JSON; None while it does not."""
    try:
        return ask_at(site.folder / "web.sock", method, path, body)
    except (OSError, HTTPException):
        return None


def served(site: Site) -> int:
    """Wait until it answers; the status code."""
    return eventually(lambda: ask(site, "GET", "/tasks"), what="an answer of the web server")[0]


@contextmanager
def client(site: Site) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(site.folder / "web.sock"))
    with httpx.Client(transport=transport, base_url="http://localhost/api/v1", timeout=20) as opened:
        yield opened


@pytest.fixture
def site(make_site) -> Site:
    return make_site(supervisor=WEB)


@pytest.fixture
def running(site: Site) -> RunningSupervisor:
    supervisor = site.start()
    assert served(site) == 200
    return supervisor


def web_of(supervisor: RunningSupervisor) -> int:
    return supervisor.slot(pool="web").pid


def test_it_is_a_pool_of_its_own_and_goes_with_the_supervisor(site, running):
    pool = running.pool("web")
    assert (pool.kind, pool.wanted, pool.works) == ("web", 1, False)
    assert pool.slots[0].activity == "idle"
    assert running.stop() == 0
    assert not (site.folder / "web.sock").exists()
    assert "web server ended" in running.output


def test_nothing_of_it_is_imported_where_it_is_not_wanted(make_site):
    site = make_site()
    supervisor = site.start()
    assert [pool.name for pool in supervisor.status.pools] == ["keeper", "default"]
    for pid in (supervisor.pid, *supervisor.pids()):
        opened = [file.path for file in psutil.Process(pid).memory_maps()]
        assert not [path for path in opened if "starlette" in path or "uvicorn" in path]


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
def test_its_death_harms_no_worker(site, running, how):
    """Killed it is back within moments; frozen it is ended, and replaced. Workers go on with what they do."""
    gate = site.folder / "gate"
    handle = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    runner, before, web = running.runs(handle), running.pids(), web_of(running)
    os.kill(web, getattr(signal, how))
    others = [site.queue.enqueue(tasks.add, n, 1) for n in range(20)]
    assert {other.wait(20) for other in others} == {Status.COMPLETED}
    running.eventually(lambda status: (pids := up(status, "web")) and web not in pids, within=60)
    assert served(site) == 200
    assert running.pids() == before
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    assert int(site.lines("end", handle.id)[0][4]) == runner
    assert (site.attempts(handle), site.counters(handle)) == ([], (1, 0))
    assert running.slot(pool="web").restarts == 1


def test_a_reload_starts_replaces_and_ends_it_and_moves_no_worker(make_site):
    site = make_site()
    supervisor = site.start()
    workers = supervisor.pids()
    site.write(supervisor=WEB)
    supervisor.send("SIGHUP")
    assert served(site) == 200
    first = web_of(supervisor.ready())
    site.write(supervisor=f"{WEB}enqueue = true\n")
    supervisor.send("SIGHUP")
    supervisor.replaced(first, pool="web")

    body = {"name": "tests.support.tasks:add", "parameters": {"a": 1, "b": 1}}
    eventually(lambda: (told := ask(site, "POST", "/tasks", body)) and told[0] == 201, what="the new settings")
    assert site.folder.joinpath("web.sock").exists(), "the one that left has taken its own file only"
    site.write(supervisor="")
    supervisor.send("SIGHUP")
    supervisor.eventually(lambda status: [pool.name for pool in status.pools] == ["keeper", "default"])
    assert not (site.folder / "web.sock").exists()
    assert supervisor.pids() == workers


def test_a_change_of_queues_replaces_it_too(site, running):
    before = web_of(running)
    site.write(queues=f"{TWO_WORKERS}\n[queues.mail]\nworkers = 1\n")
    running.send("SIGHUP")
    running.replaced(before, pool="web")

    def known() -> bool:
        told = ask(site, "GET", "/queues")
        return told is not None and [queue["name"] for queue in told[1]] == ["default", "mail"]

    eventually(known)


def test_it_is_neither_paused_nor_scaled_but_restarted(site, running):
    before = web_of(running)
    for command, target in (("pause", "web"), ("pause", "web/0"), ("scale", "web")):
        answer = running.ask(command, target, workers=2)
        assert not answer["ok"]
    running.tell("pause")
    assert served(site) == 200
    running.tell("resume")
    running.tell("restart", "web")
    running.replaced(before, pool="web")
    assert served(site) == 200


def test_it_dies_with_a_killed_supervisor(site, running):
    web = web_of(running)
    running.kill()
    eventually(lambda: not os.path.exists(f"/proc/{web}"), what="its end")
    assert "the supervisor is gone; the web server leaves" in running.output


def test_what_can_never_be_served_is_told_and_tried_no_more(make_site):
    """The file at its address is somebody's."""
    site = make_site(supervisor=WEB)
    (site.folder / "web.sock").write_text("mine")
    supervisor = site.start(ready=False)
    supervisor.says("is there and is no socket")
    handle = site.queue.enqueue(tasks.add, 1, 1)
    assert handle.wait(20) is Status.COMPLETED
    assert (site.folder / "web.sock").read_text() == "mine"
    assert supervisor.status.degraded


def test_the_fleet_is_seen_and_steered_through_it(site, running):
    host = running.status.host
    with client(site) as caller:
        hosts = eventually(lambda: [one for one in caller.get("/hosts").json() if one["snapshot"]])
        assert [one["name"] for one in hosts] == [host]
        made = caller.post(f"/hosts/{host}/pools/default/scale", json={"workers": 3})
        assert made.status_code == 202
        place = made.headers["location"].removeprefix("/api/v1")
        order = eventually(lambda: (found := caller.get(place).json())["state"] != "waiting" and found)
        assert (order["state"], order["answer"]) == ("done", "default: 2 -> 3 workers; the file says 2")
        assert order["by"] == "local (web)"
        running.ready()
        assert len(running.pids()) == 3
        assert len(eventually(lambda: (w := caller.get("/workers").json()) and len(w) == 4 and w)) == 4
        (paused,) = caller.post("/pools/default/pause").json()
        order = eventually(lambda: (o := caller.get(f"/orders/{paused['id']}").json())["state"] != "waiting" and o)
        assert order["state"] == "done"
        assert running.pool().paused
        refused = caller.post(f"/hosts/{host}/pools/keeper/pause").json()
        order = eventually(lambda: (o := caller.get(f"/orders/{refused['id']}").json())["state"] != "waiting" and o)
        assert (order["state"], "keeper is never paused" in order["answer"]) == ("refused", True)
        assert caller.post("/pools/nowhere/pause").status_code == 404
        assert caller.post("/hosts/nowhere/pools/default/pause").status_code == 404
        with caller.stream("GET", "/events") as answer:
            samples = (json.loads(data) for _, data in events(answer))
            sample = next(one for one in samples if one["hosts"] and one["hosts"][0]["snapshot"])
            assert {pool["name"] for pool in sample["hosts"][0]["snapshot"]["pools"]} == {"keeper", "web", "default"}
