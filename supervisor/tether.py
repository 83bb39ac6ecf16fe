"""`python -m supervisor.tether PID PROGRAM ...`: become a program that is told to leave when its parent dies.

A parent that is killed with SIGKILL can tell nobody. Linux can: the program gets SIGTERM then (PR_SET_PDEATHSIG of
prctl(2), which outlives exec and is not handed on to forks). Other systems have no such thing, and the program stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def command(program: Sequence[str]) -> list[str]:
    """The command line that runs `program` tethered to this process, which must start it from its main thread."""
    # -P: a folder of the developer's that is called as ours is not taken for it.
    return [sys.executable, "-P", "-m", __name__, str(os.getpid()), *program]


def main(args: Sequence[str]) -> NoReturn:
    """Become the program of `args`, unless the parent of that process id is gone already."""
    parent, *program = args
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit(128 + signal.SIGTERM)
    os.execvp(program[0], program)  # noqa: S606  # nosec B606  # the caller's own program


if __name__ == "__main__":
    main(sys.argv[1:])
