"""`taskqueue move`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.failures import say
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED, BrokerUnavailable, ConfigurationError
from taskqueue.operations.words import count

if TYPE_CHECKING:
    from taskqueue.database.engine import Database
    from taskqueue.mover import Mover
    from taskqueue.worker.orders import Orders

log = logging.getLogger(__name__)

#: rounds in a row that find nothing, though something seems to be there, and seconds between them
EMPTY_ROUNDS, PAUSE, LONGEST_PAUSE = 5, 0.1, 1.0


class Moved(msgspec.Struct, kw_only=True):
    """What a move did, in messages. `left` did not fit, `held` are with the source's workers (and may come back)."""

    queue: str
    source: str
    destination: str
    moved: int = 0
    dropped: int = 0
    deferred: int = 0
    left: int = 0
    held: int = 0


@click.command(
    "move",
    cls=Command,
    examples=(
        ("taskqueue move mail --to aws", "before the configuration is switched"),
        ("taskqueue move mail --from main --to aws --follow", "after it, while old producers still run"),
        ("taskqueue move mail --from main --to aws --json", "once more at the end; for programs"),
    ),
)
@click.argument("queue")
@click.option("--to", "destination", metavar="BROKER", required=True, help="The broker to move to: [brokers.NAME].")
@click.option("--from", "source", metavar="BROKER", help="The broker to move from; default: the queue's own.")
@click.option("--follow", is_flag=True, help="Go on when it is empty, until TERM or INT.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Move at most N messages.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    session: Session, /, queue: str, *, destination: str, source: str | None, limit: int | None, **flags: bool
) -> int:
    """Move the messages of QUEUE to another broker, while producers and workers go on at both.

    First start workers with the new broker, then switch and restart producers, one after the other, and let `--follow`
    run meanwhile; when no process of the old configuration is left, move once more without it. Where nothing is
    switched yet, moved tasks wait for workers of the new broker. Nothing is lost, and nothing runs twice at once,
    whatever the order and wherever it is killed: the task log decides, so both configurations must have the same.

    The exit code is 1 if something did not fit and was left.
    """
    from taskqueue.worker.orders import Orders

    app = session.app
    mover = _mover(session, queue, source, destination)
    done = Moved(queue=queue, source=source or app.settings.queues[queue].broker, destination=destination)
    orders = Orders()
    orders.install()
    try:
        mover.destination.broker.initialize()
        with terminal.progress(f"moving {queue}", limit or mover.source.broker.depth().total or None) as show:
            _move(mover, done, orders, limit=limit, follow=flags["follow"], show=show)
        done.held = mover.source.broker.depth().leased
    finally:
        orders.restore()
        for end in (mover.source, mover.destination):
            end.broker.close()
    return _tell(done, as_json=flags["as_json"])


def _mover(session: Session, name: str, source: str | None, destination: str) -> Mover:
    from taskqueue.mover import Mover

    app = session.app
    own = app.settings.queues[app.dispatcher.queue(name).name].broker
    source = own if source is None else source
    ends = app.queue_at(name, source), app.queue_at(name, destination)
    if source == destination:
        said = "" if source != own else ": the configuration says so already; name the old one by --from"
        raise click.UsageError(f"queue {name!r} cannot be moved from {source!r} to itself{said}")
    _refuse_two_logs(session, name, (source, destination))
    found = app.database_at(ends[0], source)
    _mind_the_pause(name, found or ends[0].log_database, app.database_at(ends[1], destination) or ends[1].log_database)
    return Mover(*ends, switched=destination == own, strangers=_other_log(found, ends[0].log_database))


def _mind_the_pause(name: str, source: Database | None, destination: Database | None) -> None:
    """A pause is kept in the database of the queue, and does not move (P6)."""
    from taskqueue.database.incarnations import paused_queues

    if source is not destination and source is not None and name in paused_queues(source):
        terminal.note(f"queue {name!r} is paused, but only where it was: pause it with the new configuration, too")


def _refuse_two_logs(session: Session, name: str, brokers: tuple[str, str]) -> None:
    """Without a URL of its own the task log goes with the default queue's broker: then each end has another."""
    from taskqueue import settings

    key = f"queues.{json.dumps(name)}.broker"
    ways = [settings.load(session.app.settings.file, sets=[*session.sets, f"{key}={broker}"]) for broker in brokers]
    logs = [(way.task_log.url, way.task_log.options) for way in ways]
    if logs[0] != logs[1]:
        raise ConfigurationError(
            f"{session.config_name}: the task log would go with queue {name!r}, and entries do not move; "
            "name the present one first: [task_log] url"
        )
    others = [n for n, q in ways[0].queues.items() if n != name and q.broker != ways[1].queues[n].broker]
    if others:
        terminal.note(f"queues that go with {name!r} when its broker is switched, to be moved too: {', '.join(others)}")


def _other_log(database: Database | None, log_database: Database | None) -> Callable[[Sequence[str]], set[str]]:
    """Finds ids in the source's own database, where that is not the task log's."""
    from taskqueue.tasklog.rds import RdsTaskLogBroker

    if database is None or database is log_database:
        return lambda _: set()
    own = RdsTaskLogBroker(database)
    return lambda ids: set(own.statuses(ids))


def _move(
    mover: Mover, done: Moved, orders: Orders, *, limit: int | None, follow: bool, show: Callable[[int], None]
) -> None:
    """Step by step, until there is nothing more, the limit is reached, or a signal says so."""
    away, empty = False, 0
    while not orders.stop and (limit is None or done.moved < limit):
        try:
            found = _round(mover, done, limit=limit)
            away = False
        except BrokerUnavailable as error:
            if not follow:
                raise
            if not away:
                log.warning("a store is away, trying again: %s", error)
            away, found = True, False
        show(done.moved)
        empty = 0 if found else empty + 1
        if empty and not follow and _is_over(mover, empty):
            done.moved += mover.relay(older_than=0.0)
            done.left = _left(mover)
            break
        orders.wait(min(LONGEST_PAUSE, PAUSE * empty))
        orders.obey()


def _round(mover: Mover, done: Moved, *, limit: int | None) -> bool:
    """One step; whether it found something."""
    step = mover.step(limit=limit - done.moved) if limit else mover.step()
    relayed = mover.relay()
    done.moved += step.moved + relayed
    done.dropped += step.dropped
    done.deferred += step.deferred
    return bool(relayed) or not step.idle


def _is_over(mover: Mover, empty: int) -> bool:
    """Nothing is left, or nothing that could be moved; where a store only estimates, several looks are one."""
    depth = mover.source.broker.depth()
    none = depth.waiting + depth.delayed == 0
    return none and empty >= EMPTY_ROUNDS if depth.approximate else none or empty >= EMPTY_ROUNDS


def _left(mover: Mover) -> int:
    depth = mover.source.broker.depth()
    return max(len(mover.unfit), 0 if depth.approximate else depth.waiting + depth.delayed)


def _tell(done: Moved, *, as_json: bool) -> int:
    if as_json:
        terminal.json(msgspec.structs.asdict(done))
    else:
        dropped = f"; {count(done.dropped, 'message')} of ended tasks dropped" if done.dropped else ""
        terminal.line(
            f"{done.queue}: {count(done.moved, 'message')} moved from {done.source} to {done.destination}{dropped}"
        )
        _note(done)
    if done.left:
        say(
            f"queue {done.queue!r}: {count(done.left, 'message')} left at {done.source!r}: too large for "
            f"{done.destination!r}, or to wait longer than it can; work them off where they are: `taskqueue worker "
            f"{done.queue} --set queues.{done.queue}.broker={done.source}`"
        )
    return EXIT_FAILED if done.left else 0


def _note(done: Moved) -> None:
    if done.deferred:
        terminal.note(
            f"{count(done.deferred, 'task')} to wait long: in the task log until a keeper pushes them in time"
        )
    if done.held:
        terminal.note(f"{count(done.held, 'task')} with workers of {done.source!r}: what comes back there is not moved")
