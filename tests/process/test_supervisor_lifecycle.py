"""A supervisor's life: start, one per pidfile, stop (P5)."""

from __future__ import annotations

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually

pytestmark = [pytest.mark.process, pytest.mark.fresh]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_a_stop_ends_the_running_tasks_first_and_gives_the_rest_back(site, supervisor, name):
    gate = site.folder / "gate"
    running = [site.queue.enqueue(tasks.until, str(site.ledger), str(gate)) for _ in range(2)]
    for handle in running:
        site.started(handle)
    waiting = [site.queue.enqueue(tasks.add, n, 1) for n in range(5)]
    supervisor.send(name)
    supervisor.says("SIGTERM received", times=2)
    gate.touch()
    assert supervisor.wait() == 0
    assert [handle.result() for handle in running] == ["the file is there"] * 2
    assert {handle.status() for handle in waiting} == {Status.ENQUEUED}
    assert {site.counters(handle) for handle in waiting} == {(0, 0)}
    assert site.queue.queue("default").broker.depth().waiting == 5


def test_a_second_supervisor_is_refused_and_the_first_is_untouched(site, supervisor):
    """And an idle fleet leaves at once."""
    before = supervisor.pids()
    second = site.start(ready=False)
    assert second.wait() == 1
    assert f"a supervisor runs already (pid {supervisor.pid})" in second.output
    assert supervisor.pids() == before
    assert int(supervisor.pidfile.read_text()) == supervisor.pid
    assert supervisor.stop() == 0
    assert "does not leave" not in supervisor.output


def test_a_stop_while_thirty_children_boot_leaves_none(make_site):
    site = make_site(queues="[queues.default]\nworkers = 30")
    supervisor = site.start(ready=False)
    eventually(lambda: len(supervisor.master.children()) >= 10)
    supervisor.send("SIGTERM")
    assert supervisor.wait() == 0


def test_a_configuration_that_cannot_work_ends_the_start_with_78(make_site):
    site = make_site()
    site.write(app='routes = { "tests.support.tasks:add" = "nowhere" }')
    supervisor = site.start(ready=False)
    assert supervisor.wait() == 78
    assert "nowhere" in supervisor.output
    site.write(app="")


def test_a_slot_s_name_outlives_its_processes_and_titles_say_what_they_do(site, supervisor):
    gate = site.folder / "gate"
    handle = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    pid = supervisor.runs(handle)
    (slot,) = [slot for slot in supervisor.pool().slots if slot.pid == pid]
    eventually(lambda: "tests.support.tasks:until" in title_of(pid))
    assert slot.name in title_of(pid)
    assert site.queue.task_log.get(handle.id).worker == slot.name
    gate.touch()
    eventually(lambda: "idle" in title_of(pid))


def title_of(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode()
