"""`supervisor check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from supervisor.address import Address
from taskqueue.cli.check import Check, check
from taskqueue.cli.command import Command
from taskqueue.cli.failures import say
from taskqueue.cli.session import Session
from taskqueue.operations.words import count

if TYPE_CHECKING:
    from taskqueue.app import App


@click.command(
    "check",
    cls=Command,
    examples=(
        ("supervisor check", "before a deployment or a reload"),
        ("supervisor check --set queues.mail.workers=8", "what that would run"),
    ),
)
@click.pass_obj
def command(session: Session) -> int:
    """Say which workers would run here, and check all that `taskqueue check` does.

    That is the configuration, the application's modules, and every store. Nothing is started. The exit code is 78 if
    the configuration can never work, 1 if something did not answer.
    """
    app = session.app
    code = check(app, first=_checks(app))
    for name in _unserved(app):
        say(f"warning: no worker of this host serves the queue {name!r}; give it `workers`, or leave it to other hosts")
    return code


def _checks(app: App) -> Iterator[Check]:
    yield "workers", lambda: _workers(app)
    yield "control socket", lambda: _socket(app)


def _workers(app: App) -> str:
    pools = list(_pools(app))
    total = sum(workers for _, workers, _ in pools)
    lines = [f"{name}: {count(workers, 'worker')}{serves}" for name, workers, serves in pools]
    beside = f"the keeper, and the web server at {bind}" if (bind := app.settings.web.bind) else "and the keeper"
    return "\n      ".join([f"{total:,}, {beside}", *lines])


def _pools(app: App) -> Iterator[tuple[str, int, str]]:
    """Each pool that would have workers: its name, how many, and what it serves if its name does not say so."""
    for name in _waited_at(app):
        if workers := app.settings.queues[name].workers:
            yield name, workers, ""
    for pool in app.settings.pools.values():
        if pool.workers:
            yield pool.name, pool.workers, f" for {', '.join(pool.queues)} ({pool.selector})"


def _unserved(app: App) -> list[str]:
    served = {name for name, _, _ in _pools(app)}
    served |= {name for pool in app.settings.pools.values() if pool.workers for name in pool.queues}
    return [name for name in _waited_at(app) if name not in served]


def _waited_at(app: App) -> list[str]:
    """Queues whose tasks wait for a worker: those in memory run where they are enqueued."""
    return [name for name, queue in app.queues.items() if not queue.broker.capabilities.immediate]


def _socket(app: App) -> str:
    path = app.settings.supervisor.control_socket
    Address(path).check()
    return str(path)
