"""Settings: one TOML file -> frozen structs, or one ConfigurationError that shows every problem (P18, P19).

`load` reads a file, `parse` a text; `model` has what they return.
"""

from __future__ import annotations

from taskqueue.settings.load import find, load, parse
from taskqueue.settings.model import (
    AppSettings,
    BrokerSettings,
    LoggingSettings,
    PoolSettings,
    QueueSettings,
    Settings,
    SupervisorSettings,
    TaskLogSettings,
    TokenSettings,
    WebSettings,
)

__all__ = [
    "AppSettings",
    "BrokerSettings",
    "LoggingSettings",
    "PoolSettings",
    "QueueSettings",
    "Settings",
    "SupervisorSettings",
    "TaskLogSettings",
    "TokenSettings",
    "WebSettings",
    "find",
    "load",
    "parse",
]
