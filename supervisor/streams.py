"""The standard streams of a process that was started without one of them, as by `supervisor run 2>&-`."""

from __future__ import annotations

import os
import sys

NAMES = ("stdin", "stdout", "stderr")


def have_streams() -> None:
    """Let the numbers 0 to 2 be taken, by nothing at all, before anything else is opened.

    The system gives the lowest number that is free: a pipe or a database would get that of the standard error, and
    every library that writes there would write into it.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) < len(NAMES):
        os.set_inheritable(fd, True)  # noqa: FBT003  # as the function has it
        if getattr(sys, NAMES[fd]) is None:
            setattr(sys, NAMES[fd], os.fdopen(fd, "w" if fd else "r", closefd=False))
    os.close(fd)
