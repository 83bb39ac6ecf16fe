"""The applications that this process has: one for each configuration file and what was replaced of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from taskqueue import settings
from taskqueue.app import App
from taskqueue.dispatcher import QueueDispatcher
from taskqueue.settings import Settings
from taskqueue.settings.locations import absolute
from taskqueue.task.function import set_default_dispatcher

_apps: dict[tuple[Path, tuple[str, ...]], App] = {}
_lock = threading.Lock()


def open_app(config: str | Path | None = None, *, sets: Sequence[str] = ()) -> App:
    """The process's one `App` of that configuration file (see `taskqueue.settings.load` for where it is looked up)."""
    key = (absolute(settings.find(config)), tuple(sets))
    with _lock:
        if key not in _apps:
            _apps[key] = App(settings.load(key[0], sets=sets))
        return _apps[key]


def connect(config: str | Path | None = None, *, sets: Sequence[str] = ()) -> QueueDispatcher:
    """The dispatcher of that configuration; one per process and configuration, safe in threads and after a fork.

    `config` is a TOML file; None looks it up as the commands do. `sets` overrides values ("queues.mail.workers=8").
    Nothing is opened before the first use. Raises ConfigurationError.
    """
    dispatcher = open_app(config, sets=sets).dispatcher
    set_default_dispatcher(lambda: dispatcher)
    return dispatcher


def settle(config: Settings) -> App:
    """The `App` that `connect()` gives, and every other one of that file, have these settings from now on.

    A worker's master may have read them later than the modules that it imported before the fork.
    """
    assert config.file is not None
    key = (config.file, ())
    with _lock:
        app = _apps.setdefault(key, App(config))
        for (file, _), other in _apps.items():
            if file == config.file and other.settings != config:
                other.become(config)
    set_default_dispatcher(lambda: app.dispatcher)
    return app
