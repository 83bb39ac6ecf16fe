"""The version of the schema: is it there, does it fit this release, and how it is brought up (P17, P21).

Revisions are numbered. One that an older release cannot live with raises `oldest_release` in the table `meta` to its
own number: what a release must know at least. So release N-1 goes on beside N until a later revision contracts.
Alembic is imported only when something has to be done.
"""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from taskqueue.database.schema import Tables
from taskqueue.errors import SchemaMismatch

#: the newest revision that this release knows
HEAD = 1
# Alembic keeps the migration that runs in a global variable.
_one_at_a_time = threading.Lock()


def is_outdated(connection: sa.Connection, tables: Tables, name: str) -> bool:
    """Whether there is something to create or upgrade. Raises SchemaMismatch if the schema is too new for us."""
    found = revision(connection, tables, name)
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


def revision(connection: sa.Connection, tables: Tables, name: str) -> int:
    """The number of the schema's revision; 0 if there is none. Raises SchemaMismatch if it is none that can be."""
    version, inspect = version_table(tables), sa.inspect(connection)
    if not inspect.has_table(version.name, schema=version.schema):
        return 0
    found = connection.execute(sa.select(version.c.version_num)).scalar()
    if found is None and not inspect.has_table(tables.message.name, schema=version.schema):
        return 0
    if found is None or not found.isdecimal() or int(found) < 1:
        raise SchemaMismatch(
            f"{name}: the table {version.name} says {found!r}, which is no schema of any release; restore a backup"
        )
    return int(found)


def version_table(tables: Tables) -> sa.Table:
    """Our own version table, so that an application's own Alembic is none of our business."""
    return sa.Table(
        f"{tables.prefix}version",
        sa.MetaData(schema=tables.metadata.schema),
        sa.Column("version_num", sa.String(32), primary_key=True),
    )


def upgrade(connection: sa.Connection, tables: Tables, name: str) -> None:
    """Run what is missing, in an open write transaction; nothing if another process was first."""
    found = revision(connection, tables, name)
    if found >= HEAD:
        return
    if not found:
        _refuse_strangers(connection, tables, name)
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "tables": tables})
    # The parser of ini files, through which this goes, takes % for itself.
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with _one_at_a_time:
        command.upgrade(config, "head")


def _refuse_strangers(connection: sa.Connection, tables: Tables, name: str) -> None:
    """Tables of our names without a version are somebody else's: nothing is put among them."""
    inspect, schema = sa.inspect(connection), tables.metadata.schema
    for table in tables.metadata.sorted_tables:
        if inspect.has_table(table.name, schema=schema):
            raise SchemaMismatch(
                f"{name}: it has a table {table.name} and no {tables.prefix}version, so the table is not ours; "
                "set another `prefix`, or name another database"
            )
