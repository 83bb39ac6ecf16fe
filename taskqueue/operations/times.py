"""Times and durations: local time with its offset for people, RFC 3339 in UTC for programs (P20)."""

from __future__ import annotations

from datetime import UTC, datetime

from taskqueue.clock import SystemClock, to_datetime, to_micros

#: what `datetime` can say in every time zone; an eta may lie beyond it, and a row may hold anything
_FIRST, _LAST = (to_micros(datetime(year, month, day, tzinfo=UTC)) for year, month, day in ((1, 1, 3), (9999, 12, 30)))
_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def local(micros: int | None) -> str:
    """`2026-01-31 09:00:00+01:00`; an empty text for None."""
    return "" if micros is None else _moment(micros).astimezone().isoformat(sep=" ", timespec="seconds")


def brief(micros: int | None) -> str:
    """The same without what a reader knows: today's date, this year, and the offset of now (see `offset`)."""
    if micros is None:
        return ""
    moment, now = _moment(micros).astimezone(), _now()
    same_day, same_year = moment.date() == now.date(), moment.year == now.year
    text = moment.strftime("%H:%M:%S" if same_day else "%m-%d %H:%M:%S" if same_year else "%Y-%m-%d %H:%M:%S")
    return text if moment.utcoffset() == now.utcoffset() else text + local(micros)[19:]


def offset() -> str:
    """The offset of local time from UTC, now: `+01:00`."""
    return _now().isoformat(timespec="seconds")[19:]


def rfc3339(micros: int | None) -> str | None:
    """`2026-01-31T08:00:00.000000Z`."""
    return None if micros is None else _moment(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds(span: float) -> str:
    """`12 ms`, `3.2 s`, `5 min 3 s`, `2 h 10 min`, `3 d 4 h`."""
    for unit, size, smaller, part in _UNITS:
        if span >= size:
            whole, rest = divmod(int(span), size)
            return f"{whole} {unit} {rest // part} {smaller}" if rest >= part else f"{whole} {unit}"
    return f"{span:.1f} s" if span >= 1 else f"{max(0.0, span) * 1000:.0f} ms"


def ago(micros: int) -> str:
    """How long ago: `3.2 s ago`."""
    return f"{seconds((SystemClock().micros() - micros) / 1e6)} ago"


def between(begin: int | None, end: int | None) -> str:
    """The time from one to the other; empty where one is missing."""
    return "" if begin is None or end is None else seconds((end - begin) / 1e6)


def _moment(micros: int) -> datetime:
    return to_datetime(min(max(micros, _FIRST), _LAST))


def _now() -> datetime:
    return to_datetime(SystemClock().micros()).astimezone()
