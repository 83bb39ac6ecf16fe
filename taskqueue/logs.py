"""Logging as `[logging]` says it: text for people or JSON for programs, one record a line on stderr.

A record that is written while a task runs says which (`task_id`, `task_name`, `queue`, `attempt`, `worker`). No text
can forge a line: line breaks in messages are written out, and the further lines of a traceback are indented. At a
terminal the level of a text line has a colour, unless $NO_COLOR is set (https://no-color.org) or $TERM is "dumb".
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

from taskqueue.context import context
from taskqueue.masking import mask_url
from taskqueue.settings import LoggingSettings
from taskqueue.visible import visible, visible_lines

#: libraries that say at "info" what only their authors want to know
_TALKATIVE = ("alembic", "asyncio", "boto3", "botocore", "sqlalchemy", "urllib3")
_URL = re.compile(r"\S+://\S+")
#: what a terminal is told before a level's name; the others stay as they are
_COLOURS = {
    "DEBUG": "\x1b[2m",
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
_PLAIN = "\x1b[0m"
#: what a record says of the task that wrote it
TASK_FACTS = frozenset({"task_id", "task_name", "queue", "attempt", "worker"})
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "stacks"}


def setup(settings: LoggingSettings, *, level: str | None = None) -> None:
    """Send the root logger's records to stderr from `level` on (None: as the settings say). Repeated, it replaces."""
    root = logging.getLogger()
    handler = ToStderr()
    handler.addFilter(RunningTask())
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter(coloured=_shows_colours()))
    root.handlers = [h for h in root.handlers if not isinstance(h, ToStderr)] + [handler]
    root.setLevel((level or settings.level).upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class ToStderr(logging.Handler):
    """Writes each record in one piece to what is `sys.stderr` at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it; a record that cannot be written harms nobody."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001  # logging's own rule: a record that cannot be written harms nobody
            self.handleError(record)


class RunningTask(logging.Filter):
    """Adds the facts of the task that runs, if the record says none itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the record; all pass."""
        if context.active:
            facts = {
                "task_id": context.id,
                "task_name": context.name,
                "queue": context.queue,
                "attempt": context.attempt,
                "worker": context.worker,
            }
            vars(record).update({name: value for name, value in facts.items() if not hasattr(record, name)})
        return True


class TextFormatter(logging.Formatter):
    """`2026-01-31 09:00:00.123+01:00 WARNING taskqueue.worker[4711] lease lost  task_id=... queue=mail`.

    `left_out` are facts that are not said; of a message that is longer than `longest` the rest goes, of a traceback
    its beginning.
    """

    def __init__(
        self, *, coloured: bool = False, left_out: frozenset[str] = frozenset(), longest: int | None = None
    ) -> None:
        super().__init__()
        self.colours = _COLOURS if coloured else {}
        self._left_out = left_out
        self._longest = longest

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the indented lines of its traceback."""
        when = datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(sep=" ", timespec="milliseconds")
        said = {name: value for name, value in _facts(record).items() if name not in self._left_out}
        facts = self._cut("".join(f" {name}={_plain(value)}" for name, value in said.items()))
        head = f"{when} {self._level(record)} {record.name}[{record.process}] "
        line = head + visible(self._cut(_masked(_message(record)))) + (f" {facts}" if facts else "")
        trace = visible_lines(_masked(_trace(self, record)))
        if self._longest is not None:
            trace = trace[-self._longest :]
        return "\n    ".join([line, *trace.splitlines()])

    def _cut(self, text: str) -> str:
        return text if self._longest is None or len(text) <= self._longest else f"{text[: self._longest]}..."

    def _level(self, record: logging.LogRecord) -> str:
        name, colour = record.levelname, self.colours.get(record.levelname)
        return f"{colour}{name:<7}{_PLAIN}" if colour else f"{name:<7}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": _masked(_message(record)),
        }
        if trace := _trace(self, record):
            said["exception"] = _masked(trace)
        facts = {name: value for name, value in _facts(record).items() if name not in said}
        return json.dumps(said | facts, default=str, skipkeys=True)


def _shows_colours() -> bool:
    # Without a stream (pythonw, a closed descriptor) nobody looks.
    looks = sys.stderr is not None and sys.stderr.isatty()
    return looks and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a wrong format is the program's slip; what it had to say is not lost for that
        return f"{record.msg} {record.args}"


def _masked(text: str) -> str:
    return _URL.sub(lambda found: mask_url(found[0]), text) if "://" in text else text


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    if stacks := getattr(record, "stacks", ""):
        parts.append(str(stacks))  # of another process, which has ended
    return "\n".join(parts)


def _plain(value: object) -> str:
    text = visible(_masked(str(value)))
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(" =\"'") else text
