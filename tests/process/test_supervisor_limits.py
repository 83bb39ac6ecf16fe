"""The system has no room: for a process, a descriptor, a line of the log. The supervisor waits, and goes on."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskqueue import Status
from tests.support import mischief, tasks
from tests.support.cgroup import Group
from tests.support.supervision import RunningSupervisor

pytestmark = pytest.mark.process


def works(site, supervisor) -> None:
    """A worker that is killed is replaced, a task runs, and a signal is heard."""
    before = supervisor.pids()
    os.kill(before[0], signal.SIGKILL)
    supervisor.replaced(before[0])
    assert site.queue.enqueue(tasks.add, 1, 1).wait(20) is Status.COMPLETED
    supervisor.send("SIGUSR2")
    supervisor.eventually(lambda status: status.paused)
    supervisor.send("SIGCONT")
    supervisor.eventually(lambda status: not status.paused)


def test_without_descriptors_it_tries_again_and_recovers(site, supervisor):
    master = supervisor.master
    soft, hard = master.rlimit(resource.RLIMIT_NOFILE)
    first, second = supervisor.pids()
    master.rlimit(resource.RLIMIT_NOFILE, (3, hard))
    os.kill(first, signal.SIGKILL)
    supervisor.says("cannot be forked: Too many open files")
    supervisor.send("SIGUSR2")
    supervisor.says("SIGUSR2 received")
    supervisor.send("SIGCONT")
    supervisor.says("SIGCONT received")
    assert site.queue.enqueue(tasks.pid).result(20) == second
    master.rlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert supervisor.ready().pids()[1] == second
    assert supervisor.output.count("cannot be forked") == 1, "once, not at each try"


@contextmanager
def full_house(supervisor: RunningSupervisor) -> Iterator[None]:
    """No further process for the master. The limit of a user is none for root."""
    if os.geteuid():
        limits = supervisor.master.rlimit(resource.RLIMIT_NPROC)
        supervisor.master.rlimit(resource.RLIMIT_NPROC, (1, limits[1]))
        yield
        supervisor.master.rlimit(resource.RLIMIT_NPROC, limits)
        return
    with Group("pids") as group:
        group.add(supervisor.pid)
        group.limit(1)
        yield


def test_without_room_for_a_process_it_tries_again_and_recovers(site, supervisor):
    with full_house(supervisor):
        first, second = supervisor.pids()
        os.kill(first, signal.SIGKILL)
        (problem,) = supervisor.eventually(lambda status: status.problems)
        assert "cannot be forked" in problem
        assert site.queue.enqueue(tasks.pid).result(20) == second
    assert supervisor.ready().pids()[1] == second


def test_a_worker_that_the_kernel_kills_for_its_memory_is_one_worker_lost_and_poison_ends(make_site):
    site = make_site(defaults="max_crashes = 1")
    supervisor = site.start()
    keeper = supervisor.keeper
    with Group("memory") as group:
        group.limit(250)
        for process in [supervisor.master, *supervisor.master.children()]:
            group.add(process.pid)
        poison = site.queue.enqueue(mischief.uses_memory, str(site.ledger), 1000)
        assert poison.wait(40) is Status.FAILED
        assert "SIGKILL" in poison.report().message
        assert len(site.lines("start", poison.id)) == 2
        assert site.lines("held-1000") == []
        assert supervisor.ready().keeper == keeper


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(site):
    with open("/dev/full", "wb") as full:
        supervisor = site.start(stderr=full)
        works(site, supervisor)


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_without_its_standard_streams_it_works_like_any_other(site, closed):
    """What it opens itself must not take their numbers: a child would take it for a stream."""
    supervisor = site.start(before=["sh", "-c", f'exec "$@" {closed}', "sh"])
    works(site, supervisor)
    for process in [supervisor.master, *supervisor.master.children()]:
        for stream in range(3):
            assert os.path.realpath(f"/proc/{process.pid}/fd/{stream}") in ("/dev/null", str(supervisor.log))


def test_a_worker_has_nothing_open_that_is_its_master_s_or_its_siblings(site, supervisor):
    """Sockets, pidfile, selector, and the ends of others' pipes: they would outlive who owns them."""
    assert len(supervisor.master.threads()) == 1
    assert not [link for link in links(supervisor.pid) if "tasks.db" in link], "the master opens no store"
    children = {child.pid: links(child.pid) for child in supervisor.master.children()}
    master, public = links(supervisor.pid), {"/dev/null", str(supervisor.log)}
    for pid, own in children.items():
        others = set().union(*[found for other, found in children.items() if other != pid])
        assert {link for link in own & others if "tasks.db" not in link} <= public
        # What it shares with its master: the pipe that is its life, and the file for its stacks.
        assert sorted(link.split(":")[0] for link in own & master - public) == ["/memfd", "pipe"]
        assert "anon_inode:[eventpoll]" not in own


def links(pid: int) -> set[str]:
    """What a process has open. A memory file is known by its inode."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        link = os.readlink(path)
        found.add(f"{link} {os.stat(path).st_ino}" if "memfd" in link else link)
    return found
