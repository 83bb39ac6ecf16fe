"""Databases and clocks."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from taskqueue.app import App
from taskqueue.cli.doctor import sqlite
from taskqueue.cli.doctor.finding import Finding, ill, well
from taskqueue.cli.times import seconds
from taskqueue.cli.words import count
from taskqueue.database import incarnations, tally, upgrade
from taskqueue.database.engine import Database
from taskqueue.database.sqlite import SqliteDialect
from taskqueue.status import Status

#: a keeper folds the counts every 10 s; so many rows say that none does
UNFOLDED = 20_000
#: an entry from the future, in seconds: the clock was set back
AHEAD = 2.0


def database(_app: App, found: Database) -> Iterator[Finding]:
    """One database: does it answer, does its schema fit, does somebody keep it."""
    with found.read() as connection:
        revision = upgrade.revision(connection, found.tables, found.name)
    yield well(found.name, f"answers; schema {revision:04}")
    if isinstance(found.dialect, SqliteDialect):
        yield from sqlite.file(found, found.dialect.path)
    yield from _workers(found)
    yield from _counts(found)


def clock(app: App) -> Iterator[Finding]:
    """The wall clock, by the newest entry: records are dated by it, though no lease and no delay is."""
    page = app.dispatcher.task_log.search(limit=1)
    ahead = max(((entry.created_at - app.clock.micros()) / 1e6 for entry in page.entries), default=0.0)
    if ahead > AHEAD:
        yield ill(
            "clock",
            f"the newest task was made {seconds(ahead)} from now",
            "a clock is or was wrong: look at NTP on all hosts; leases and delays do not depend on it",
        )
    else:
        yield well("clock", "no task is from the future")


def _workers(found: Database) -> Iterator[Finding]:
    alive, expired = incarnations.alive(found), incarnations.expired(found)
    names = ", ".join(sorted(worker.slot for worker in alive)[:10]) or "none"
    yield well(found.name, f"{count(len(alive), 'worker')} alive: {names}")
    if expired:
        yield ill(
            found.name,
            f"{count(len(expired), 'worker')} not heard of for longer than a lease",
            "start a worker or `taskqueue keeper`, or give back what they held: `taskqueue stuck restart`",
        )


def _counts(found: Database) -> Iterator[Finding]:
    with found.read() as connection:
        rows = connection.execute(sa.select(sa.func.count()).select_from(found.tables.tally)).scalar_one()
    negative = [f"{queue} {_what(what)}" for (queue, what), total in tally.sums(found).items() if total < 0]
    if negative:
        yield ill(found.name, f"counts below zero: {', '.join(negative)}", "please report this; only counts are wrong")
    if rows > UNFOLDED:
        yield ill(found.name, f"{rows:,} counts are not folded", "no worker and no `taskqueue keeper` runs: start one")
    if not negative and rows <= UNFOLDED:
        yield well(found.name, f"counts are sound ({rows:,} rows)")


def _what(what: str) -> str:
    return Status(int(what)).label if what.isdecimal() else what
