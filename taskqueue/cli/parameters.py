"""Values as people type them at the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from taskqueue.clock import SystemClock, to_micros
from taskqueue.errors import did_you_mean
from taskqueue.settings import durations
from taskqueue.status import Status

_DURATION = re.compile(r"\d+(\.\d+)?\s*[A-Za-z]*")


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in the newest releases only
    """Seconds, or "500ms", "30s", "10m", "2h", "30d"."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            # A number at the command line is a text, too.
            return durations.duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic in the newest releases only
    """A time of day with its zone (2026-01-31T09:00+01:00), or how long ago (2h)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Microseconds since 1970 UTC."""
        if isinstance(value, int):
            return value
        if _DURATION.fullmatch(value):
            return SystemClock().micros() - int(Duration().convert(value, param, ctx) * 1e6)
        return to_micros(aware(value, param, ctx))


class Zoned(click.ParamType):  # type: ignore[type-arg]  # generic in the newest releases only
    """A time of day with its zone: 2026-01-31T09:00+01:00."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware datetime."""
        return value if isinstance(value, datetime) else aware(value, param, ctx)


class StatusName(click.ParamType):  # type: ignore[type-arg]  # generic in the newest releases only
    """A status of the task log."""

    name = "status"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Status:
        """The status of that label."""
        if isinstance(value, Status):
            return value
        try:
            return Status.parse(value)
        except ValueError as error:
            self.fail(did_you_mean(value, [s.label for s in Status]).replace(", did", f"{value!r}: did") or str(error))


def aware(value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
    """The time that was typed; usage error if it has no zone, as the machine's own is nobody's promise."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no time; write e.g. 2026-01-31T09:00+01:00 or 2026-01-31T08:00Z", ctx, param
        ) from None
    if moment.utcoffset() is None:
        raise click.BadParameter(f"{value!r} has no time zone; write e.g. {value}+01:00 or {value}Z", ctx, param)
    return moment


def with_optional_value(args: Sequence[str], option: str) -> list[str]:
    """Arguments in which `option` keeps a duration that follows it, and nothing else: `--wait 5`, `--wait NAME`."""
    joined: list[str] = []
    for arg in args:
        if joined and joined[-1] == option and _DURATION.fullmatch(arg):
            joined[-1] = f"{option}={arg}"
        else:
            joined.append(arg)
    return joined
