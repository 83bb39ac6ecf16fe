"""What Prometheus is told by a supervisor's web server is what the workers of this host did."""

from __future__ import annotations

import os
import signal
import socket

import httpx
import pytest

from taskqueue.status import Status
from tests.support import mischief, tasks
from tests.support.eventually import eventually
from tests.support.project import STORES
from tests.support.prometheus import Scraped, checked, promtool  # noqa: F401  # a fixture

pytestmark = pytest.mark.process

QUEUES = '[queues.default]\nworkers = 2\n[web]\nbind = "unix:{folder}/web.sock"'


@pytest.fixture
def supervised(make_site, tmp_path):
    return make_site(queues=QUEUES.format(folder=tmp_path))


def scrape(site) -> Scraped:
    transport = httpx.HTTPTransport(uds=str(site.folder / "web.sock"))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=20) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scraped(answer.text)


def outcomes(found: Scraped) -> dict[str, float]:
    return found.all("taskqueue_tasks_total", "outcome")


def counted(site, wanted: dict[str, float]) -> Scraped:
    """Wait until that is what became of all runs: a worker publishes once a second."""
    seen: list[Scraped] = []

    def reached() -> bool:
        seen.append(scrape(site))
        return outcomes(seen[-1]) == wanted

    eventually(reached, within=15, what=f"{wanted}")
    return seen[-1]


def never_less(before: Scraped, after: Scraped) -> None:
    """Counters only rise."""
    for (name, labels), value in before._found.items():
        # What is a process' own begins again with each process.
        own = "supervisor" in name or "latency" in name
        if name.endswith(("_total", "_count", "_sum", "_bucket")) and not own:
            assert after._found[name, labels] >= value, (name, labels)


def test_what_workers_did_is_what_is_told_whatever_becomes_of_them(supervised, promtool):  # noqa: F811
    supervisor = supervised.start()
    queue, ledger = supervised.queue, str(supervised.ledger)
    handles = [queue.enqueue(tasks.add, n, n) for n in range(50)]
    handles += [queue.enqueue(tasks.fails_at_first, ledger, 2) for _ in range(3)]
    handles += [queue.enqueue(tasks.tells, 0, "answer") for _ in range(3)]
    for handle in handles:
        handle.wait(30)
    first = counted(supervised, {"completed": 53, "failed": 3, "retried": 6})
    checked(promtool, first.text)
    assert first.value("taskqueue_task_duration_seconds_count", task=tasks.add.name) == 50
    assert first.value("taskqueue_task_duration_seconds_count", task=tasks.fails_at_first.name) == 9
    assert first.value("taskqueue_task_attempts_sum", task=tasks.fails_at_first.name) == 9
    assert first.value("taskqueue_task_attempts_count", task=tasks.fails_at_first.name) == 3
    assert first.value("taskqueue_supervisor_up") == 1

    # A task that takes its worker with it, a worker that is killed at rest, and all of them replaced.
    died = queue.enqueue(tasks.dies, ledger, 1)
    assert died.wait(30) is Status.COMPLETED
    second = counted(supervised, {"completed": 54, "failed": 3, "retried": 6})
    never_less(first, second)
    (crash,) = second.all("taskqueue_crashes_total", "cause").items()
    assert crash == ("SIGKILL", 1)
    assert second.all("taskqueue_crashes_total", "task") == {tasks.dies.name: 1}
    idle = supervisor.pids()
    os.kill(idle[0], signal.SIGKILL)
    supervisor.replaced(idle[0])
    supervisor.tell("restart", "default")
    supervisor.replaced(*idle)
    for handle in [queue.enqueue(tasks.add, n, n) for n in range(10)]:
        handle.wait(30)
    third = counted(supervised, {"completed": 64, "failed": 3, "retried": 6})
    never_less(second, third)
    assert third.all("taskqueue_crashes_total", "task") == {tasks.dies.name: 1, "": 1}
    restarts = third.all("taskqueue_supervisor_worker_restarts_total", "pool")
    assert restarts["default"] == third["taskqueue_crashes_total"] == 2


def test_counts_survive_the_web_server_that_tells_them(supervised):
    supervisor = supervised.start()
    supervised.queue.enqueue(tasks.add, 1, 1).wait(30)
    before = counted(supervised, {"completed": 1})
    (web,) = supervisor.pids("web")
    os.kill(web, signal.SIGKILL)
    supervisor.replaced(web, pool="web")
    after = scrape(supervised)
    never_less(before, after)
    assert after.all("taskqueue_crashes_total", "pool") == {"web": 1}


def test_what_ended_a_worker_has_its_own_label(supervised):
    supervised.start()
    for ended in (supervised.queue.enqueue(mischief.exits, str(supervised.ledger), 3),):
        assert ended.wait(30) is Status.FAILED
    found = scrape(supervised)
    assert found.value("taskqueue_crashes_total", pool="default", task=mischief.exits.name, cause="exit_3") == 4


def test_a_store_that_goes_away_is_told_with_the_rest(make_site, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    site = make_site(queues=QUEUES.format(folder=tmp_path))
    site.write(
        app="enqueue_timeout = 1",
        defaults='broker = "main"',
        stores='url = "sqlite:///tasks.db"\n[brokers.gone]\n'
        f'url = "postgresql+psycopg://127.0.0.1:{port}/none"\n[task_log]\nurl = "sqlite:///tasks.db"',
        queues=QUEUES.format(folder=tmp_path) + '\n[queues.lost]\nbroker = "gone"',
    )
    site.start()

    def waiting() -> bool:
        found = scrape(site)
        return (
            found.value("taskqueue_workers_without_store") == 1 and found["taskqueue_worker_outage_seconds_total"] > 0
        )

    site.queue.enqueue(tasks.add, 1, 1).wait(30)
    eventually(waiting, within=20, what="a worker without its store")
    found = counted(site, {"completed": 1})
    assert found.all("taskqueue_store_up", "store") == {"main": 1, "gone": 0}
    assert found.value("taskqueue_queue_messages", queue="default", state="waiting") == 0
    assert found["taskqueue_worker_outages_total"] >= 1
    site.write(stores=STORES, defaults="", queues="")  # what is looked at afterwards is there
