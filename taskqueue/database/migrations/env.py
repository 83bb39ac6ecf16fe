"""Run by Alembic: applies the revisions on the connection and for the tables that `taskqueue.database.upgrade` gives.

Begins and commits nothing: all is part of the caller's transaction.
"""

from __future__ import annotations

from alembic import context

from taskqueue.database.schema import Tables

tables: Tables = context.config.attributes["tables"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    version_table=f"{tables.prefix}version",
    version_table_schema=tables.metadata.schema,
)
context.run_migrations()
