"""`taskqueue enqueue`, `run` and `worker`, in this process."""

from __future__ import annotations

import json

import pytest

from taskqueue.status import Status
from tests.support.shell import shell

ADD = "tests.support.errands:add"


@pytest.mark.parametrize(
    ("args", "result"),
    [
        (["a=1", "b=2"], 3),
        (["a:=1", "b=2"], 3),
        (["--json", '{"a": 1, "b": 2}'], 3),
        (["a=5", "--json", '{"a": 1}'], 15),
        (["a=-1"], 9),
    ],
)
def test_arguments_are_converted_as_the_annotations_say(sh, args, result):
    task_id = sh.enqueue(ADD, *args)
    sh.drain()
    assert sh.app.dispatcher.handle(task_id).result() == result


def test_arguments_come_from_stdin_too(sh):
    ran = sh.type("enqueue", ADD, "--json", "-", typed='{"a": 1}')
    assert ran.code == 0
    sh.drain()
    assert sh.app.dispatcher.handle(ran.id).result() == 11


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["a=1", "b"], "argument 'b' is neither name=value nor name:=json"),
        (["a:=[1", "b=2"], "argument 'a': '[1' is no JSON ("),
        (["b=2"], f"{ADD} needs 'a'"),
        (["a=1", "c=2"], f"{ADD} has no parameter 'c'"),
        (["a=one"], f"{ADD}: parameter 'a': expected `int`"),
        (["--json", "{a: 1}"], "--json: '{a: 1}' is no JSON ("),
        (["--json", "[1]"], "--json: '[1]' is no object; write e.g."),
        (["a=1", "--queue", "othr"], "no queue 'othr' in the configuration, did you mean 'other'?"),
        (["a=1", "--label", "x" * 256], f"{ADD}: label has 256 characters; 255 is the most"),
        (["a=1", "--group", "ann"], "queue 'default' has no groups, so that nothing would run group 'ann' in order"),
        (["a=1", "--key", ""], "option key has 0 characters; it must have 1 to 255"),
        (["a=1", "--label", "\udcff"], "cannot be put into a message"),
    ],
)
def test_what_does_not_fit_is_one_line_and_enqueues_nothing(sh, args, line):
    ran = sh.type("enqueue", ADD, *args)
    assert ran.code == 1
    assert line in ran.line
    assert sh.json("log", "list")["entries"] == []


def test_an_unknown_task_is_named_with_the_nearest_one(sh):
    ran = sh.type("enqueue", "tests.support.errands:ad", "a=1")
    assert ran.code == 1
    assert f"no task 'tests.support.errands:ad' in this process, did you mean '{ADD}'?" in ran.line


def test_options_of_enqueue_reach_the_entry(sh):
    options = "--queue other --priority 2 --owner ann --label first --id 0199d2c3-7f8e-7a10-b1f0-6f2f3c8f3c2a"
    first = sh.enqueue(ADD, "a=1", *options.split(), "--eta", "2126-01-31T09:00+01:00")
    assert sh.enqueue(ADD, "a=1", *options.split()) == first  # enqueued once
    (entry,) = sh.json("log", "list")["entries"]
    expected = {
        "queue": "other",
        "priority": 2,
        "owner": "ann",
        "label": "first",
        "due_at": "2126-01-31T08:00:00.000000Z",
    }
    assert entry | expected == entry


def test_a_key_enqueues_once_and_prints_the_same_id(sh):
    first = sh.enqueue(ADD, "a=1", "--key", "order-9")
    assert sh.enqueue(ADD, "a=2", "--key", "order-9") == first
    (entry,) = sh.json("log", "list")["entries"]
    assert (entry["id"], entry["unique_key"]) == (first, "order-9")


def test_a_delayed_task_waits(sh):
    task_id = sh.enqueue(ADD, "a=1", "--delay", "10m")
    sh.drain()
    assert sh.app.dispatcher.task_log.status(task_id) is Status.ENQUEUED
    (default, _) = sh.json("queues")
    assert (default["waiting"], default["delayed"]) == (0, 1)


def test_wait_gives_up_after_its_time_and_the_task_goes_on(sh):
    ran = sh.type("enqueue", "--wait", "0.05", ADD, "a=1")
    assert ran.code == 1
    assert f"task {ran.id} is still enqueued after 0.05 s; it goes on: `taskqueue log show {ran.id}`" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert sh.app.dispatcher.task_log.status(ran.id) is Status.ENQUEUED


@pytest.mark.parametrize(
    ("task", "code", "text"), [(f"{ADD} a=1", 0, "success"), ("give_up", 1, "ValueError: no luck")]
)
def test_wait_prints_the_report_and_ends_as_the_task_did(sh, task, code, text):
    name, *args = task.split()
    task_id = "0199d2c3-7f8e-7a10-b1f0-6f2f3c8f3c2a"
    sh.enqueue(name if ":" in name else f"tests.support.errands:{name}", *args, "--id", task_id)
    sh.drain()
    ran = sh.type("enqueue", name if ":" in name else f"tests.support.errands:{name}", *args, "--id", task_id, "--wait")
    assert (ran.code, ran.err) == (code, "")
    assert text in ran.out


def test_a_task_whose_code_is_not_here_is_enqueued_by_name(sh):
    task_id = sh.enqueue("shop.elsewhere:mail", "to=ann", "--by-name")
    assert sh.json("log", "show", task_id)["parameters"] == {"to": "ann"}


def test_tasks_of_queues_in_memory_run_at_once(tmp_path):
    config = '[app]\nmodules = ["tests.support.errands"]\n[brokers.main]\nurl = "memory://"\n[queues.default]\n'
    with shell(tmp_path, config=config) as sh:
        assert "success\n└── 3" in sh("enqueue", ADD, "a=1", "b=2")
        assert sh.type("enqueue", "tests.support.errands:give_up").code == 1
        ran = sh.type("worker")
        assert ran.code == 78
        assert "queue 'default' is in memory: its tasks run at once where they are enqueued" in ran.line
        assert "in memory" in sh.type("queues", "pause", "default").line
        assert "queue default: in memory" in sh("doctor")


def test_run_prints_the_report_and_stores_nothing(sh):
    assert sh("run", ADD, "a=1", "b=2") == "success\n└── 3\n"
    assert json.loads(sh("run", ADD, "a=1", "--json-report"))["data"] == 11
    assert not (sh.folder / "tasks.db").exists()


def test_run_runs_children_too(sh):
    out = sh("run", "tests.support.errands:divide_among", "children=2")
    assert "2 children" in out


def test_a_task_that_fails_in_run_shows_where_and_is_exit_code_1(sh):
    ran = sh.type("run", "tests.support.errands:give_up", "text=bad day")
    assert (ran.code, ran.err) == (1, "")
    assert "ValueError: bad day" in ran.out
    assert "raise ValueError(text)" in ran.out


# worker


def test_a_worker_serves_all_queues_if_none_is_named(sh):
    ids = [sh.enqueue(ADD, "a=1", "--queue", queue) for queue in ("default", "other")]
    ran = sh.type("worker", "--drain")
    assert ran.code == 0
    assert "queues=default,other" in ran.err
    assert {sh.app.dispatcher.task_log.status(one) for one in ids} == {Status.COMPLETED}


@pytest.mark.parametrize(
    ("flags", "done"),
    [
        ("--once", 1),
        ("--limit 2", 2),
        ("--drain", 3),
        ("--drain --strict", 3),
        ("--for 0.3s", None),
        ("other --drain", 0),
    ],
)
def test_a_worker_leaves_when_it_was_told(sh, flags, done):
    for number in range(3):
        sh.enqueue(ADD, f"a={number}")
    ran = sh.type("worker", *flags.split(), "--log-level", "warning")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert done in (None, sh.app.dispatcher.task_log.categories()["completed"])


def test_a_worker_knows_no_queue_of_that_name(sh):
    ran = sh.type("worker", "defualt")
    assert ran.code == 1
    assert "no queue 'defualt' in the configuration, did you mean 'default'?" in ran.line
