"""A task queue for Python: nothing is lost, and nothing runs twice at once.

Importing it opens nothing and imports no driver: databases, clouds and terminals come in where they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from taskqueue.context import Context as Context
from taskqueue.context import context as context
from taskqueue.errors import BrokerUnavailable as BrokerUnavailable
from taskqueue.errors import ConfigurationError as ConfigurationError
from taskqueue.errors import EncodingError as EncodingError
from taskqueue.errors import InvalidArguments as InvalidArguments
from taskqueue.errors import LeaseLost as LeaseLost
from taskqueue.errors import MessageTooLarge as MessageTooLarge
from taskqueue.errors import NotEnqueueable as NotEnqueueable
from taskqueue.errors import QueueFull as QueueFull
from taskqueue.errors import ResultNotReady as ResultNotReady
from taskqueue.errors import Retry as Retry
from taskqueue.errors import TaskCancelled as TaskCancelled
from taskqueue.errors import TaskFailed as TaskFailed
from taskqueue.errors import TaskQueueError as TaskQueueError
from taskqueue.errors import TaskTimeout as TaskTimeout
from taskqueue.errors import UnknownEntry as UnknownEntry
from taskqueue.errors import UnknownQueue as UnknownQueue
from taskqueue.errors import UnknownTask as UnknownTask
from taskqueue.hooks import around_task as around_task
from taskqueue.hooks import on_failure as on_failure
from taskqueue.hooks import on_worker_start as on_worker_start
from taskqueue.hooks import on_worker_stop as on_worker_stop
from taskqueue.options import TaskOptions as TaskOptions
from taskqueue.report import Kind as Kind
from taskqueue.report import Report as Report
from taskqueue.status import Status as Status
from taskqueue.task.base import AbstractTask as AbstractTask
from taskqueue.task.callback import CallbackTask as CallbackTask
from taskqueue.task.function import TaskFunction as TaskFunction
from taskqueue.task.function import set_default_dispatcher
from taskqueue.task.function import task as task

if TYPE_CHECKING:
    from taskqueue.dispatcher import QueueDispatcher as QueueDispatcher
    from taskqueue.handle import Handle as Handle
    from taskqueue.opened import connect as connect

__version__ = "0.1.0"

#: name -> module, imported when first asked for: these stand on the databases
_LATER = {
    "connect": "taskqueue.opened",
    "QueueDispatcher": "taskqueue.dispatcher",
    "Handle": "taskqueue.handle",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)


set_default_dispatcher(lambda: importlib.import_module("taskqueue.opened").connect())
