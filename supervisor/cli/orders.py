"""`supervisor pause`, `resume`, `scale`, `restart`, `reload`: what the master does at once, and answers in a line."""

from __future__ import annotations

from typing import Any

import click

from supervisor.cli.asking import Master, talks
from supervisor.request import MOST_WORKERS
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.session import Session

_target = click.argument("target", metavar="[POOL[/INDEX]]", required=False)


@click.command(
    "pause",
    cls=Command,
    examples=(
        ("supervisor pause", "the whole host, as USR2 does"),
        ("supervisor pause mail", "all workers of a pool"),
        ("supervisor pause mail/0", "one worker"),
    ),
)
@_target
@talks
@click.pass_obj
def pause(session: Session, *, target: str | None, socket: str | None) -> None:
    """Let workers start no task: all of this host, or those of a pool, or one.

    Tasks that run go on to their end; what was leased and not started goes back to its queue. It holds for workers that
    are started later, too, until `supervisor resume` takes back the same. A queue is paused on all hosts by
    `taskqueue queues pause`.
    """
    _order(session, socket, "pause", target=target)


@click.command(
    "resume",
    cls=Command,
    examples=(
        ("supervisor resume", "the whole host, as CONT does"),
        ("supervisor resume mail", "what `supervisor pause mail` paused"),
    ),
)
@_target
@talks
@click.pass_obj
def resume(session: Session, *, target: str | None, socket: str | None) -> None:
    """Take a pause back: that of the host, or of a pool, or of one worker. The others stay; `status` shows them."""
    _order(session, socket, "resume", target=target)


@click.command(
    "scale",
    cls=Command,
    examples=(
        ("supervisor scale mail 8", "eight workers for mail"),
        ("supervisor scale mail 0", "none"),
    ),
)
@click.argument("pool")
@click.argument("workers", metavar="N", type=click.IntRange(0, MOST_WORKERS))
@talks
@click.pass_obj
def scale(session: Session, *, pool: str, workers: int, socket: str | None) -> None:
    """Let a pool have N workers, from now on.

    Those that are too many leave after their task. It holds until the configuration's own number changes, or the
    supervisor is started anew; `status` shows both numbers.
    """
    _order(session, socket, "scale", target=pool, workers=workers)


@click.command(
    "restart",
    cls=Command,
    examples=(
        ("supervisor restart", "all workers, a few at a time"),
        ("supervisor restart mail", "those of a pool"),
        ("supervisor restart mail/0", "one worker"),
    ),
)
@_target
@talks
@click.pass_obj
def restart(session: Session, *, target: str | None, socket: str | None) -> None:
    """Replace workers one after the other, each when its task has ended, so that most are always at work.

    With `[app] preload = false` the new ones import the application's new code. The command does not wait for them:
    `supervisor status` shows how far it is.
    """
    _order(session, socket, "restart", target=target)


@click.command(
    "reload",
    cls=Command,
    examples=(("supervisor reload", "as HUP does, and it says what is wrong with the file"),),
)
@talks
@click.pass_obj
def reload(session: Session, *, socket: str | None) -> None:
    """Read the configuration again; only what is different moves.

    A file that is wrong changes nothing: the command says what is wrong with it, and the exit code is 1.
    """
    _order(session, socket, "reload")


def _order(session: Session, socket: str | None, command: str, **about: Any) -> None:
    answer = Master(session, socket).ask(command, **about)
    terminal.line(str(answer.get("message") or "done"))
