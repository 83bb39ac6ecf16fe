"""A module of an application that cannot be imported by the workers of a pool named "bad".

How it goes wrong is what the file `trouble` says, beside the configuration: "raise", "hang", or an exit code. Without
the file nothing is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path

import setproctitle

from tests.support.tasks import pause

_FILE = Path(os.environ.get("TASKQUEUE_CONFIG", "/nonexistent/config")).parent / "trouble"


def _go_wrong() -> None:
    how = _FILE.read_text()
    if how == "raise":
        raise RuntimeError("no good")
    if how == "hang":
        while _FILE.exists():
            pause(0.01)
        return
    os._exit(int(how))


if "/bad/" in setproctitle.getproctitle() and _FILE.exists():
    _go_wrong()
