"""What was said beside the command: which configuration, how loud. It opens the application when it is asked for."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskqueue.app import App

LEVELS = ("debug", "info", "warning", "error")
DEBUG = "TASKQUEUE_DEBUG"


def me() -> str:
    """Who gives this command: `ann@host`."""
    import getpass
    import socket

    return f"{getpass.getuser()}@{socket.gethostname()}"


class Session:
    """One run of the program."""

    def __init__(self) -> None:
        self.config: str | None = None
        self.sets: list[str] = []
        self.level: str | None = None
        self.debug = os.environ.get(DEBUG, "") not in ("", "0")
        #: a command that works for a while logs as the configuration says; one that only answers, what went wrong
        self.talks = False
        #: the process ends with this command
        self.ending = False

    @cached_property
    def app(self) -> App:
        """The application of the configuration; it is what its tasks enqueue through, too. Sets up logging."""
        from taskqueue import logs
        from taskqueue.opened import open_app
        from taskqueue.task.function import set_default_dispatcher

        app = open_app(self.config, sets=self.sets)
        set_default_dispatcher(lambda: app.dispatcher)
        logs.setup(app.settings.logging, level=self.level or (None if self.talks else "warning"))
        return app

    @property
    def config_name(self) -> str:
        """The configuration file, as people look for it."""
        return str(self.app.settings.file or "(no file)")
