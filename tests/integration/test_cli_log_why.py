"""`taskqueue log why`: each situation of a task, in plain sentences that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.shell import Shell, shell

ERRANDS = "tests.support.errands"
Situation = Callable[[Shell], str]


def waits(sh: Shell, *args: str) -> str:
    return sh.enqueue(f"{ERRANDS}:add", "a=1", *args)


def paused(sh: Shell) -> str:
    sh("queues", "pause", "default")
    return waits(sh)


def served(sh: Shell) -> str:
    waits(sh)
    sh.hold()
    return waits(sh)


def of_a_queue_that_is_gone(sh: Shell) -> str:
    task_id = waits(sh, "--queue", "other")
    sh.config.write_text(sh.config.read_text().replace("[queues.other]", ""))
    sh.forget()
    return task_id


def tried_once(sh: Shell) -> str:
    task_id = sh.enqueue(f"{ERRANDS}:give_up_for_now")
    sh.drain()
    return task_id


def unknown_to_a_worker(sh: Shell) -> str:
    task_id = sh.enqueue("shop.elsewhere:pay", "--by-name")
    sh.drain()
    return task_id


def held(sh: Shell, **options: float) -> str:
    waits(sh)
    return sh.hold(**options).claim.id  # type: ignore[arg-type]  # the test says them


def asked_to_stop(sh: Shell) -> str:
    task_id = held(sh)
    sh("log", "cancel", task_id)
    return task_id


def ended(sh: Shell, task: str = "add", *verb: str) -> str:
    task_id = sh.enqueue(f"{ERRANDS}:{task}", *(["a=1"] if task == "add" else []))
    sh.drain()
    if verb:
        sh("log", *verb, task_id)
    return task_id


def cancelled(sh: Shell) -> str:
    task_id = waits(sh)
    sh("log", "cancel", task_id)
    return task_id


@pytest.mark.parametrize(
    ("situation", "sentences"),
    [
        (waits, "No worker serves queue 'default': start one with `taskqueue worker default`."),
        (served, "It waits for its turn: 1 task waiting in queue 'default', served by 1 worker."),
        (lambda sh: waits(sh, "--delay", "10m"), "It waits until | from now): so it was enqueued."),
        (paused, "Queue 'default' is paused by |@| since |: `taskqueue queues resume default` lets it go on."),
        (of_a_queue_that_is_gone, "Its queue 'other' is not in this configuration: add [queues.other], or use"),
        (
            lambda sh: sh.enqueue("shop.elsewhere:pay", "--by-name"),
            "The application here has no task 'shop.elsewhere:pay': its module must be in [app] modules",
        ),
        (unknown_to_a_worker, "Workers that had it do not know the task 'shop.elsewhere:pay' (the first at "),
        (tried_once, "It waits until |from now): attempt 1 failed, and it is to run again."),
        (held, "Worker host:4711 runs it since |, attempt 1."),
        (lambda sh: held(sh, started=False), "Worker host:4711 has taken it and starts it next."),
        (lambda sh: held(sh, lease=0.05), "That worker is not among the living: another one or `taskqueue keeper`"),
        (asked_to_stop, "Its cancel was requested; it ends when the task looks at it."),
        (ended, "It completed at | after "),
        (lambda sh: ended(sh, "give_up"), "It failed at |, attempt 1.|ValueError: no luck|`taskqueue log retry "),
        (lambda sh: ended(sh, "unstorable"), "It failed at |object"),
        (lambda sh: ended(sh, "add", "archive"), "It ended at | and was put away."),
        (cancelled, "It was cancelled at "),
    ],
)
def test_why(tmp_path: Path, situation: Situation, sentences: str):
    with shell(tmp_path) as sh:
        task_id = situation(sh)
        why = "\n".join(sh.json("log", "why", task_id)["why"])
        for part in sentences.split("|"):
            assert part in why
        assert len(sh("log", "why", task_id).splitlines()) == 1 + len(why.splitlines())
