"""What a task is: `AbstractTask`, `CallbackTask`, `@task`; how it is named, and how its arguments are checked."""

from __future__ import annotations

from taskqueue.task.base import AbstractTask as AbstractTask
from taskqueue.task.base import NamedTask as NamedTask
from taskqueue.task.callback import CallableClass as CallableClass
from taskqueue.task.callback import CallbackTask as CallbackTask
from taskqueue.task.function import AsyncTaskFunction as AsyncTaskFunction
from taskqueue.task.function import TaskFunction as TaskFunction
from taskqueue.task.function import as_task as as_task
from taskqueue.task.function import task as task
