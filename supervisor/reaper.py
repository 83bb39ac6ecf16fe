"""Reaping: every child that has ended, whatever woke the master, and strangers too (a master may be process 1).

While a dead child is not reaped yet, its number is its group's, and nobody else can have it: so that is the moment to
kill what it had forked.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

from supervisor.verdict import Exit


def reap() -> Iterator[tuple[int, Exit]]:
    """Each process that has ended: its number and how. It is gone once the next one is asked for."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(found.si_pid, signal.SIGKILL)
        yield found.si_pid, Exit.of(found)
        with suppress(ChildProcessError):
            os.waitpid(found.si_pid, 0)
