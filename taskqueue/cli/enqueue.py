"""`taskqueue enqueue`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from taskqueue.cli import terminal
from taskqueue.cli.arguments import parameters, task_arguments
from taskqueue.cli.command import Command
from taskqueue.cli.parameters import Duration, Zoned, with_optional_value
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED, TaskQueueError
from taskqueue.message import HIGHEST, LOWEST
from taskqueue.operations.tasks import enqueue_registered
from taskqueue.status import Status

if TYPE_CHECKING:
    from taskqueue.app import App
    from taskqueue.handle import Handle

FOR_EVER = 36_500 * 86_400.0


class EnqueueCommand(Command):
    """`--wait` takes a duration, or none, without eating the name that follows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, on arguments in which `--wait 5` is one."""
        return super().parse_args(ctx, with_optional_value(args, "--wait"))


def _one_id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return value and str(uuid.UUID(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no UUID") from None


@click.command(
    "enqueue",
    cls=EnqueueCommand,
    examples=(
        ("taskqueue enqueue shop.tasks:mail to=ann copies=2", "text, converted as the task's annotations say"),
        ('taskqueue enqueue shop.tasks:mail \'to:=["ann", "bob"]\'', ":= is JSON"),
        ('taskqueue enqueue shop.tasks:mail --json \'{"to": "ann"}\'', "all arguments as JSON"),
        ("taskqueue enqueue shop.tasks:mail to=ann --delay 10m", "start in ten minutes"),
        ("taskqueue enqueue shop.tasks:mail to=ann --key order-9", "once, however often it is said"),
        ("taskqueue enqueue shop.tasks:mail to=ann --wait", "wait for its report; exit code 1 if it failed"),
        ("taskqueue enqueue shop.tasks:mail to=ann --wait 30s", "wait no longer than that"),
    ),
)
@task_arguments
@click.option("--delay", metavar="DURATION", type=Duration(), help="Start no sooner than after so long.")
@click.option("--eta", metavar="TIME", type=Zoned(), help="Start no sooner than then: 2026-01-31T09:00+01:00.")
@click.option("--queue", metavar="NAME", help="Instead of the queue that the task or the routes say.")
@click.option("--priority", type=click.IntRange(HIGHEST, LOWEST), help="0 comes first, 9 last.")
@click.option("--retries", type=click.IntRange(min=0), help="How often it may be run again after it failed.")
@click.option("--timeout", metavar="DURATION", type=Duration(), help="It is interrupted after so long.")
@click.option("--owner", metavar="TEXT", help="Whose task it is.")
@click.option("--label", metavar="TEXT", help="A name for people.")
@click.option(
    "--group", metavar="TEXT", help="After those of the same group, one at a time; not every queue has groups."
)
@click.option(
    "--key", metavar="TEXT", help="Enqueue nothing if the queue's log has a task of that key; its id is printed."
)
@click.option("--id", metavar="UUID", callback=_one_id, help="Its id: repeated, nothing is enqueued twice.")
@click.option("--by-name", is_flag=True, help="Its code is not here: enqueue it unchecked, for workers that have it.")
@click.option(
    "--wait",
    metavar="[DURATION]",
    type=Duration(),
    is_flag=False,
    flag_value=FOR_EVER,
    help="Wait until it has ended, print its report, exit 1 if it failed.",
)
@click.pass_obj
def command(
    session: Session,
    /,
    name: str,
    pairs: Sequence[str],
    text: str | None,
    *,
    wait: float | None,
    by_name: bool,
    **options: Any,
) -> int:
    """Enqueue the task NAME (module:function, as `taskqueue check` lists them) and print its id.

    Tasks of queues in memory run at once, and their report is printed.
    """
    app = session.app
    said = {option: value for option, value in options.items() if value is not None}
    handle = _enqueue(app, name, parameters(pairs, text), said, by_name=by_name)
    terminal.line(handle.id)
    if app.queues[app.dispatcher.task_log.get(handle.id).queue].broker.capabilities.immediate:
        wait = 0.0
    return 0 if wait is None else _wait(handle, wait)


def _enqueue(app: App, name: str, typed: dict[str, Any], said: dict[str, Any], *, by_name: bool) -> Handle[Any]:
    if by_name:
        return app.dispatcher.options(**said).enqueue_by_name(name, **typed)
    return enqueue_registered(app, name, typed, said)


def _wait(handle: Handle[Any], seconds: float) -> int:
    from taskqueue.cli import reports

    try:
        status = handle.wait(None if seconds == FOR_EVER else seconds)
    except TimeoutError as error:
        raise TaskQueueError(f"{error}; it goes on: `taskqueue log show {handle.id}` tells how far it is") from None
    if (report := handle.report()) is not None:
        terminal.draw(reports.tree(report))
    return 0 if status is Status.COMPLETED else EXIT_FAILED
