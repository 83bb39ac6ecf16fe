"""`taskqueue check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import click
import msgspec

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.failures import say
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_CONFIGURATION, TaskQueueError
from taskqueue.masking import mask_url

#: a name, and what is done: it says what it found, or raises
Check = tuple[str, Callable[[], str]]


class Checked(msgspec.Struct, frozen=True):
    """What came of one check: what was found, or what is wrong and what to do."""

    what: str
    ok: bool
    text: str
    exit_code: int = 0


@click.command(
    "check",
    cls=Command,
    examples=(
        ("taskqueue check", "before a deployment, or in a container's start"),
        ("taskqueue check --config /etc/shop/taskqueue.toml", "another file"),
        ("taskqueue check --json", "for programs"),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, *, as_json: bool) -> int:
    """Validate the configuration, import the application's modules, connect every store; list what was checked.

    The exit code is 78 if the configuration can never work, 1 if something did not answer.
    """
    return check(session.app, as_json=as_json)


def check(app: App, *, first: Iterable[Check] = (), as_json: bool = False) -> int:
    """Do all checks of an application, and what `first` says before them; tell each; the exit code."""
    done = []
    configuration, *others = _checks(app)
    for what, look in (configuration, *first, *others):
        done.append(_do(what, look))
        if not as_json:
            _tell(done[-1])
    if as_json:
        terminal.json([msgspec.structs.asdict(checked) for checked in done])
    codes = [checked.exit_code for checked in done]
    return EXIT_CONFIGURATION if EXIT_CONFIGURATION in codes else max(codes)


def _do(what: str, check: Callable[[], str]) -> Checked:
    try:
        return Checked(what, ok=True, text=check())
    except TaskQueueError as error:
        return Checked(what, ok=False, text=str(error), exit_code=error.exit_code)


def _tell(checked: Checked) -> None:
    if checked.ok:
        where = "" if checked.what == "configuration" else f"{checked.what}: "
        for text in f"ok  {where}{checked.text}".splitlines():
            terminal.line(text)
    else:
        terminal.line(f"NO  {checked.what}", style="bold red")
        say(checked.text)


def _checks(app: App) -> Iterator[Check]:
    yield "configuration", lambda: f"{app.settings.file}: queues {', '.join(app.settings.queues)}"
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
