"""P3: a dead worker is known by the lock that only its death can have opened. Real processes, real files."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskqueue.errors import BrokerUnavailable
from taskqueue.worker.presence import ORPHANED, FoundDead, Presence, bury, find_dead, stem_of
from taskqueue.worker.scorecard import SIZE, Card, State


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    (tmp_path / "queue.db").touch()
    return tmp_path / "queue.db"


@pytest.fixture
def process() -> Iterator[Callable[[Callable[[], None]], int]]:
    """Fork; the child does that and then waits to be killed. Its pid, once the child has done it."""
    pids = []

    def process(story: Callable[[], None]) -> int:
        read, write = os.pipe()
        if not (pid := os.fork()):
            try:
                story()
                os.write(write, b"!")
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        pids.append(pid)
        os.close(write)
        done = os.read(read, 1)
        os.close(read)
        assert done == b"!", "the child failed"
        return pid

    yield process
    for pid in pids:
        end(pid)


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # ended already, or somebody else's child


def dead(stem: Path) -> dict[str, Card | None]:
    return dict(find_dead(stem))


def test_a_living_worker_is_found_by_nobody(stem, process):
    here = Presence(stem, "here", slot="h:1")
    process(lambda: Presence(stem, "there", slot="h:2").scorecard.update(task_id="t"))
    assert dead(stem) == {}
    here.leave()


def test_a_killed_worker_is_found_with_what_it_did_last(stem, process):
    def work() -> None:
        Presence(stem, "it", slot="h:1").scorecard.update(task_id="t", fence=3, state=State.RUNNING)

    pid = process(work)
    assert dead(stem) == {}
    end(pid)
    assert dead(stem) == {"it": Card(incarnation="it", slot="h:1", task_id="t", fence=3, state=State.RUNNING)}
    assert dead(stem) != {}, "until it is buried it is found again"


def test_a_child_of_a_task_does_not_keep_the_dead_alive(stem, process):
    read, write = os.pipe()

    def work_and_fork() -> None:
        Presence(stem, "it", slot="h:1")
        if not os.fork():
            # Said by the child itself: until it runs, it holds all that its parent had open.
            os.write(write, f"{os.getpid()}\n".encode())
            while True:
                signal.pause()

    pid = process(work_and_fork)
    child = int(os.read(read, 32))
    try:
        assert dead(stem) == {}
        end(pid)
        os.kill(child, 0)
        assert list(dead(stem)) == ["it"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(read), os.close(write)


def test_a_child_of_a_task_does_not_make_the_living_seem_dead(stem, process):
    here = Presence(stem, "here", slot="h:1")
    end(process(lambda: None))
    assert dead(stem) == {}
    here.leave()


def test_a_worker_that_starts_is_never_found(stem):
    """It is locked before it can be seen: finders that look all the time see none of those who come and go."""
    found: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            found.extend(incarnation for incarnation, _ in find_dead(stem))

    finders = [threading.Thread(target=look) for _ in range(2)]
    for finder in finders:
        finder.start()
    for number in range(200):
        Presence(stem, f"w{number}", slot="h:1").leave()
    over.set()
    for finder in finders:
        finder.join()
    assert found == []


def test_who_leaves_leaves_nothing(stem):
    opened = len(os.listdir("/dev/fd"))
    Presence(stem, "it", slot="h:1").leave()
    assert [path.name for path in stem.parent.iterdir()] == ["queue.db"]
    assert len(os.listdir("/dev/fd")) == opened


def test_leaving_after_somebody_buried_us_is_no_error(stem):
    here = Presence(stem, "it", slot="h:1")
    bury(stem, "it")
    here.leave()


def test_the_buried_are_not_found_again(stem, process):
    end(process(lambda: Presence(stem, "it", slot="h:1") and None))
    assert list(dead(stem)) == ["it"]
    bury(stem, "it")
    bury(stem, "it")
    assert dead(stem) == {}
    assert [path.name for path in stem.parent.iterdir()] == ["queue.db"]


def test_of_two_finders_one_finds(stem, process):
    end(process(lambda: Presence(stem, "it", slot="h:1") and None))
    first = find_dead(stem)
    assert next(first)[0] == "it"
    assert dead(stem) == {}, "while the first is at it"
    first.close()
    assert list(dead(stem)) == ["it"], "and if it gives up, the next one finds it"


@pytest.mark.parametrize("size", [0, SIZE - 1])
def test_a_file_that_was_cut_short_says_nothing(stem, size):
    stem.with_name("queue.db-worker-it").write_bytes(b"x" * size)
    assert dead(stem) == {"it": None}


def test_a_torn_scorecard_says_nothing(stem, process):
    end(process(lambda: Presence(stem, "it", slot="h:1") and None))
    with stem.with_name("queue.db-worker-it").open("r+b") as file:
        file.write(b"\xff")
    assert dead(stem) == {"it": None}


def test_workers_of_another_database_are_no_business_of_ours(stem, process):
    (stem.parent / "other.db").touch()
    end(process(lambda: Presence(stem.with_name("other.db"), "it", slot="h:1") and None))
    assert dead(stem) == {}


@pytest.mark.parametrize("name", ["queue[1].db", "what?.db", "*.db", "tasks é.db"])
def test_the_dead_are_found_whatever_the_database_is_called(tmp_path, process, name):
    stem = tmp_path / name
    stem.touch()
    (tmp_path / "queue1.db-worker-other").write_bytes(b"")
    end(process(lambda: Presence(stem, "it", slot="h:1") and None))
    assert list(dead(stem)) == ["it"]


def test_who_shares_the_database_shares_the_search_for_the_dead(stem):
    stem.chmod(0o660)
    here = Presence(stem, "it", slot="h:1")
    assert stat.S_IMODE(here.path.stat().st_mode) == 0o660
    here.leave()
    stem.chmod(0o600)
    here = Presence(stem, "it", slot="h:1")
    assert stat.S_IMODE(here.path.stat().st_mode) == 0o600
    here.leave()


def test_a_file_that_may_not_be_opened_is_left_to_who_may(stem, process):
    stem.with_name("queue.db-worker-theirs").touch(0o000)
    stem.with_name("queue.db-worker-ours").touch(0o666)
    stem.with_name("queue.db-worker-ours").chmod(0o666)
    for folder in stem.parents:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)

    def as_nobody() -> None:
        if os.geteuid() == 0:
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
        assert list(dead(stem)) == ["ours"]

    process(as_nobody)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    with pytest.raises(BrokerUnavailable, match=r"cannot make its own file beside it \(No such file") as error:
        Presence(tmp_path / "missing" / "queue.db", "it", slot="h:1")
    assert "\n" not in str(error.value)


class TestWhereADatabaseIsNoFile:
    @pytest.fixture(autouse=True)
    def _places(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        monkeypatch.delenv("STATE_DIRECTORY", raising=False)
        (tmp_path / "tmp").mkdir()

    def test_it_is_a_folder_that_only_this_user_can_enter(self, tmp_path):
        stem = stem_of("postgresql://db/shop taskqueue_message")
        assert stem is not None
        assert stem.parent == tmp_path / "tmp" / f"taskqueue-{os.geteuid()}"
        assert stat.S_IMODE(stem.parent.stat().st_mode) == 0o700
        assert stem == stem_of("postgresql://db/shop taskqueue_message")
        assert stem != stem_of("postgresql://db/other taskqueue_message")

    def test_a_service_s_own_folder_comes_first_as_it_outlives_it(self, tmp_path, monkeypatch):
        (tmp_path / "state").mkdir()
        monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path / 'state'}:{tmp_path / 'more'}")
        stem = stem_of("postgresql://db/shop")
        assert stem is not None
        assert stem.parent.parent == tmp_path / "state"

    @pytest.mark.parametrize("trap", ["link", "file", "open"])
    def test_a_folder_that_somebody_else_may_have_prepared_is_none(self, tmp_path, trap):
        folder = tmp_path / "tmp" / f"taskqueue-{os.geteuid()}"
        if trap == "link":
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "elsewhere")
        elif trap == "file":
            folder.touch()
        else:
            folder.mkdir()
            folder.chmod(0o777)
        assert stem_of("postgresql://db/shop") is None

    def test_where_there_can_be_no_folder_there_is_none(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
        assert stem_of("postgresql://db/shop") is None


def test_a_supervised_one_is_left_to_its_master_for_a_while(stem, process):
    end(process(lambda: Presence(stem, "it", slot="h/mail/0", supervised=True)))
    now = 100.0
    found = FoundDead(stem, lambda: now)
    assert list(found.find()) == []
    now += ORPHANED
    (death,) = found.find()
    assert (death.incarnation, death.slot, death.running) == ("it", "h/mail/0", None)
    found.bury(death)
    assert list(found.find()) == []
