"""What `supervisor status` says, in words, and how it fits a terminal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from supervisor.cli import board, layout, screen
from taskqueue.snapshot import Pause, Snapshot
from tests.support.pretender import made_up, pool, slot

ANN = Pause(scope="pool", by="ann (uid 1000)")
ODD = "\x1b[2K\nforged\u202e[red]x[/red]"


def shown(snapshot: Snapshot, *, width: int = 150, height: int | None = None) -> list[str]:
    """The lines as a terminal has them, without their colours."""
    console = Console(width=width, height=height or 200, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(screen.draw(snapshot, width=width, height=height))
    return captured.get().splitlines()


def row(snapshot: Snapshot, name: str, **options: int) -> str:
    """The line of a worker or pool."""
    (line,) = [line for line in shown(snapshot, **options) if line.split()[:1] == [name]]
    return line


def of(*slots, **facts) -> Snapshot:
    return made_up(pools=(pool("mail", *slots, **facts),))


def test_all_is_told_of_a_worker_that_runs_a_task():
    busy = "mail/0 running 4712 3 h 11 min shop.tasks:mail 4f2a9c81d0b3 3.2 s 1,234 48 MiB"
    assert row(made_up(), "mail/0").split() == busy.split()
    assert row(made_up(), "mail/1").split() == ["mail/1", "idle", "4713", "1", "min", "15", "s", "7", "2", "47", "MiB"]
    assert row(made_up(), "keeper").split()[-2:] == ["1.0", "GiB"]


def test_the_first_line_says_how_the_host_is():
    assert shown(made_up())[0].split("  ")[:4] == ["web-1", "running", "3 of 3 workers up", "1 task running"]
    paused = made_up(paused=(Pause(scope="host", by="signal"),))
    assert shown(paused)[:2] == [shown(made_up())[0].replace("running", "paused", 1), "host paused by signal"]
    assert "stopping" in shown(made_up(state="stopping", paused=paused.paused))[0]


def test_problems_stand_above_the_table():
    assert "reload refused: no such queue" in shown(made_up(problems=("reload refused: no such queue",)))[1]


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"state": "down"}, "down"),
        ({"state": "boot", "activity": "booting"}, "starting"),
        ({"state": "up", "activity": "idle"}, "idle"),
        ({"state": "up", "activity": "running"}, "running"),
        ({"state": "up", "activity": "paused"}, "paused"),
        ({"state": "up", "activity": "booting"}, "booting"),
        ({"state": "up", "activity": "stopping"}, "stopping"),
        ({"state": "up"}, "up"),
        ({"state": "stopping", "activity": "running"}, "stopping"),
        ({"state": "fatal"}, "fatal"),
    ],
)
def test_a_worker_has_a_word_for_how_it_is(facts, word):
    assert board.state(slot("mail", 0, **facts)).text == word


def test_a_dead_worker_says_why_and_when_it_is_started_again():
    down = slot("mail", 0, "down", note="killed by SIGKILL 3 s ago", retry_in=8.0, restarts=3)
    line = "  mail/0  down       killed by SIGKILL 3 s ago; again in 8.0 s; died 3 times"
    assert row(of(down), "mail/0") == line
    assert row(of(down), "mail") == "mail      0 of 1 up"


def test_a_pool_that_was_scaled_by_hand_shows_both_numbers():
    snapshot = of(slot("mail", 0), scaled=True, configured=4)
    assert row(snapshot, "mail").endswith("1 of 1 up  1 by hand, 4 in the file")


def test_a_pause_is_told_of_where_it_was_set_and_only_there():
    """P6."""
    host, queue = Pause(scope="host", by="signal"), Pause(scope="queue", by="bob@web-2")
    paused = slot("mail", 0, activity="paused", pid=7, paused=(host, ANN, queue))
    snapshot = replace(of(paused, paused=(ANN,)), paused=(host,))
    lines = shown(snapshot)
    assert lines[1] == "host paused by signal"
    assert row(snapshot, "mail").endswith("pool paused by ann (uid 1000)")
    assert row(snapshot, "mail/0").endswith("queue paused by bob@web-2")
    assert "\n".join(lines).count("paused by") == 3


def test_a_pool_of_several_queues_says_which():
    assert row(made_up(), "mixed").endswith("serves mail, reports")


def test_a_pool_without_workers_is_there():
    assert row(of(), "mail").split() == ["mail", "0", "of", "0", "up"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_no_note_is_cut(width):
    note = "exit 78: " + " ".join(f"word{n}" for n in range(60))
    busy = slot(
        "a-rather-long-name", 0, pid=4_194_304, activity="running", task_name="shop.tasks." + "very_long" * 10,
        task_id="0199a1b2-0000-7000-8000-4f2a9c81d0b3", task_age=7199.0, age=7199.0, done=10_000_000, restarts=12,
        memory=2**33, note="to be killed in 3 s",
    )  # fmt: skip
    fatal = slot("a-rather-long-name", 1, "fatal", note=note)
    snapshot = made_up(pools=(pool("a-rather-long-name", busy, fatal),))
    lines = shown(snapshot, width=width)
    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    assert [word for word in words if word.startswith("word")] == [f"word{n}" for n in range(60)]
    assert "to be killed in 3 s" in " ".join(words)


def test_a_long_name_leaves_room_for_the_rest():
    name = "q" * 200
    snapshot = made_up(pools=(pool(name, slot(name, 0, pid=4711, activity="idle")),))
    lines = shown(snapshot, width=80)
    assert lines[-1].split()[1:] == ["idle", "4711", "0"]
    assert len(lines[-1].split()[0]) == 38


def test_a_terminal_of_80_columns_shows_task_and_time():
    line = row(made_up(), "mail/0", width=80)
    assert line.split() == ["mail/0", "running", "4712", "shop.tasks:mail", "3.2", "s", "1,234", "48", "MiB"]


def test_wide_letters_take_two_columns():
    snapshot = of(slot("mail", 0, pid=1, activity="running", task_name="邮件:发送", task_age=1.0))
    (title,) = [line for line in shown(snapshot) if line.startswith("Worker")]
    before, _, _ = row(snapshot, "mail/0").partition("1.0 s")
    assert cell_len(f"{before}1.0 s") == title.index("For") + len("For")


def test_a_low_terminal_shows_what_fits_and_how_much_does_not():
    snapshot = made_up(pools=tuple(pool(f"q{n}", slot(f"q{n}", 0)) for n in range(30)))
    lines = shown(snapshot, height=20)
    assert len(lines) <= 20
    assert lines[-1] == f"and {61 - (len(lines) - 3)} lines more, for which this terminal is too low"


def test_no_name_from_outside_moves_the_cursor_or_forges_a_line():
    hostile = slot("mail", 0, pid=1, activity="running", task_name=ODD, task_id=ODD, note=ODD)
    snapshot = made_up(
        host=ODD, config=ODD, problems=(ODD,), pools=(pool(ODD, hostile, paused=(Pause(scope="pool", by=ODD),)),)
    )
    for line in shown(snapshot):
        assert "\x1b" not in line
        assert not line.startswith("forged")
        assert "\u202e" not in line
    assert any("[red]x[/red]" in line for line in shown(snapshot))


def test_a_pipe_gets_a_line_for_each_worker_with_all_that_is_known():
    lines = [dict(zip(board.PLAIN, line, strict=True)) for line in board.plain_rows(made_up())]
    assert lines[0] == {
        "Worker": "mail/0",
        "State": "running",
        "Pid": "4712",
        "Age": "3 h 11 min",
        "Task": "shop.tasks:mail",
        "Id": "0199a1b2-0000-7000-8000-4f2a9c81d0b3",
        "For": "3.2 s",
        "Done": "1234",
        "Restarts": "0",
        "Memory": str(48 * 2**20),
        "Paused": "",
        "Note": "",
    }
    assert [line["Worker"] for line in lines] == ["mail/0", "mail/1", "mixed/0", "keeper/0"]


def test_a_pipe_gets_every_pause_of_a_worker_and_none_of_the_host_for_the_keeper():
    host = Pause(scope="host", by="signal")
    paused = slot("mail", 0, paused=(host, ANN))
    keeper = pool("keeper", slot("keeper", 0), kind="keeper")
    snapshot = made_up(paused=(host,), pools=(pool("mail", paused, paused=(ANN,)), keeper))
    lines = [dict(zip(board.PLAIN, line, strict=True)) for line in board.plain_rows(snapshot)]
    assert [line["Paused"] for line in lines] == ["host paused by signal; pool paused by ann (uid 1000)", ""]


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 MiB"), (48 * 2**20, "48 MiB"), (999 * 2**20, "999 MiB"), (3 * 2**29, "1.5 GiB")]
)
def test_memory_is_told_in_a_few_digits(size, words):
    assert board.size(size) == words


def test_a_column_without_a_text_is_none():
    (title, *_) = [line for line in shown(of(slot("mail", 0, "down"))) if line.startswith("Worker")]
    assert title.split() == ["Worker", "State"]
    assert layout.COLUMNS[:2] == ("Worker", "State")
