"""Rules: how the value of one key is read. Each takes a TOML value and returns the setting, or raises ValueError.

The texts of these errors end in an operator's terminal: they never hold what came from a variable (P19).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli

from taskqueue.errors import did_you_mean
from taskqueue.masking import mask_url
from taskqueue.settings import cpus
from taskqueue.settings.durations import duration
from taskqueue.settings.interpolate import Interpolated
from taskqueue.status import ENDED, Status

Rule = Callable[[Any], Any]
LONGEST_NAME = 200
#: the first number that is not shown
TOO_LONG = 10**40
SWITCH = (True, False)
#: the one above it means "unchanged" to the kernel
LAST_ACCOUNT = 2**32 - 2
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,40}")
# What no name service gives: it would end a field of passwd(5), name a path, or look like an option.
_ACCOUNT = re.compile(r"[^\s:/-][^\s:/]{0,255}")
_NUMBER = re.compile(r"[0-9]+")
_UMASK = re.compile(r"0?0[0-7]{2}")
_URL = re.compile(r"[a-z][a-z0-9.+-]*://")


def text(value: Any) -> str:
    """A text without control characters."""
    if not isinstance(value, str):
        raise _misfit("a text", value)
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise ValueError("the text has a control character")
    return str(value)


def optional(value: Any) -> str | None:
    """A text; an empty one means none."""
    return text(value) or None


def name(value: Any) -> str:
    """A name of a queue, broker or pool: it stands in paths such as host/pool/0 and in one line of a log."""
    given = text(value)
    if not given or len(given) > LONGEST_NAME or "/" in given:
        raise ValueError(f"{describe(value)} is no name: expected 1 to {LONGEST_NAME} characters without '/'")
    if given != given.strip():  # some databases take "mail " for "mail"
        raise ValueError(f"{describe(value)} is no name: a space stands at its beginning or end")
    return given


def host(value: Any) -> str:
    """What a host is called; an empty text means what the system calls it."""
    return name(value) if value != "" else ""


def prefix(value: Any) -> str:
    """What the names of tables or of a service's queues begin with."""
    if not _PREFIX.fullmatch(text(value)):
        raise _misfit("up to 40 letters, digits, '_' and '-'", value)
    return text(value)


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise _misfit('a list such as ["one", "two"]', value)
    return tuple(text(item) for item in value)


def names(value: Any) -> tuple[str, ...]:
    """A list of at least one name, none twice."""
    given = tuple(name(item) for item in texts(value))
    if not given:
        raise ValueError("expected at least one name")
    twice = next((n for n in given if given.count(n) > 1), None)
    if twice:
        raise ValueError(f"{describe(value[given.index(twice)])} stands there twice")
    return given


def routes(value: Any) -> dict[str, str]:
    """A table of task name -> queue name."""
    if not isinstance(value, dict):
        raise _misfit('a table such as {"shop.tasks:mail" = "mail"}', value)
    return {text(task): name(queue) for task, queue in value.items()}


def path(value: Any) -> Path:
    """A path; the caller says where a relative one starts."""
    if not text(value):
        raise ValueError("expected a path")
    return Path(text(value))


def optional_path(value: Any) -> Path | None:
    """A path; an empty one means none."""
    return Path(text(value)) if text(value) else None


def account(value: Any) -> str:
    """The name or the number of a user or a group; an empty one means none. Only its host knows whether it exists."""
    number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LAST_ACCOUNT
    given = str(value) if number else text(value)
    if given and not _ACCOUNT.fullmatch(given):
        raise ValueError(f"{describe(value)} is no name or number of an account")
    if _NUMBER.fullmatch(given) and int(given) > LAST_ACCOUNT:
        raise _misfit(f"a number up to {LAST_ACCOUNT}", value)
    return given


def umask(value: Any) -> int | None:
    """The permissions that new files lack; an empty text means as the process was started.

    Octal, as a text: TOML does not tell 027 from 27. What would shut workers out of their own files is refused.
    """
    if value == "":
        return None
    if not isinstance(value, str) or not _UMASK.fullmatch(value):
        raise _misfit('an octal text from "000" to "077", such as "027"', value)
    return int(value, 8)


def url(value: Any) -> str:
    """A store's URL. Errors do not repeat it."""
    if not isinstance(value, str) or not _URL.match(value):
        raise ValueError('expected a URL such as "sqlite:///var/taskqueue.db"')
    return text(value)


def whole(low: int = 0, high: int = 2**31 - 1) -> Rule:
    """A whole number from `low` to `high`."""

    def read(value: Any) -> int:
        number = literal(value) if isinstance(value, Interpolated) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            span = f"from {low}" if high == 2**31 - 1 else f"from {low} to {high}"
            raise _misfit(f"a whole number {span}", value)
        return number

    return read


def workers(value: Any) -> int:
    """A number of processes; "cpus" is one for each processor that this process may use."""
    if value == "cpus":
        return cpus.usable()
    try:
        return int(whole(0, 1000)(value))
    except ValueError as e:
        raise ValueError(f'{e} (or "cpus")') from None


def seconds(low: float = 0.0) -> Rule:
    """A duration of at least `low` seconds."""

    def read(value: Any) -> float:
        given = duration(value)
        if given < low:
            raise _misfit(f"at least {low:g} s", value)
        return given

    return read


def one_of(*choices: str | bool) -> Rule:
    """One of these values."""

    def read(value: Any) -> str | bool:
        given = literal(value) if isinstance(value, Interpolated) else value
        for choice in choices:
            if type(given) is type(choice) and given == choice:
                return choice
        raise _misfit(f"one of {', '.join(describe(c) for c in choices)}", value)

    return read


def lifetime(value: Any) -> float | None:
    """A duration, or "forever" (None)."""
    try:
        return None if value == "forever" else duration(value)
    except ValueError as e:
        raise ValueError(f'{e}, or "forever"') from None


def retention(value: Any) -> dict[Status, float | None]:
    """How long ended entries stay: one lifetime, or a table by status. What the table leaves out stays 30 days."""
    if not isinstance(value, dict):
        return dict.fromkeys(ENDED, lifetime(value))
    labels = {s.label: s for s in ENDED}
    for label in value:
        if label not in labels:
            hint = did_you_mean(label, labels) or f"; known: {', '.join(labels)}"
            raise ValueError(f"{describe(label)} is no status in which a task has ended{hint}")
    return kept_a_month() | {labels[label]: lifetime(kept) for label, kept in value.items()}


def kept_a_month() -> dict[Status, float | None]:
    """The retention where nothing else is said."""
    return dict.fromkeys(ENDED, duration("30d"))


def literal(given: str) -> Any:
    """What `given` is in TOML (8, true, ["a"], ...), or else the text itself."""
    try:
        table = tomli.loads(f"value = {given}")
    except (ValueError, RecursionError):
        return str(given)
    return table["value"] if len(table) == 1 else str(given)


def describe(value: Any) -> str:
    """A value as an error shows it: short, on one line, and without what may be a secret."""
    if isinstance(value, Interpolated):
        return f"the value of {value.source}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = mask_url(value)
        return repr(shown if len(shown) <= 60 else shown[:57] + "...")
    if isinstance(value, int) and abs(value) >= TOO_LONG:
        return "a number of too many digits"  # Python refuses to write out one that was read from hexadecimal digits
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a date or time"


def _misfit(wanted: str, value: Any) -> ValueError:
    return ValueError(f"expected {wanted}, not {describe(value)}")
