"""The version of the schema: is it there, does it fit this release, and how it is brought up (P17, P21).

Revisions are numbered. One that an older release cannot live with raises `oldest_release` in the table `meta` to its
own number: what a release must know at least. So release N-1 goes on beside N until a later revision contracts.
Alembic is imported only when something has to be done.

Where statements that define tables commit by themselves, an init that was ended half way leaves our version table
without a version. That is told from a version that somebody lost (`half`): no task was ever stored there.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from taskqueue.database.schema import Tables
from taskqueue.errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

#: the newest revision that this release knows
HEAD = 1
# Alembic keeps the migration that runs in a global variable.
_one_at_a_time = threading.Lock()


def is_outdated(connection: sa.Connection, tables: Tables, name: str, *, half: bool = False) -> bool:
    """Whether there is something to create or upgrade. Raises SchemaMismatch if the schema is too new for us."""
    found = revision(connection, tables, name, half=half)
    if found > HEAD:
        meta = tables.meta.c
        oldest = connection.execute(sa.select(meta.value).where(meta.name == "oldest_release")).scalar()
        if int(oldest or found) > HEAD:
            raise SchemaMismatch(
                f"{name}: its schema {found:04} is newer than this release knows ({HEAD:04}); "
                "upgrade taskqueue-supervisor here"
            )
    return found < HEAD


def too_old(name: str) -> SchemaMismatch:
    """The error where the schema must be brought up by a person."""
    return SchemaMismatch(f"{name}: its schema is missing or too old for this release; run `taskqueue init`")


def revision(connection: sa.Connection, tables: Tables, name: str, *, half: bool = False) -> int:
    """The number of the schema's revision; 0 if there is none. Raises SchemaMismatch if it is none that can be.

    With `half` one that was never finished is none, too.
    """
    version, inspect = version_table(tables), sa.inspect(connection)
    if not inspect.has_table(version.name, schema=version.schema):
        return 0
    found = connection.execute(sa.select(version.c.version_num)).scalar()
    if found is None and (half or not inspect.has_table(tables.message.name, schema=version.schema)):
        there = [table for table in _with_tasks(tables) if inspect.has_table(table.name, schema=version.schema)]
        if all(
            connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is None for table in there
        ):
            return 0
    if found is None or not found.isdecimal() or int(found) < 1:
        raise SchemaMismatch(
            f"{name}: the table {version.name} says {found!r}, which is no schema of any release; restore a backup"
        )
    return int(found)


def _with_tasks(tables: Tables) -> list[sa.Table]:
    return [tables.message, tables.delayed, tables.lease, tables.entry]


def version_table(tables: Tables) -> sa.Table:
    """Our own version table, so that an application's own Alembic is none of our business."""
    return sa.Table(
        f"{tables.prefix}version",
        sa.MetaData(schema=tables.metadata.schema),
        sa.Column("version_num", sa.String(32), primary_key=True),
    )


def upgrade(connection: sa.Connection, tables: Tables, name: str, *, half: bool = False) -> None:
    """Run what is missing, in an open write transaction; nothing if another process was first."""
    found = revision(connection, tables, name, half=half)
    if found >= HEAD:
        return
    version = version_table(tables)
    begun = sa.inspect(connection).has_table(version.name, schema=version.schema)
    if not begun:
        _refuse_strangers(connection, tables, name)
    from alembic import command

    with _one_at_a_time:
        command.upgrade(_config(tables, connection=connection, resuming=begun and not found), "head")


def script(tables: Tables, *, dialect: str, after: int, preparation: Sequence[str], transaction: bool) -> str:
    """The statements that bring a schema of revision `after` (0: none) up, for a person to run; connects to nothing.

    `preparation` comes first; all of it is one transaction, if there is such a thing for tables.
    """
    from alembic import command

    out = io.StringIO()
    said = {"dialect": dialect, "preparation": preparation, "transaction": transaction}
    if after < HEAD:
        with _one_at_a_time:
            command.upgrade(_config(tables, out, **said), f"{after:04}:head" if after else "head", sql=True)
    return out.getvalue()


def _config(tables: Tables, out: io.StringIO | None = None, **attributes: Any) -> Config:
    from alembic.config import Config

    config = Config(attributes={"tables": tables, **attributes}, output_buffer=out)
    # The parser of ini files, through which this goes, takes % for itself.
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _refuse_strangers(connection: sa.Connection, tables: Tables, name: str) -> None:
    """Tables of our names without a version are somebody else's: nothing is put among them."""
    inspect, schema = sa.inspect(connection), tables.metadata.schema
    for table in tables.metadata.sorted_tables:
        if inspect.has_table(table.name, schema=schema):
            raise SchemaMismatch(
                f"{name}: it has a table {table.name} and no {tables.prefix}version, so the table is not ours; "
                "set another `prefix`, or name another database"
            )
