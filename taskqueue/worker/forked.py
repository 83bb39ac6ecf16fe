"""Processes that a task forks are its own: they are no second worker, and hear no order for this one.

`Orders` and `Interrupter` give a forked child its signals back. What is left is a child that comes back out of its
task, by returning or raising: behind the task stands the worker's loop, with its leases and its store.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn


def end_child(error: BaseException | None) -> NoReturn:
    """End this forked process. `sys.exit()` and Ctrl-C are taken at their word; the rest is a mistake."""
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        os._exit((error.code or 0) & 0xFF)
    how = f"by {type(error).__name__}: {error}" if error is not None else "by returning"
    line = (
        f"process {os.getpid()}, which a task forked, left the task {how}; it ends here, as only its parent is a "
        "worker. Let a forked process end inside the task, with os._exit()\n"
    )
    os.write(2, line.encode(errors="backslashreplace"))
    os._exit(1)
