"""The scoreboard: what is on it outlives who wrote it, whenever that one died, and nothing half written is believed."""

from __future__ import annotations

import mmap
import os
import signal
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from supervisor import scoreboard
from supervisor.scoreboard import GRAVE, GRAVES, NOTICE, ROW, DeathRecords, Notice, Scoreboard
from taskqueue.worker import scorecard
from taskqueue.worker.deaths import Death
from taskqueue.worker.scorecard import Card, State


@pytest.fixture
def board():
    return Scoreboard(rows=4)


class DyingMemory:
    """Memory in which the writer is killed at its `left`th step."""

    def __init__(self, memory: mmap.mmap, left: int) -> None:
        self.memory = memory
        self.left = left

    def step(self) -> None:
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def __setitem__(self, where: slice, what: bytes) -> None:
        self.step()
        half = len(what) // 2
        self.memory[where.start : where.start + half] = what[:half]
        self.step()
        self.memory[where] = what

    def __getitem__(self, where):
        return self.memory[where]


class DyingNumber:
    """Writes a number, or is killed before."""

    def __init__(self, format: str) -> None:  # noqa: A002  # as struct has it
        self.struct = struct.Struct(format)
        self.size = self.struct.size

    def pack_into(self, memory: DyingMemory, at: int, *values: int) -> None:
        memory.step()
        self.struct.pack_into(memory.memory, at, *values)

    def unpack_from(self, memory: DyingMemory, at: int) -> tuple[int, ...]:
        return self.struct.unpack_from(memory.memory, at)


class DyingRow(DyingNumber):
    """Writes a row of fields, or is killed before or half way."""

    def pack_into(self, memory: DyingMemory, at: int, *values: Any) -> None:
        memory[at : at + self.size] = self.struct.pack(*values)


def in_a_child(story: Callable[[], object]) -> int:
    """Do it in a process of its own; the signal that ended it, 0 if none did."""
    if not (pid := os.fork()):
        try:
            story()
            os._exit(0)
        finally:
            os._exit(99)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def deaths(count: int, **facts) -> list[Death]:
    return [Death(incarnation=f"i{n}", slot="h/mail/0", **facts) for n in range(count)]


# Rows


def test_a_new_row_is_in_boot_and_wanted_to_work(board):
    row = board.take("h/mail/0")
    assert row.scorecard.read() == Card(incarnation="", slot="h/mail/0", state=State.BOOT)
    assert not row.paused


def test_what_usr2_said_to_the_last_process_of_the_slot_is_there_for_the_next(board):
    assert board.take("h/mail/0", paused_by_signal=True).scorecard.read().paused


def test_a_row_that_is_used_again_goes_on_counting_where_the_last_process_ended(board):
    before = board.take("h/mail/0")
    before.block.write(b"counted")
    before.block.away = True
    other = board.take("h/mail/1")
    assert other.block.read() is None
    board.give_back(before)
    after = board.take("h/mail/2")
    assert after.block.read() == b"counted"
    assert not after.block.away


def test_of_a_long_log_the_last_lines_are_kept_and_the_stacks_too(board):
    log = "\n".join(f'"line" \\ {number} \0' for number in range(9000))
    board.deaths.record(Death(incarnation="it", running={"t": f"killed by SIGSEGV\n{'s' * 6000}"}, log=log))
    (found,) = board.deaths.find()
    assert found.running == {"t": f"killed by SIGSEGV\n{'s' * 6000}"}
    assert log.endswith(found.log)
    assert len(found.log) > 2000


def test_a_row_that_is_used_again_says_nothing_of_who_had_it(board):
    before = board.take("h/mail/0")
    before.paused = True
    before.scorecard.update(incarnation="i", task_id="t", leaving=True, done=7, lease_end=9.0, state=State.RUNNING)
    board.give_back(before)
    after = board.take("h/mail/1")
    assert after.number == before.number
    assert after.scorecard.read() == Card(incarnation="", slot="h/mail/1")
    assert not after.paused


def test_there_are_as_many_rows_as_there_are(board):
    rows = [board.take("s") for _ in range(4)]
    assert len({row.number for row in rows}) == 4
    assert board.take("s") is None
    board.give_back(rows[2])
    assert board.take("s").number == rows[2].number


def test_rows_do_not_touch_each_other(board):
    first, second = board.take("a"), board.take("b")
    second.scorecard.update(task_name="n" * 500)
    second.paused = True
    assert first.scorecard.read() == Card(incarnation="", slot="a")
    assert not first.paused
    first.scorecard.update(slot="é" * 500, task_name="n" * 500)
    assert second.scorecard.read().slot == "b"
    assert second.paused


def test_master_and_worker_see_what_the_other_writes(board):
    row = board.take("h/mail/0")
    row.paused = True

    def work() -> None:
        assert row.paused
        row.scorecard.update(state=State.RUNNING, task_id="t", deadline=12.5)

    assert in_a_child(work) == 0
    assert row.scorecard.read() == Card(
        incarnation="", slot="h/mail/0", state=State.RUNNING, task_id="t", deadline=12.5
    )


@pytest.mark.parametrize("steps", range(4))
def test_a_row_whose_writer_was_killed_in_the_middle_is_not_believed_and_can_be_used_again(board, monkeypatch, steps):
    row = board.take("h/mail/0")
    row.scorecard.update(task_id="before")

    def work() -> None:
        monkeypatch.setattr(scorecard, "_HEAD", DyingNumber("=I"))
        monkeypatch.setattr(scorecard, "_BODY", DyingRow(scorecard._BODY.format))
        row.scorecard._buffer = DyingMemory(board.memory, steps)
        row.scorecard.update(task_id="then")

    assert in_a_child(work) == signal.SIGKILL
    seen = row.scorecard.read()
    assert seen is None if steps else seen.task_id == "before"
    board.give_back(row)
    assert board.take("h/mail/1").scorecard.read() == Card(incarnation="", slot="h/mail/1")


# Deaths


def test_a_death_is_found_until_it_is_buried(board):
    (death,) = deaths(1, running={"t": "exit code 3"})
    assert board.deaths.empty
    assert board.deaths.record(death)
    assert list(board.deaths.find()) == [death] == list(board.deaths.find())
    assert not board.deaths.empty
    board.deaths.bury(death)
    board.deaths.bury(death)
    assert board.deaths.empty
    assert list(board.deaths.find()) == []


def test_that_nobody_can_tell_is_not_that_nothing_ran(board):
    unknown, nothing = Death(incarnation="a"), Death(incarnation="b", running={})
    board.deaths.record(unknown)
    board.deaths.record(nothing)
    assert [death.running for death in board.deaths.find()] == [None, {}]


def test_the_keeper_strikes_out_what_the_master_recorded(board):
    first, second = deaths(2)
    board.deaths.record(first)
    board.deaths.record(second)
    assert in_a_child(lambda: board.deaths.bury(first)) == 0
    assert list(board.deaths.find()) == [second]


def test_when_all_graves_are_full_a_death_waits(board):
    many = deaths(GRAVES + 1)
    assert [board.deaths.record(death) for death in many] == [True] * GRAVES + [False]
    board.deaths.bury(many[5])
    assert board.deaths.record(many[-1])
    assert {death.incarnation for death in board.deaths.find()} == {d.incarnation for d in many} - {"i5"}


@pytest.mark.parametrize(
    "stacks", ["x" * 100_000, "\0" * 6000, '"\\' * 6000, "\N{PILE OF POO}" * 6000, "\ud7ff" * 9000]
)
def test_long_stacks_are_cut_and_the_cause_is_kept(board, stacks):
    """However many bytes a character takes, and however JSON has to write it."""
    board.deaths.record(Death(incarnation="before", running={}))
    board.deaths.record(Death(incarnation="it", running={"t": f"killed by SIGSEGV\n{stacks}"}))
    board.deaths.record(Death(incarnation="after", running={}))
    _, found, _ = board.deaths.find()
    cause, shown = found.running["t"].split("\n")
    assert cause == "killed by SIGSEGV"
    assert stacks.startswith(shown)
    assert len(shown) > 700
    assert len(msgspec.json.encode(found)) <= GRAVE - 4


def test_a_slot_with_a_name_without_end_fits(board):
    assert board.deaths.record(Death(incarnation="it", slot="s" * 100_000))
    assert [death.incarnation for death in board.deaths.find()] == ["it"]


def test_a_master_that_is_killed_while_it_records_leaves_no_half_of_a_death(board, monkeypatch):
    for steps in range(3):
        memory = DyingMemory(board.memory, steps)

        def record(memory=memory) -> None:
            monkeypatch.setattr(scoreboard, "_HEAD", DyingNumber("=I"))
            DeathRecords(memory, 4 * ROW).record(Death(incarnation="it"))

        assert in_a_child(record) == signal.SIGKILL
        assert list(board.deaths.find()) == []


# Pauses


def test_nothing_is_paused_at_first(board):
    assert board.pauses.read() == frozenset()


def test_readers_see_what_was_written_last(board):
    reader = Notice(board.memory, board.pauses._turn_at)
    for names in ({"mail"}, {"mail", "räports"}, set(), {"x"}, {"x"}):
        assert in_a_child(lambda names=names: board.pauses.write(frozenset(names))) == 0
        assert reader.read() == names
        assert reader.read() == names


def test_a_new_keeper_tells_what_is_so_whatever_it_inherited(board):
    """One that died had told of a pause that was taken back before the next one came."""
    assert in_a_child(lambda: board.pauses.write(frozenset({"mail"}))) == 0
    assert in_a_child(lambda: board.pauses.write(frozenset())) == 0
    assert board.pauses.read() == frozenset()


def test_what_has_not_changed_is_not_written_again(board):
    board.pauses.write(frozenset({"mail"}))
    turn = board.pauses._turn
    assert not board.pauses.write(frozenset({"mail"}))
    assert board.pauses._turn == turn
    assert board.pauses.write(frozenset())


def test_of_two_keepers_the_one_that_stays_tells_what_is_so(board):
    """What it wrote itself before the other one came is not what stands there."""
    other = Notice(board.memory, board.pauses._turn_at)
    board.pauses.write(frozenset({"mail"}))
    other.write(frozenset())
    assert board.pauses.write(frozenset({"mail"}))
    assert other.read() == {"mail"}


@pytest.mark.parametrize("steps", range(4))
def test_a_keeper_that_is_killed_while_it_writes_leaves_the_last_known_state(board, monkeypatch, steps):
    board.pauses.write(frozenset({"mail"}))
    memory = DyingMemory(board.memory, steps)

    def write() -> None:
        monkeypatch.setattr(scoreboard, "_HEAD", DyingNumber("=I"))
        Notice(memory, board.pauses._turn_at).write(frozenset({"reports", "other"}))

    assert in_a_child(write) == signal.SIGKILL
    assert board.pauses.read() == {"mail"}
    assert Notice(board.memory, board.pauses._turn_at).read() == {"mail"}, "nor does who comes new see anything else"


def test_of_ten_thousand_names_as_many_are_told_as_fit(board):
    names = [f"queue-{n:05}" for n in range(10_000)]
    assert board.pauses.write(frozenset(names))
    assert not board.pauses.write(frozenset(names)), "once"
    told = Notice(board.memory, board.pauses._turn_at).read()
    assert 4000 < len(told) < 10_000
    assert sorted(told) == names[: len(told)]
    assert len(board.memory) == 4 * ROW + GRAVES * GRAVE + NOTICE


def test_a_name_longer_than_all_is_left_out(board):
    board.pauses.write(frozenset({"a", "z" * NOTICE}))
    assert board.pauses.read() == {"a"}


def test_garbage_of_two_writers_at_once_leaves_the_last_known_state(board):
    board.pauses.write(frozenset({"mail"}))
    assert board.pauses.read() == {"mail"}
    board.pauses.write(frozenset({"reports"}))
    side = board.pauses._sides[board.pauses._turn % 2]
    board.memory[side + 4 : side + 8] = b"\xff\xff\xff\xff"
    assert board.pauses.read() == {"mail"}
