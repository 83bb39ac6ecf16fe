"""`taskqueue init`: what it would do, doing it, or the statements for who may."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from taskqueue.app import App
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.parameters import Duration
from taskqueue.cli.session import Session
from taskqueue.database import upgrade
from taskqueue.database.engine import Database, StoreBusy
from taskqueue.errors import EXIT_FAILED, BrokerUnavailable, did_you_mean
from taskqueue.operations.doctor import sqs
from taskqueue.operations.stores import Store, stores
from taskqueue.operations.words import count

#: seconds that an init waits for a lock: producers that wait behind it wait for enqueue_timeout (5 s) themselves
LOCK_TIMEOUT = 2.0


class State(NamedTuple):
    """One store: its schema's revision as it is found (0: none) and as it is to be; None where it has none.

    `missing` are the queues that a service has not got yet.
    """

    store: Store
    found: int | None
    wanted: int | None
    missing: tuple[str, ...] = ()

    @property
    def todo(self) -> str:
        """What is to be done, in words; empty if nothing is."""
        if self.missing:
            return f"create {', '.join(self.missing)}"
        if self.wanted is None or self.found is None or self.found >= self.wanted:
            return ""
        return f"create schema {self.wanted:04}" if not self.found else f"upgrade {self.found:04} to {self.wanted:04}"


@click.command(
    "init",
    cls=Command,
    examples=(
        ("taskqueue init", "with config/taskqueue.toml; may be repeated, also on several hosts at once"),
        ("taskqueue init --plan", "what it would do; exit code 1 if there is something"),
        (
            "taskqueue init --sql > taskqueue.sql",
            "for a database administrator: psql -v ON_ERROR_STOP=1 -f taskqueue.sql",
        ),
        ("taskqueue init --sql --store log", "of one store: a broker's name, or log for the task log's"),
    ),
)
@click.option("--plan", is_flag=True, help="Only say what would be done: exit code 0 if nothing, else 1.")
@click.option("--sql", is_flag=True, help="Only print the statements, connecting to nothing.")
@click.option("--store", "chosen", metavar="NAME", help="Only this broker's store, or the task log's: log.")
@click.option(
    "--after",
    metavar="REVISION",
    type=click.IntRange(0, upgrade.HEAD),
    default=0,
    help="With --sql: the schema that is there; default: none.",
)
@click.option(
    "--lock-timeout",
    metavar="DURATION",
    type=Duration(),
    default=LOCK_TIMEOUT,
    show_default=True,
    help="Give up where others hold a lock for longer: who comes after waits behind us.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, /, *, chosen: str | None, after: int, lock_timeout: float, **flags: bool) -> int:
    """Create or upgrade the tables of every store, and the queues that a service misses.

    Touches nothing else, may be repeated, and may run on several hosts at once. SQLite files are created at their
    first use even without it. What was ended half way is finished by the next one.
    """
    wanted = _chosen(session.app, chosen)
    if flags["sql"]:
        _print_script(wanted, after=after, lock_timeout=lock_timeout)
        return 0
    states = [_state(session.app, store, lock_timeout) for store in wanted]
    if flags["plan"]:
        _tell(states, as_json=flags["as_json"], plan=True)
        return EXIT_FAILED if any(state.todo for state in states) else 0
    for state in states:
        _initialize(session.app, state.store, lock_timeout)
    _tell(states, as_json=flags["as_json"], plan=False)
    return 0


def _chosen(app: App, name: str | None) -> list[Store]:
    found = stores(app)
    if name is None:
        return found
    chosen = [store for store in found if name in store.broker_names or (name == "log" and store.task_log)]
    if not chosen:
        known = ["log", *(n for store in found for n in store.broker_names)]
        hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        raise click.UsageError(f"no store {name!r}{hint}")
    return chosen


def _state(app: App, store: Store, lock_timeout: float) -> State:
    database = store.database
    if database is None:
        at_sqs = [n for n in store.queues if sqs.serves(app.settings.brokers[app.settings.queues[n].broker])]
        return State(store, None, None, tuple(n for n in at_sqs if not sqs.is_there(app, n)))
    with _impatient(database, lock_timeout), database.look() as connection:
        half = database.dialect.commits_tables
        found = upgrade.revision(connection, database.tables, database.name, half=half)
        if found > upgrade.HEAD:
            upgrade.is_outdated(connection, database.tables, database.name)
    return State(store, found, max(found, upgrade.HEAD))


def _initialize(app: App, store: Store, lock_timeout: float) -> None:
    if store.database is None:
        for broker in store.brokers:
            broker.initialize()
        if store.task_log:
            app.task_log_broker.initialize()
        return
    with _impatient(store.database, lock_timeout):
        store.database.initialize(lock_timeout=lock_timeout)


@contextmanager
def _impatient(database: Database, lock_timeout: float) -> Iterator[None]:
    try:
        yield
    except StoreBusy as error:
        raise BrokerUnavailable(
            f"{database.name}: others held a lock on it for longer than {lock_timeout:g} s (--lock-timeout); "
            "`taskqueue doctor` names old transactions; end them, or try again: what was begun is finished then"
        ) from error


def _tell(states: Sequence[State], *, as_json: bool, plan: bool) -> None:
    if as_json:
        terminal.json([_plain(state, plan=plan) for state in states])
        return
    for state in states:
        todo = state.todo or "nothing to do"
        what = todo if plan else "ready" if state.wanted is None else f"schema {state.wanted:04}"
        terminal.line(f"{state.store.url}: {what} ({state.store.uses})")


def _plain(state: State, *, plan: bool) -> dict[str, Any]:
    return {
        "store": state.store.url,
        "brokers": state.store.broker_names,
        "queues": state.store.queues,
        "task_log": state.store.task_log,
        "schema": state.found if plan else state.wanted,
        "todo" if plan else "done": state.todo or None,
    }


# Statements


def _print_script(wanted: Sequence[Store], *, after: int, lock_timeout: float) -> None:
    databases = [store for store in wanted if store.database is not None]
    if len(databases) > 1:
        names = ", ".join(store.broker_names[0] if store.broker_names else "log" for store in databases)
        raise click.UsageError(f"{count(len(databases), 'database')} are configured: name one by --store: {names}")
    for store in wanted:
        terminal.line(f"-- {store.url} ({store.uses})")
        if store.database is None:
            terminal.line("-- no tables")
        else:
            click.echo(_script(store.database, after, lock_timeout), nl=False)


def _script(database: Database, after: int, lock_timeout: float) -> str:
    dialect = database.dialect
    return upgrade.script(
        database.tables,
        dialect=dialect.names[0],
        after=after,
        preparation=dialect.preparation(timeout=lock_timeout),
        transaction=not dialect.commits_tables,
    )
