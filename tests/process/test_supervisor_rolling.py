"""Rolling restarts: no gap, no crash counted, and new code where it is imported by each process (P4)."""

from __future__ import annotations

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.eventually import eventually
from tests.support.supervision import MODULES, settled, up

pytestmark = pytest.mark.process


def test_ten_restarts_poison_no_task(make_site):
    site = make_site(defaults="max_crashes = 0", queues="[queues.default]\nworkers = 1")
    supervisor = site.start()
    handle = site.queue.options(retries=100).enqueue(tasks.until_stopping, str(site.ledger))
    for restart in range(1, 11):
        pid = supervisor.runs(handle, times=restart)
        supervisor.tell("restart", "default")
        supervisor.eventually(lambda status, pid=pid: settled(status) and pid not in up(status))
    pid = supervisor.runs(handle, times=11)
    assert not handle.status().ended
    assert site.counters(handle)[1] == 0
    assert {slot.restarts for slot in supervisor.pool().slots} == {0}
    site.queue.task_log.cancel(handle.id)


CODE = "from taskqueue import task\n\n@task\ndef version() -> str:\n    return {version!r}\n"


def test_a_restart_loads_new_code_without_a_gap_where_nothing_is_preloaded(make_site):
    site = make_site(app="preload = false", modules=f'{MODULES}, "shop"')
    (site.folder / "shop.py").write_text(CODE.format(version="the first"))
    supervisor = site.start()
    before, seen = supervisor.pids(), []
    assert site.queue.enqueue_by_name("shop:version").result(20) == "the first"
    (site.folder / "shop.py").write_text(CODE.format(version="the second one"))
    supervisor.tell("restart", "default")

    def rolled(status) -> bool:
        seen.append(len(up(status)))
        return settled(status) and not {*before} & {*up(status)}

    supervisor.eventually(rolled)
    assert min(seen) == 2
    assert site.queue.enqueue_by_name("shop:version").result(20) == "the second one"


def test_code_that_does_not_work_leaves_the_old_workers_in_place(make_site):
    site = make_site(app="preload = false", modules=f'{MODULES}, "shop"')
    (site.folder / "shop.py").write_text(CODE.format(version="the first"))
    supervisor = site.start()
    before = supervisor.pids()
    (site.folder / "shop.py").write_text("import nothing_of_that_name")
    supervisor.tell("restart", "default")
    supervisor.says("No module named 'nothing_of_that_name'")
    supervisor.says("worker cannot start")
    assert site.queue.enqueue_by_name("shop:version").result(20) == "the first"
    assert supervisor.pids() == before
    (site.folder / "shop.py").write_text(CODE.format(version="the second one"))
    supervisor.tell("restart", "default")
    supervisor.replaced(*before)
    assert site.queue.enqueue_by_name("shop:version").wait(20) is Status.COMPLETED


def test_what_importing_opens_is_named_once_and_each_process_imports_for_itself(make_site):
    site = make_site(modules=f'{MODULES}, "tests.support.opens_things"')
    supervisor = site.start()
    (line,) = [line for line in supervisor.output.splitlines() if "importing the modules of [app] opened" in line]
    assert "thread 'of the application'" in line
    assert "socket:" in line
    gate = site.folder / "gate"
    site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    eventually(lambda: site.lines("start"))
    pid, imported_by, alive, _port = site.queue.enqueue_by_name("tests.support.opens_things:things").result(20)
    assert (pid, alive) == (imported_by, True)
    assert pid in supervisor.pids()
    gate.touch()
    assert len(supervisor.master.threads()) == 1
