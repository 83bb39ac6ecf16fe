"""`supervisor status`."""

from __future__ import annotations

import select
import signal
from contextlib import suppress
from typing import Any

import click
import msgspec

from supervisor.cli import board
from supervisor.cli.asking import Master, Unanswered, talks
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.session import Session
from taskqueue.errors import EXIT_FAILED
from taskqueue.operations.times import rfc3339
from taskqueue.snapshot import Snapshot
from taskqueue.visible import storable, visible_json

#: how often --watch looks, in seconds
PERIOD = 1.0
_MOMENTS = ("started_at", "since")


@click.command(
    "status",
    cls=Command,
    examples=(
        ("supervisor status", "pools and workers: state, task, its age, done, restarts, memory"),
        ("supervisor status --watch", "again each second, until Ctrl-C"),
        ("supervisor status --json", "for programs"),
        ("supervisor status >/dev/null", "exit code 0: fine, 1: degraded, 3: not running"),
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch an object a line.")
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
@talks
@click.pass_obj
def command(session: Session, *, socket: str | None, as_json: bool, watch: bool) -> int:
    """Show what the supervisor and every worker of this host are doing.

    The exit code is 1 if it is degraded: a worker that should be up is not, or there is a problem that somebody should
    see to. It is 3 if no supervisor is running.
    """
    master = Master(session, socket)
    if watch:
        _watch(master, as_json=as_json)
        return 0
    answer = master.ask("status")
    snapshot = snapshot_of(answer)
    _show(snapshot, as_json=as_json)
    return EXIT_FAILED if snapshot.degraded else 0


def snapshot_of(answer: dict[str, Any]) -> Snapshot:
    """The snapshot in an answer to `status`. Raises Unanswered if it is of a release that is too different."""
    try:
        return msgspec.convert(answer.get("snapshot"), Snapshot)
    except msgspec.ValidationError as error:
        raise Unanswered(
            f"the supervisor is of another release and answers otherwise ({error}); use the command of its release"
        ) from error


def _show(snapshot: Snapshot, *, as_json: bool) -> None:
    if as_json:
        terminal.json(_plain(snapshot))
    elif terminal.at_terminal():
        from supervisor.cli import screen

        terminal.draw(screen.draw(snapshot, width=terminal.width()))
    else:
        for remark in board.remarks(snapshot):
            terminal.note(remark.text)
        terminal.table(board.PLAIN, board.plain_rows(snapshot))


def _watch(master: Master, *, as_json: bool) -> None:
    """Show it again and again, until Ctrl-C or TERM, after which the terminal is as it was."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        seen = snapshot_of(master.ask("status"))
        if terminal.at_terminal() and not as_json:
            from supervisor.cli import screen

            screen.watch(seen, look=lambda: _seen(master), wait=_wait)
        while True:
            if as_json:
                click.echo(visible_json(msgspec.json.encode(_plain(seen)).decode()))
            else:
                _show(seen, as_json=False)
            _wait()
            seen = snapshot_of(master.ask("status"))


def _seen(master: Master) -> Snapshot | str:
    """The snapshot, or why there is none: who watches sees it come back."""
    try:
        return snapshot_of(master.ask("status"))
    except Unanswered as error:
        return str(error)


def _wait() -> None:
    select.select([], [], [], PERIOD)


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    """As programs read it: times in RFC 3339 (P20), and whether it is degraded."""
    plain: dict[str, Any] = _readable(msgspec.to_builtins(snapshot))
    return plain | {"degraded": snapshot.degraded}


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _moment(item) if name in _MOMENTS else _readable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return storable(value) if isinstance(value, str) else value


def _moment(moment: float | None) -> str | None:
    return None if moment is None else rfc3339(int(moment * 1e6))
