"""GET /metrics: what Prometheus is told, and that it can read it."""

from __future__ import annotations

import re
import socket
import subprocess
import textwrap
from types import SimpleNamespace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from starlette.testclient import TestClient

from supervisor.blocks import Blocks
from supervisor.crashes import Crashes
from supervisor.scrape import Scrape
from supervisor.verdict import Exit, Kind, Verdict
from taskqueue.clock import SystemClock
from taskqueue.operations import queues
from taskqueue.status import Status
from taskqueue.web import metrics
from taskqueue.web.application import create
from taskqueue.worker.counters import Counters
from taskqueue.worker.outage import Outages
from tests.support import readme, tasks
from tests.support.project import Project
from tests.support.prometheus import Scraped, checked, promtool  # noqa: F401  # a fixture
from tests.unit.test_counters import outcome, work

HOSTILE = 'shop:"} 1\ntaskqueue_up{a="\\ 💥\ud800\0'


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    yield made
    made.close()


def scraped(project, scrape=None, **headers):
    with TestClient(
        create(project.app, scrape=scrape), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)
    ) as client:
        answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return answer


def count(blocks, *ended, row=0):
    counters = Counters(blocks.take(row))
    for of, what, accepted in ended:
        counters.count(of, what, accepted=accepted)
    counters.publish(0.0, outages=Outages(SystemClock(), SimpleNamespace(uniform=max)))


def test_stores_are_told_of_and_promtool_has_nothing_to_say(project, promtool):  # noqa: F811
    done = project.queue.enqueue(tasks.add, 1, 2)
    project.drain()
    assert done.status() is Status.COMPLETED
    for _ in range(3):
        project.queue.enqueue(tasks.add, 1, 2)
    project.queue.options(delay=600).enqueue(tasks.add, 1, 2)
    queues.pause(project.app, "other", by="ann")
    answer = scraped(project)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    checked(promtool, answer.text)
    found = Scraped(answer.text)
    assert found.all("taskqueue_queue_messages", "state", queue="default") == {"waiting": 3, "delayed": 1, "leased": 0}
    assert found.all("taskqueue_entries", "status", queue="default") == {"enqueued": 4, "completed": 1}
    assert found.value("taskqueue_queue_paused", queue="other") == 1
    assert found.value("taskqueue_queue_paused", queue="default") == 0
    assert 0 < found.value("taskqueue_queue_oldest_age_seconds", queue="default") < 60
    assert found.value("taskqueue_queue_oldest_age_seconds", queue="other") == 0
    assert found.value("taskqueue_queue_workers", queue="default") == 0
    assert found.value("taskqueue_store_up", store="main") == 1
    assert found.value("taskqueue_store_latency_seconds_count", store="main") > 0


def test_who_asks_for_openmetrics_gets_it(project):
    answer = scraped(project, Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in openmetrics(answer.text)}
    assert families["taskqueue_queue_messages"].type == "gauge"


def test_what_workers_and_the_master_count_is_told(project, promtool):  # noqa: F811
    blocks = Blocks(8)
    count(blocks, (work(), outcome(), True), (work(), outcome(Status.FAILED, attempts=3), True))
    count(blocks, (work(), outcome(seconds=20), True), (work("shop:print"), outcome(), False), row=3)
    crashes = Crashes(blocks.master)
    child = SimpleNamespace(pool="mails", card=SimpleNamespace(task_name="shop:mail"), torn=False)
    died = Verdict(Kind.FAILED, "killed by SIGKILL", blamed=True)
    for _ in range(2):
        crashes.count(child, died, Exit(signal=9))
    crashes.count(child, died, Exit(signal=9), out_of_memory=True)
    crashes.count(child, Verdict(Kind.FAILED, "exit code 3"), Exit(code=3))
    crashes.count(child, Verdict(Kind.LEFT, "exit code 0"), Exit(code=0))
    blocks.take(3).away = True
    answer = scraped(project, Scrape(blocks, project.folder / "no.sock"))
    checked(promtool, answer.text)
    found = Scraped(answer.text)
    assert found.all("taskqueue_tasks_total", "outcome", queue="mails", task="shop:mail") == {
        "completed": 2,
        "failed": 1,
    }
    assert found.all("taskqueue_tasks_total", "outcome", task="shop:print") == {"late": 1}
    assert found.value("taskqueue_task_duration_seconds_count", task="shop:mail") == 3
    assert found.value("taskqueue_task_duration_seconds_sum", task="shop:mail") == 21.0
    assert found.value("taskqueue_task_duration_seconds_bucket", task="shop:mail", le="10.0") == 2
    assert found.value("taskqueue_task_duration_seconds_bucket", task="shop:mail", le="+Inf") == 3
    assert found.value("taskqueue_task_attempts_sum", task="shop:mail") == 5
    assert found.value("taskqueue_task_attempts_bucket", task="shop:mail", le="1.0") == 2
    assert found.all("taskqueue_crashes_total", "cause", task="shop:mail", pool="mails") == {
        "SIGKILL": 2,
        "out_of_memory": 1,
    }
    assert found.value("taskqueue_crashes_total", task="", pool="mails", cause="exit_3") == 1
    assert found.value("taskqueue_workers_without_store") == 1
    assert found.value("taskqueue_supervisor_up") == 0


def test_names_of_tasks_and_queues_forge_nothing(project, promtool):  # noqa: F811
    blocks = Blocks(1)
    count(blocks, (work(HOSTILE, queue=HOSTILE), outcome(), True))
    answer = scraped(project, Scrape(blocks, project.folder / "no.sock"))
    checked(promtool, answer.text)
    found = Scraped(answer.text)
    name = HOSTILE.replace("\ud800", "\\ud800").replace("\0", "\\0")
    assert found.value("taskqueue_tasks_total", queue=name, task=name, outcome="completed") == 1
    assert "taskqueue_up" not in found


def test_there_are_only_so_many_tasks_to_tell_from_each_other(project):
    blocks = Blocks(10)
    for row in range(10):
        count(blocks, *[(work(f"shop:{row}_{n}"), outcome(), True) for n in range(60)], row=row)
    found = Scraped(scraped(project, Scrape(blocks, project.folder / "no.sock")).text)
    assert found["taskqueue_tasks_total"] == 600
    assert len(found.all("taskqueue_tasks_total", "task")) == 201
    assert found.all("taskqueue_tasks_total", "task")["other"] == 400


def test_a_store_that_is_away_is_not_up_and_the_rest_is_told(tmp_path, promtool):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    project = Project(tmp_path, stores=f'url = "postgresql+psycopg://127.0.0.1:{port}/none"', app="enqueue_timeout = 1")
    blocks = Blocks(1)
    count(blocks, (work(), outcome(), True))
    answer = scraped(project, Scrape(blocks, project.folder / "no.sock"))
    checked(promtool, answer.text)
    found = Scraped(answer.text)
    assert found.value("taskqueue_store_up", store="main") == 0
    assert found["taskqueue_tasks_total"] == 1
    assert "taskqueue_queue_messages" not in found


def test_a_store_that_says_nothing_keeps_nobody_from_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://127.0.0.1:{silent.getsockname()[1]}/none"
        project = Project(tmp_path, stores=f'url = "{url}"', app="enqueue_timeout = 20")
        blocks = Blocks(1)
        count(blocks, (work(), outcome(), True))
        found = Scraped(scraped(project, Scrape(blocks, project.folder / "no.sock")).text)
        assert found.value("taskqueue_store_up", store="main") == 0
        assert found["taskqueue_tasks_total"] == 1


def test_only_who_may_see_the_fleet_sees_metrics(tmp_path):
    project = Project(tmp_path)
    token = "x" * 20
    text = project.config.read_text()
    project.config.write_text(
        text
        + "".join(f'[web.tokens.{role}]\ntoken = "{role}{token}"\nrole = "{role}"\n' for role in ("user", "reader"))
    )
    project._settle(tmp_path, project.config.read_text())
    with TestClient(create(project.app), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        said = {
            shown: client.get("/metrics", headers={"Authorization": f"Bearer {shown}{token}"}).status_code
            for shown in ("user", "reader", "nobody")
        }
    assert said == {"user": 403, "reader": 200, "nobody": 401}
    project.close()


def test_prometheus_takes_the_configuration_of_the_readme(tmp_path, promtool):  # noqa: F811
    (said,) = re.findall(r"^ {4}scrape_configs:\n(?: {4}.*\n)+", readme.TEXT, re.MULTILINE)
    file = tmp_path / "prometheus.yml"
    file.write_text(textwrap.dedent(said).replace("/run/secrets/taskqueue-reader", str(file)))
    found = subprocess.run([promtool, "check", "config", file], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_metric_has_a_line_in_the_readme(project):
    blocks = Blocks(1)
    count(blocks, (work(), outcome(), True))
    found = Scraped(scraped(project, Scrape(blocks, project.folder / "no.sock")).text)
    families = {family.name + "_total" * (family.type == "counter") for family in found.families}
    assert [name for name in sorted(families) if not re.search(rf"`{name}\b", readme.TEXT)] == []
