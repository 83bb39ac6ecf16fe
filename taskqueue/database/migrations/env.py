"""Run by Alembic: applies the revisions on the connection and for the tables that `taskqueue.database.upgrade` gives.

Begins and commits nothing: all is part of the caller's transaction. Without a connection it writes what is to be run.
"""

from __future__ import annotations

from typing import Any

from alembic import context

from taskqueue.database.schema import Tables

said = context.config.attributes
tables: Tables = said["tables"]
common: dict[str, Any] = {
    "target_metadata": tables.metadata,
    "version_table": f"{tables.prefix}version",
    "version_table_schema": tables.metadata.schema,
}
if context.is_offline_mode():
    context.configure(dialect_name=said["dialect"], literal_binds=True, transactional_ddl=said["transaction"], **common)
    with context.begin_transaction():
        for statement in said["preparation"]:
            context.execute(statement)
        context.run_migrations()
else:
    context.configure(connection=said["connection"], **common)
    context.run_migrations()
