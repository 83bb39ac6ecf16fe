"""The commands, in this process: what they take, what they print, how they end."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from taskqueue import __version__
from taskqueue.cli.command import Group
from taskqueue.cli.program import COMMANDS, program

ADD = "tests.support.errands:add"


def commands(group: Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.commands_at:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, Group):
            yield from commands(command, *path, name)


ALL = [path for path, _ in commands(program())]


# The program itself


def test_the_version_is_told(sh):
    assert sh("--version") == f"taskqueue {__version__}\n"


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_examples_that_are_valid(sh, path):
    """No example is a command line that its own command refuses."""
    text = sh(*path, "--help")
    assert text.startswith(f"Usage: taskqueue {' '.join(path)}")
    assert "\nExamples:\n" in text
    assert sh(*path, "-h") == text


def test_the_list_of_commands_tells_each_command_as_the_command_does(sh):
    listed = sh("--help")
    for name, (_, short) in COMMANDS.items():
        assert f"  {name} " in listed
        assert short in listed


@pytest.mark.parametrize("path", [(), ("log",), ("stuck",)], ids=" ".join)
def test_a_group_alone_shows_its_help_as_a_usage_error(sh, path):
    ran = sh.type(*path)
    assert (ran.code, ran.out) == (2, "")
    assert "Commands:" in ran.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("wroker", "no command 'wroker', did you mean 'worker'? See `taskqueue --help`"),
        ("log lst", "no command 'lst', did you mean 'list'? See `taskqueue log --help`"),
        ("queues paus x", "no command 'paus', did you mean 'pause'? See `taskqueue queues --help`"),
        ("frobnicate", "no command 'frobnicate'; known: init, check, worker, enqueue, "),
        ("log list --limt 3", "no such option '--limt'. Did you mean '--limit'? See `taskqueue log list --help`"),
        ("worker --drian", "no such option '--drian'. Did you mean '--drain'?"),
        ("enqueue", "missing argument 'NAME'; see `taskqueue enqueue --help`"),
        ("log show", "missing argument 'ID'; see"),
        ("init now", "got unexpected extra argument (now); see"),
        ("log list --status runing", "invalid value for '--status': 'runing': did you mean 'running'? See"),
        ("log list --sort age", "invalid value for '--sort': 'age' is not one of "),
        ("log list --since yesterday", "'yesterday' is no time; write e.g. 2026-01-31T09:00+01:00"),
        ("log list --since 2026-01-31T09:00", "has no time zone; write e.g. 2026-01-31T09:00+01:00 or"),
        ("log list --limit 1000000", "a page holds 1 to 1,000 tasks, not 1,000,000; ask for the next page by --after"),
        ("log list --limit many", "'many' is not a valid integer"),
        ("log purge --older-than soon", "'soon': expected a duration"),
        ("log purge --status running", "a task that is running has not ended; cancel it first"),
        ("log cancel", "say which tasks: ids, --status, --queue, ... or --all"),
        ("log retry --all 0199d2c3", "give ids, or say which tasks, not both"),
        ("enqueue a:b --priority 12", "12 is not in the range 0<=x<=9"),
        ("enqueue a:b --id 7", "'7' is no UUID"),
        ("enqueue a:b --delay -5", "-5"),
        ("worker --limit 0", "0 is not in the range x>=1"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(sh, words, line):
    ran = sh.type(*words.split())
    assert ran.code == 2
    assert line in ran.line
    assert not (sh.folder / "tasks.db").exists()


def test_options_of_every_command_stand_before_or_behind_its_name(sh, tmp_path, monkeypatch):
    monkeypatch.delenv("TASKQUEUE_CONFIG")
    config = ("--config", str(tmp_path / "taskqueue.toml"), "--set", "queues.other.broker=main")
    assert "\nother\t" in sh(*config, "queues")
    assert "\nother\t" in sh("queues", *config)


# init, check


def test_init_creates_the_tables_and_may_be_repeated(sh):
    first = sh("init")
    sh.enqueue(ADD, "a=1")
    assert sh("init") == first
    url = f"sqlite:///{sh.folder / 'tasks.db'}"
    assert first == f"{url}: schema 0001 (queues default, other; task log)\n"
    assert len(sh.json("log", "list")["entries"]) == 1


def test_check_lists_what_it_looked_at(sh):
    out = sh("check")
    assert f"ok  {sh.config}: queues default, other\n" in out
    assert f"      {ADD}\n" in out
    assert "default (0 waiting), other (0 waiting)" in out
    assert f"ok  task log, sqlite:///{sh.folder}/tasks.db: 0 tasks\n" in out


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("no_such_module_anywhere", "ModuleNotFoundError: No module named"),
        ("broken_shop_tasks", "ValueError: oh no"),
        ("leaving_shop_tasks", "SystemExit: 3"),
    ],
)
def test_check_names_a_module_that_cannot_be_imported(sh, module, why):
    (sh.folder / "broken_shop_tasks.py").write_text("raise ValueError('oh no')")
    (sh.folder / "leaving_shop_tasks.py").write_text("raise SystemExit(3)")
    sh.config.write_text(sh.config.read_text().replace("tests.support.errands", module))
    ran = sh.type("check")
    assert ran.code == 78
    assert "NO  modules" in ran.out
    assert f"[app] modules: cannot import {module!r} (from {sh.folder}): {why}" in ran.err
    assert "Traceback" not in ran.err
