"""The stacks that a process leaves when it has to be ended, as `faulthandler` writes them, made fit to be read.

It writes every thread, the main one last, and of each all that stands below it: for whoever looks for where a task was,
the first lines of one block out of four. So our own threads go, and of the main thread what is ours below the task.
"""

from __future__ import annotations

import re
from pathlib import Path

import supervisor
import taskqueue

#: a thread's block begins so
_THREAD = re.compile(r"\n*^(?=(?:Current thread|Thread) 0x)", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.*)", line \d+ in ', re.MULTILINE)
_OURS = tuple(f"{Path(str(package.__file__)).parent}/" for package in (taskqueue, supervisor))
#: what calls a task, and what every thread of Python begins with
_CALLS, _BEGINS = f"{_OURS[0]}task/", "/threading.py"


def readable(raw: str) -> str:
    """Why, then the thread that runs tasks from where it was up to its task's first line, then threads of the task's.

    What is not written by `faulthandler` stays as it is.
    """
    head, *threads = _THREAD.split(raw.partition("\n\nExtension modules:")[0].strip())
    blocks = [block for thread in reversed(threads) if (block := _of_the_task(thread))]
    return "\n".join(part for part in (head, *blocks) if part)


def _of_the_task(thread: str) -> str:
    """The block without our own frames below the task's; nothing if all of it is ours."""
    frames = _FRAME.findall(thread)
    if frames and all(frame.startswith(_OURS) or frame.endswith(_BEGINS) for frame in frames):
        return ""
    lines = thread.splitlines()
    called = next((n for n, line in enumerate(lines) if f'File "{_CALLS}' in line), len(lines))
    return "\n".join(lines[:called])
