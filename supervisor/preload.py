"""Importing once, before the first fork, what every child needs: they share its memory and start at once.

A thread does not survive a fork, and a socket that many share is nobody's: modules that start or open such things when
they are imported belong into each child. With `preload = "auto"` the master looks, says what it found, and begins anew
without them: it executes itself again, since what an import did cannot be undone.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from supervisor.heap import fill_holes
from taskqueue.opened import settle
from taskqueue.settings import Settings

log = logging.getLogger(__name__)

#: set for ourselves when we begin anew
VARIABLE = "TASKQUEUE_PRELOAD"
_DESCRIPTORS = Path("/proc/self/fd")


def preload(settings: Settings) -> bool:
    """Import; whether the application's modules were. Raises ConfigurationError for one that cannot be imported."""
    app = settle(settings)
    app.warm()
    wanted = settings.app.preload
    imported = wanted is True or (wanted == "auto" and os.environ.pop(VARIABLE, "") != "false")
    if imported:
        before = _opened()
        app.import_modules()
        if wanted == "auto" and (found := sorted(_opened() - before)):
            log.warning(
                "importing the modules of [app] opened %s: each process imports them for itself (preload = false)",
                ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else ""),
            )
            _begin_anew()
    # Once: what lives now is not looked at again by any child's collector, and so stays shared.
    gc.collect()
    gc.freeze()
    fill_holes()
    return imported


def _opened() -> set[str]:
    """Threads and descriptors of this process, by names that people can follow."""
    threads = {f"thread {thread.name!r}" for thread in threading.enumerate()}
    if not _DESCRIPTORS.exists():  # it does on Linux
        return threads
    links = set()
    for descriptor in _DESCRIPTORS.iterdir():
        with suppress(OSError):  # the one by which the folder was read
            links.add(descriptor.readlink())
    return threads | {f"descriptor of {link}" for link in links}


def _begin_anew() -> NoReturn:
    os.environ[VARIABLE] = "false"
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # The same program, with its own words.
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # nosec B606
