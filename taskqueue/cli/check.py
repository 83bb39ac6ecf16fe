"""`taskqueue check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import click

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.failures import say
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_CONFIGURATION, TaskQueueError
from taskqueue.masking import mask_url

#: a name, and what is done: it says what it found, or raises
Check = tuple[str, Callable[[], str]]


@click.command(
    "check",
    cls=Command,
    examples=(
        ("taskqueue check", "before a deployment, or in a container's start"),
        ("taskqueue check --config /etc/shop/taskqueue.toml", "another file"),
    ),
)
@click.pass_obj
def command(session: Session) -> int:
    """Validate the configuration, import the application's modules, connect every store; list what was checked.

    The exit code is 78 if the configuration can never work, 1 if something did not answer.
    """
    return check(session.app)


def check(app: App, *, first: Iterable[Check] = ()) -> int:
    """Do what `first` says and then all checks of an application, a line each; the exit code."""
    queues = ", ".join(app.settings.queues)
    terminal.line(f"ok  {app.settings.file}: queues {queues}")
    codes = [_do(name, done) for name, done in (*first, *_checks(app))]
    return EXIT_CONFIGURATION if EXIT_CONFIGURATION in codes else max(codes)


def _do(name: str, check: Callable[[], str]) -> int:
    try:
        for text in f"ok  {name}: {check()}".splitlines():
            terminal.line(text)
    except TaskQueueError as error:
        terminal.line(f"NO  {name}", style="bold red")
        say(str(error))
        return error.exit_code
    return 0


def _checks(app: App) -> Iterator[Check]:
    yield "modules", lambda: _modules(app)
    for broker in app.settings.brokers.values():
        names = [queue.name for queue in app.settings.queues.values() if queue.broker == broker.name]
        if names:
            yield f"broker {broker.name}, {mask_url(broker.url)}", lambda names=names: _broker(app, names)  # type: ignore[misc]  # bound now
    yield f"task log, {mask_url(app.settings.task_log.url)}", lambda: _task_log(app)


def _modules(app: App) -> str:
    app.import_modules()
    modules = ", ".join(app.settings.app.modules) or "none"
    return "\n      ".join([f"{modules}; tasks:", *app.registry])


def _broker(app: App, names: list[str]) -> str:
    waiting = {name: app.queues[name].broker.depth().waiting for name in names}
    return ", ".join(f"{name} ({n:,} waiting)" for name, n in waiting.items())


def _task_log(app: App) -> str:
    return f"{sum(sum(by.values()) for by in app.dispatcher.task_log.stats().values()):,} tasks"
