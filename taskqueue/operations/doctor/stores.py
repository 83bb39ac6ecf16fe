"""Databases and clocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from taskqueue.app import App
from taskqueue.database import incarnations, tally, upgrade
from taskqueue.database.engine import Database
from taskqueue.database.mysql import MysqlDialect
from taskqueue.database.postgresql import PostgresqlDialect
from taskqueue.database.sqlite import SqliteDialect
from taskqueue.operations.doctor import mysql, postgresql, sqlite
from taskqueue.operations.doctor.finding import Finding, examined, ill, well
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.queue import Queue
from taskqueue.status import Status

#: a keeper folds the counts every 10 s; so many rows say that none does
UNFOLDED = 20_000
#: seconds that clocks may differ, and an entry may be from the future: records are dated by the hosts' clocks
AHEAD = 2.0


def databases(app: App, queues: Sequence[Queue]) -> list[Database]:
    """Those of these queues' messages and entries, each once."""
    found = [database for queue in queues for database in (app.database_of(queue), queue.log_database)]
    return list({id(database): database for database in found if database is not None}.values())


def examine_database(app: App, found: Database, away: set[Database]) -> Iterator[Finding]:
    """The server or file, then what is in it. What does not answer is put among `away`, and left at that."""
    reached: list[None] = []
    for examination in (lambda: _server(app, found, reached), lambda: _contents(found, away)):
        yield from examined(found.name, examination)
        if not reached:
            away.add(found)
            return


def _server(app: App, found: Database, reached: list[None]) -> Iterator[Finding]:
    """Whether it answers, and in which state it is."""
    with found.look() as connection:
        reached.append(None)
        if found.dialect.path is None:
            yield _skew(app, found, connection)
        match found.dialect:
            case PostgresqlDialect():
                yield from postgresql.server(found.name, connection)
            case MysqlDialect():
                yield from mysql.server(found.name, connection)


def _skew(app: App, found: Database, connection: sa.Connection) -> Finding:
    """The server's clock against ours: leases and delays are judged by it alone, records are dated by ours (P20)."""
    before = app.clock.micros()
    server = found.dialect.due_now(connection)
    after = app.clock.micros()
    apart, unsure = (server - (before + after) / 2) / 1e6, (after - before) / 2e6
    if abs(apart) - unsure <= AHEAD:
        return well(found.name, f"its clock and this host's agree within {seconds(max(abs(apart), unsure))}")
    way = "ahead of" if apart > 0 else "behind"
    return ill(
        found.name,
        f"its clock is {seconds(abs(apart))} {way} this host's",
        "look at NTP on both: leases and delays go by the server's clock, times of records and eta by the hosts'",
    )


def _contents(found: Database, away: set[Database]) -> Iterator[Finding]:
    """Whether its schema fits, and somebody keeps it."""
    with found.look() as connection:
        half = found.dialect.commits_tables
        revision = upgrade.revision(connection, found.tables, found.name, half=half)
        outdated = upgrade.is_outdated(connection, found.tables, found.name, half=half)
    if outdated and found.dialect.initializes_itself and not revision:
        away.add(found)
        yield well(found.name, "is not there yet: its first use makes it")
        return
    if outdated and not found.dialect.initializes_itself:
        away.add(found)
        missing = f"its schema is {revision:04}, older than this release's" if revision else "it has no tables of ours"
        yield ill(found.name, missing, "`taskqueue init`")
        return
    with found.read() as connection:
        revision = upgrade.revision(connection, found.tables, found.name)
    yield well(found.name, f"answers; schema {revision:04}")
    if isinstance(found.dialect, SqliteDialect):
        yield from sqlite.file(found, found.dialect.path)
    yield from _workers(found)
    yield from _counts(found)


def clock(app: App) -> Iterator[Finding]:
    """The wall clock, by the newest entry: records are dated by it, though no lease and no delay is."""
    page = app.task_log.search(limit=1)
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
