"""Why a task stands where it stands, in plain sentences, and what to do. Pure: facts in, words out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

import msgspec

from taskqueue.database.pauses import Pause
from taskqueue.operations.facts import progress_text, report_of
from taskqueue.operations.times import between, local, seconds
from taskqueue.operations.words import count
from taskqueue.status import Status
from taskqueue.tasklog.entry import Entry

#: a task of somebody else's, whose id is nobody's business
UNSEEN = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a task and of what is round it. `now` is microseconds since 1970 UTC."""

    entry: Entry
    now: int
    #: the queue is in the configuration at hand
    queue_known: bool = True
    #: a task of that name is registered in the application at hand; None: it could not be imported
    name_known: bool | None = True
    pause: Pause | None = None
    #: names of the living workers that serve the queue; None: nobody can know
    workers: tuple[str, ...] | None = None
    #: messages that wait in the queue
    waiting: int = 0
    #: the task of its group whose turn it is, or UNSEEN
    turn: str | None = None
    children: Mapping[Status, int] = {}


def why(facts: Facts) -> list[str]:
    """The sentences, what matters most first."""
    match facts.entry.status:
        case Status.ENQUEUED:
            return list(_enqueued(facts))
        case Status.DEQUEUED | Status.RUNNING:
            return list(_held(facts))
        case Status.CHILD_RUNNING:
            return list(_child_running(facts))
        case Status.COMPLETED:
            return [f"It completed at {local(facts.entry.finished_at)}{_took(facts.entry)}."]
        case Status.FAILED:
            return list(_failed(facts))
        case Status.CANCELLED:
            return [f"It was cancelled at {local(facts.entry.finished_at)}.", *_message(facts.entry)]
        case Status.ARCHIVED:
            return [f"It ended at {local(facts.entry.finished_at)} and was put away.", *_message(facts.entry)]
        case _:
            assert_never(facts.entry.status)


def _enqueued(facts: Facts) -> Iterator[str]:
    entry, queue = facts.entry, facts.entry.queue
    if not facts.queue_known:
        yield f"Its queue {queue!r} is not in this configuration: add [queues.{queue}], or use the file that has it."
        return
    if entry.due_at is not None and entry.due_at > facts.now:
        left = seconds((entry.due_at - facts.now) / 1e6)
        yield f"It waits until {local(entry.due_at)} ({left} from now): {_reason_to_wait(entry)}."
    if entry.relayed_at is None:
        yield "Its message has not reached the queue's store yet; a worker or `taskqueue keeper` pushes it there."
    if facts.pause is not None:
        by = f" by {facts.pause.by}" if facts.pause.by else ""
        yield (
            f"Queue {queue!r} is paused{by} since {local(facts.pause.at)}: "
            f"`taskqueue queues resume {queue}` lets it go on."
        )
    if facts.workers == ():
        yield f"No worker serves queue {queue!r}: start one with `taskqueue worker {queue}`."
    yield from _unknown_name(facts)
    yield from _turn(facts)


def _reason_to_wait(entry: Entry) -> str:
    if entry.unknown_since is not None:
        return "no worker knew its name"
    return f"attempt {entry.attempts} failed, and it is to run again" if entry.attempts else "so it was enqueued"


def _unknown_name(facts: Facts) -> Iterator[str]:
    entry = facts.entry
    if entry.unknown_since is not None:
        yield (
            f"Workers that had it do not know the task {entry.name!r} (the first at {local(entry.unknown_since)}): "
            "deploy the release that has it, or it fails when the queue's unknown_grace is over."
        )
    elif facts.name_known is False:
        yield f"The application here has no task {entry.name!r}: its module must be in [app] modules of the workers."


def _turn(facts: Facts) -> Iterator[str]:
    """Where nothing else holds it up."""
    if facts.turn is not None and facts.turn != facts.entry.id:
        if facts.turn == UNSEEN:
            yield f"It waits for a task that comes before it in group {facts.entry.group_name!r}."
            return
        yield (
            f"It waits for task {facts.turn}, which comes before it in group {facts.entry.group_name!r}: "
            f"`taskqueue log why {facts.turn}` tells what that one waits for."
        )
        return
    due = facts.entry.due_at is None or facts.entry.due_at <= facts.now
    if due and facts.pause is None and facts.workers != () and facts.entry.relayed_at is not None:
        served = f", served by {count(len(facts.workers), 'worker')}" if facts.workers else ""
        yield (
            f"It waits for its turn: {count(facts.waiting, 'task')} waiting in queue {facts.entry.queue!r}{served}. "
            "Tasks of a lower priority number, and older ones, come first."
        )


def _held(facts: Facts) -> Iterator[str]:
    entry = facts.entry
    holder = entry.worker or "a worker"
    if entry.status is Status.RUNNING:
        yield (
            f"Worker {holder} runs it since {local(entry.started_at)} "
            f"({between(entry.started_at, facts.now)}), attempt {entry.attempts}."
        )
    else:
        yield f"Worker {holder} has taken it and starts it next."
    if progress := progress_text(entry):
        yield f"Its progress: {progress}."
    if entry.cancel_requested:
        yield "Its cancel was requested; it ends when the task looks at it. `--force` does not wait for that."
    if facts.workers is not None and entry.worker is not None and entry.worker not in facts.workers:
        yield (
            "That worker is not among the living: another one or `taskqueue keeper` gives the task back when its "
            "lease has ended; `taskqueue stuck restart` does it now."
        )


def _child_running(facts: Facts) -> Iterator[str]:
    open_ones = {status: n for status, n in facts.children.items() if not status.ended}
    if not open_ones:
        yield "Its own run is over and all its children have ended: `taskqueue stuck restart` settles it."
        return
    words = ", ".join(f"{n:,} {status.label}" for status, n in sorted(open_ones.items()))
    yield f"Its own run is over; it waits for its children: {words}, of {sum(facts.children.values()):,}."
    yield f"`taskqueue log list --parent {facts.entry.id}` lists them."


def _failed(facts: Facts) -> Iterator[str]:
    entry = facts.entry
    runs = f", attempt {entry.attempts}" if entry.attempts else ""
    yield f"It failed at {local(entry.finished_at)}{_took(entry)}{runs}."
    yield from _message(entry)
    if failed := facts.children.get(Status.FAILED, 0) + facts.children.get(Status.CANCELLED, 0):
        yield f"{failed:,} of its {sum(facts.children.values()):,} children failed or were cancelled."
    yield f"`taskqueue log show {entry.id}` has all of it; `taskqueue log retry {entry.id}` enqueues it once more."


def _message(entry: Entry) -> Iterator[str]:
    report = report_of(entry.report)
    if report is not None and report.message:
        yield report.message


def _took(entry: Entry) -> str:
    took = between(entry.started_at, entry.finished_at)
    return f" after {took}" if took else ""
