"""What becomes of errors: one line on stderr that says what, where and what to do, and an exit code.

0 done   1 failed   2 usage   78 configuration   130 interrupted   141 the reader of our output went away
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import click

from taskqueue.cli.session import DEBUG, Session
from taskqueue.errors import EXIT_FAILED, EXIT_USAGE, TaskQueueError
from taskqueue.masking import mask_url
from taskqueue.visible import visible

EXIT_INTERRUPTED, EXIT_PIPE = 130, 141
#: the program that speaks
_PROGRAM = ContextVar("program", default="taskqueue")


class ReaderGone(Exception):
    """What read our output went away."""


class Outcome:
    """How the program ends."""

    def __init__(self) -> None:
        self.code = 0


@contextmanager
def told(session: Session, *, program: str = "taskqueue") -> Iterator[Outcome]:
    """Tell of what is raised inside, and keep the exit code. Nothing gets out but what ends the interpreter."""
    outcome = Outcome()
    _PROGRAM.set(program)
    _escape_what_cannot_be_written()
    try:
        yield outcome
        sys.stdout.flush()
    except (BrokenPipeError, ReaderGone):
        _drop_output()
        outcome.code = EXIT_PIPE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the last place that can say what happened
        if session.debug and not isinstance(error, click.ClickException):
            traceback.print_exc()
        outcome.code = _tell(error)
    return None


@contextmanager
def reader_watched() -> Iterator[None]:
    """Raise ReaderGone where the output's reader went away: click makes a plain exit code 1 of the system's error."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error


def say(text: str) -> None:
    """One line on stderr, or several that begin alike; lines that are indented belong to the one before."""
    for line in text.splitlines() or [""]:
        shown = visible(line)
        click.echo(shown if line.startswith("  ") else f"{_PROGRAM.get()}: {shown}", err=True)


def _tell(error: BaseException) -> int:
    if isinstance(error, TaskQueueError):
        say(str(error))
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return _interrupted(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return EXIT_USAGE
    if isinstance(error, click.ClickException):
        say(_one_line(error))
        return error.exit_code
    if isinstance(error, UnicodeEncodeError):
        say(f"{error.object[:50]!r} is no text: it has bytes that are not UTF-8")
        return EXIT_USAGE
    # Its first line: what follows may be a statement with its parameters, which may be secrets (P19).
    text = mask_url(str(error).partition("\n")[0])
    say(f"unexpected {type(error).__name__}: {text}; this is a bug: {DEBUG}=1 shows where it happened")
    return EXIT_FAILED


def _interrupted(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    say("not confirmed, nothing was changed")
    return EXIT_FAILED


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    text = text[:1].lower() + text[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return text
    then = " See" if text.endswith("?") else "; see"
    return f"{text}{then} `{context.command_path} --help`"


def _escape_what_cannot_be_written() -> None:
    # A terminal that knows no UTF-8 is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    # The interpreter flushes once more at its end, and would complain.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None
