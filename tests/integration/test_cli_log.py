"""`taskqueue log`: what became of tasks, as people and programs read it."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.support.errands import ODD
from tests.support.shell import Shell, shell

ERRANDS = "tests.support.errands"
ADD = f"{ERRANDS}:add"
SHOWN = r"\x1b[31mred\x1b[0m [bold]loud[/bold] \u202eback\x07"


class History(NamedTuple):
    """A project in which much has happened. Nothing in it is changed."""

    sh: Shell
    ids: dict[str, str]

    def __call__(self, *args: str) -> str:
        return self.sh(*args)

    def listed(self, *args: str) -> list[str]:
        """Names of the tasks that `log list` finds."""
        names = {task_id: name for name, task_id in self.ids.items()}
        return [names.get(entry["id"], "child") for entry in self.sh.json("log", "list", *args)["entries"]]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    with shell(tmp_path_factory.mktemp("history")) as sh:
        ids = {
            "done": sh.enqueue(ADD, "a=1", "--owner", "ann", "--label", "50% off_"),
            "mail": sh.enqueue(f"{ERRANDS}:mail", "to=ann", "password=hunter2", "--queue", "other"),
            "odd": sh.enqueue(f"{ERRANDS}:speak_oddly", "--label", ODD, "--owner", "o\nx"),
            "failed": sh.enqueue(f"{ERRANDS}:give_up", "--owner", "ann"),
            "parent": sh.enqueue(f"{ERRANDS}:divide_among", "children=2"),
            "unstorable": sh.enqueue(f"{ERRANDS}:unstorable"),
            "cancelled": sh.enqueue(ADD, "a=1", "--delay", "1h"),
        }
        sh("log", "cancel", ids["cancelled"])
        sh.drain()
        ids["waiting"] = sh.enqueue("shop.elsewhere:pay", "card_token=hunter2", "--by-name")
        yield History(sh, ids)


def plain(out: str) -> str:
    """Without the colours that are ours."""
    return re.sub(r"\x1b\[\d*(;\d+)*m", "", out)


# list


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ("--failed", "unstorable failed"),
        ("--status failed --status cancelled --reverse", "failed unstorable cancelled"),
        ("--queue other", "mail"),
        ("--name *mail*", "mail"),
        ("--name shop.elsewhere:pay", "waiting"),
        ("--owner ann", "failed done"),
        ("--owner ann --failed", "failed"),
        ("--label 50%*off_", "done"),
        ("--label 5%", ""),
        ("--parent {parent}", "child child"),
        ("--since 1h --status enqueued", "waiting"),
        ("--since 2126-01-31T09:00Z", ""),
        ("--sort name --limit 1", "waiting"),
        ("--limit 2", "waiting cancelled"),
    ],
)
def test_tasks_are_found(history, filters, names):
    words = [word.format(**history.ids) for word in filters.split()]
    assert history.listed(*words) == names.split()


def test_pages_follow_each_other(history):
    first = history.sh.type("log", "list", "--limit", "4")
    more = first.err.removeprefix("more: ").split()
    second = history.sh.type("log", "list", "--limit", "4", *more)
    ids = [line.split("\t")[0] for ran in (first, second) for line in ran.out.splitlines()[1:]]
    assert len(set(ids)) == 8
    assert history.sh.type("log", "list", "--after", "xyz").line.startswith("this `after` belongs to another search")


def test_a_list_that_is_piped_has_a_row_a_task_whatever_it_is_called(history):
    lines = history("log", "list").splitlines()
    assert len(lines) == 1 + 8 + 2
    assert all(line.count("\t") == 8 for line in lines)


@pytest.mark.parametrize("args", [("log", "list"), ("log", "show", "{odd}"), ("log", "why", "{odd}"), ("log", "stats")])
@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
def test_odd_texts_are_shown_and_do_nothing(history, args, terminal, monkeypatch):
    """Neither terminal escapes nor markup nor a change of direction nor a forged line gets through."""
    monkeypatch.setenv("COLUMNS", "400")
    out = plain(history.sh(*(arg.format(**history.ids) for arg in args), terminal=terminal))
    assert not set("\x1b\x07\u202e") & set(out)
    if "stats" not in args and "why" not in args:
        assert SHOWN in out


def test_json_for_programs_is_safe_too_and_means_the_same(history):
    out = history("log", "show", history.ids["odd"], "--json")
    assert not set("\x1b\x07\u202e") & set(out)
    shown = history.sh.json("log", "show", history.ids["odd"])
    assert shown["label"] == ODD
    assert shown["report"]["message"] == f"{ODD}\nsecond line"
    assert shown["report"]["data"] == {"key [red]": ODD}


def test_a_time_beyond_the_calendar_harms_no_list(tmp_path):
    with shell(tmp_path) as sh:
        task_id = sh.enqueue(ADD, "a=1", "--eta", "9999-12-31T23:59:59-23:00")
        assert sh.json("log", "list")["entries"][0]["due_at"].startswith("9999-12-30")
        for verb in ("show", "why"):
            assert "9999-12-3" in sh("log", verb, task_id)


# show, stats


def test_show_tells_all_about_a_task(history):
    out = history("log", "show", history.ids["failed"][-8:])
    for word in (
        f"{ERRANDS}:give_up  failed",
        history.ids["failed"],
        "default, priority 5",
        "ValueError: no luck",
        "ann",
    ):
        assert word in out
    assert "raise ValueError(text)" in out


def test_show_tells_of_parent_and_children(history):
    parent = history.sh.json("log", "show", history.ids["parent"])
    assert [child["status"] for child in parent["children"]] == ["completed"] * 2
    child = history.sh.json("log", "show", parent["children"][0]["id"])
    assert child["parent"]["id"] == history.ids["parent"]
    assert "children: 2 completed" in history("log", "show", history.ids["parent"])


@pytest.mark.parametrize("name", ["mail", "waiting"])
def test_secrets_are_masked(history, name):
    """P19: what the task says is secret, and without its code what is called so."""
    for args in (("show",), ("show", "--json"), ("why",)):
        out = history("log", *args, history.ids[name])
        assert "hunter2" not in out
    assert "***" in history("log", "show", history.ids[name])
    assert "hunter2" not in history("log", "list") + history("log", "list", "--json")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("zzzzzz", "'zzzzzz' is not what task ids look like; `taskqueue log list` shows them"),
        ("abc", "'abc' is too short: give the id, or 6 characters or more of it"),
        ("abcdefabcdef", "none of the newest 10,000 tasks has 'abcdefabcdef' in its id; give the whole id"),
        ("0199d2c3-7f8e-7a10-b1f0-6f2f3c8f3c2a", "the task log has no entry '0199d2c3-7f8e-"),
    ],
)
@pytest.mark.parametrize("verb", ["show", "why", "cancel", "retry", "archive"])
def test_an_id_that_is_none_is_one_line(history, verb, given, line):
    ran = history.sh.type("log", verb, given)
    assert ran.code == 1
    assert line in ran.line


def test_a_part_that_fits_several_ids_says_so(history):
    ran = history.sh.type("log", "show", history.ids["done"][:6])
    assert ran.code == 1
    assert "is part of" in ran.line
    assert "give more of it" in ran.line


def test_stats_count_by_queue_and_status(history):
    counts = history.sh.json("log", "stats")
    assert counts["default"] | {"completed": 5, "failed": 2, "cancelled": 1, "enqueued": 1} == counts["default"]
    assert counts["other"]["completed"] == 1
    assert history.sh.json("log", "stats", "--owner", "ann")["default"]["failed"] == 1
    assert history("log", "stats").splitlines()[0].split("\t")[:3] == ["Queue", "enqueued", "dequeued"]


def test_a_terminal_shows_tables_that_fit(history, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = plain(history.sh("log", "list", terminal=True))
    assert max(map(len, out.splitlines())) <= 80
    assert "completed" in out
    assert history.ids["done"][-12:] in out
    assert history.ids["done"] not in out
