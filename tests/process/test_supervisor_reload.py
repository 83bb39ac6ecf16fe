"""HUP: by reconciliation, only the difference moves; what is not accepted changes nothing (P18, R19)."""

from __future__ import annotations

import pytest

from taskqueue import Status
from tests.support import tasks
from tests.support.supervision import TWO_WORKERS, settled, up

pytestmark = pytest.mark.process


def workers(count: int, queue: str = "default") -> str:
    return f"[queues.{queue}]\nworkers = {count}\n"


def test_a_count_that_goes_up_and_down_moves_the_difference_only(make_site):
    """Who leaves ends its task first, and takes the time that it needs: `grace` is for stops."""
    site = make_site(supervisor="grace = 0.1")
    supervisor = site.start()
    first, keeper = supervisor.pids(), supervisor.keeper
    site.write(queues=workers(4))
    supervisor.send("SIGHUP")
    supervisor.eventually(lambda status: settled(status) and len(up(status)) == 4)
    four = supervisor.pids()
    assert four[:2] == first
    gate = site.folder / "gate"
    handles = [site.queue.enqueue(tasks.until, str(site.ledger), str(gate)) for _ in four]
    for handle in handles:
        site.started(handle)
    site.write(queues=workers(1))
    supervisor.send("SIGHUP")
    supervisor.eventually(lambda _: [slot.state for slot in supervisor.pool().slots] == ["up", *["stopping"] * 3])
    assert supervisor.pids() == first[:1]
    gate.touch()
    assert {handle.wait(20) for handle in handles} == {Status.COMPLETED}
    supervisor.ready()
    assert supervisor.pids() == first[:1]
    assert supervisor.keeper == keeper
    assert len(site.lines("start")) == 4, "nobody was interrupted"
    assert "does not leave" not in supervisor.output


def test_a_changed_option_replaces_one_worker_after_the_other_and_never_lowers_the_number(make_site):
    site = make_site(queues=workers(4), supervisor="grace = 0.1")
    supervisor = site.start()
    gate = site.folder / "gate"
    handle = site.queue.enqueue(tasks.until, str(site.ledger), str(gate))
    holder, before = supervisor.runs(handle), supervisor.pids()
    site.write(defaults="timeout = 77")
    supervisor.send("SIGHUP")
    seen = []

    def rolled(status) -> set[int]:
        seen.append((len(up(status)), len([slot for slot in status.slots if slot.pool == "default"])))
        return {*up(status)} - {*before}

    # Whoever ends its task takes the one place beside the pool; the others wait for it.
    supervisor.eventually(lambda status: rolled(status) and holder not in up(status))
    assert not handle.status().ended
    gate.touch()
    supervisor.eventually(lambda status: len(rolled(status)) == 4)
    assert min(count for count, _ in seen) == 4, seen
    assert max(count for _, count in seen) == 4 + 1, seen
    assert handle.wait(20) is Status.COMPLETED
    assert site.counters(handle) == (1, 0)
    supervisor.ready()


def test_two_reloads_in_a_row_end_at_the_last(site, supervisor):
    before = supervisor.pids()
    site.write(defaults="priority = 7", queues=workers(3))
    supervisor.send("SIGHUP")
    site.write(defaults="priority = 4", queues=workers(1))
    supervisor.send("SIGHUP")
    supervisor.eventually(lambda status: settled(status) and len(up(status)) == 1 and not {*before} & {*up(status)})
    assert supervisor.pool().configured == 1


WRONG = {"[queues.default\n": "taskqueue.toml", '[app]\nmodule = ["x"]\n': "'module'", None: "taskqueue.toml"}


def test_a_file_that_is_not_accepted_changes_nothing_and_is_told(site, supervisor):
    """P18: broken, with an unknown key, vanished."""
    before, good = supervisor.pids(), site.config.read_text()
    for wrong, said in WRONG.items():
        site.config.unlink() if wrong is None else site.config.write_text(wrong)
        supervisor.send("SIGHUP")
        (problem,) = supervisor.eventually(lambda status: status.problems)
        assert problem.startswith("reload refused")
        assert said in problem
        assert problem in supervisor.output
        assert not supervisor.ask("reload")["ok"]
        assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
        site.config.write_text(good)
        supervisor.send("SIGHUP")
        supervisor.ready()
    assert supervisor.pids() == before


def test_a_queue_that_is_gone_from_the_file_drains_and_a_new_one_starts(make_site):
    site = make_site(queues=workers(1) + workers(1, "other"))
    supervisor = site.start()
    stays, gate = supervisor.pids(), site.folder / "gate"
    handle = site.queue.options(queue="other").enqueue(tasks.until, str(site.ledger), str(gate))
    site.started(handle)
    site.write(queues=workers(1) + workers(1, "third"))
    supervisor.send("SIGHUP")
    supervisor.eventually(lambda status: up(status, "third"))
    assert [slot.state for slot in supervisor.pool("other").slots] == ["stopping"]
    gate.touch()
    assert handle.wait(20) is Status.COMPLETED
    supervisor.eventually(lambda status: {pool.name for pool in status.pools} == {"keeper", "default", "third"})
    supervisor.ready()
    # Where tasks can be enqueued to is part of what every process has read.
    assert supervisor.pids() != stays


def test_a_count_that_was_set_by_hand_stays_until_the_file_s_own_changes(make_site):
    site = make_site(queues=TWO_WORKERS + "\n" + workers(1, "other"))
    supervisor = site.start()
    assert "2 -> 3" in supervisor.tell("scale", "default", workers=3)
    supervisor.eventually(lambda status: len(up(status)) == 3)
    three = supervisor.pids()
    site.write(queues=TWO_WORKERS + "\n" + workers(2, "other"))
    supervisor.send("SIGHUP")
    supervisor.eventually(lambda status: len(up(status, "other")) == 2)
    pool = supervisor.pool()
    assert (pool.wanted, pool.configured, pool.scaled) == (3, 2, True)
    assert supervisor.pids() == three
    site.write(queues=workers(1) + workers(2, "other"))
    supervisor.send("SIGHUP")
    supervisor.eventually(lambda status: settled(status) and len(up(status)) == 1)
    pool = supervisor.pool()
    assert (pool.wanted, pool.configured, pool.scaled) == (1, 1, False)
    assert supervisor.pids() == three[:1]
