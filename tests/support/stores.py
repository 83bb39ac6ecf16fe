"""The stores of a configuration, as text of its `[brokers.main]`, by the name of where queues and task log stand."""

from __future__ import annotations

from pathlib import Path

from taskqueue.ids import new_id
from tests.support import sqs
from tests.support.servers import in_folder

SQS = """
url = "sqs://{region}"
endpoint_url = "{endpoint}"
prefix = "t{prefix}_"
[task_log]
url = "{log}"
"""
NAMES = ["sqlite", "postgresql", "mariadb", "sqs+sqlite", "sqs+postgresql"]


def database_of(name: str, folder: Path) -> str:
    """The URL of the database that the task log of these stores is in."""
    kind = name.rpartition("+")[2]
    return f"sqlite:///{folder}/tasks.db" if kind == "sqlite" else in_folder(kind, folder)


def configured(name: str, folder: Path) -> str:
    """The stores of that name for a test that has this folder to itself."""
    database = database_of(name, folder)
    return with_sqs(database) if name.startswith("sqs") else f'url = "{database}"'


def with_sqs(log: str, endpoint: str | None = None) -> str:
    """New queues at SQS beside a task log in the database `log`."""
    return SQS.format(region=sqs.REGION, endpoint=endpoint or sqs.endpoint(), prefix=new_id()[-12:], log=log)
