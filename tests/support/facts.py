"""A program that tells what it was started with, and ends as it is told: `python -m tests.support.facts [HOW]`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def facts() -> dict[str, object]:
    """What may differ between two processes that are to be alike."""
    os.umask(umask := os.umask(0))
    main = sys.modules["__main__"]
    return {
        "argv": [*sys.argv],
        "orig_argv": [*sys.orig_argv],
        "path": [*sys.path],
        "cwd": str(Path.cwd()),
        "environment": dict(os.environ),
        "umask": umask,
        "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "descriptors": sorted(
            int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")
        ),
        "streams": [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)],
        "handlers": {s.name: str(signal.getsignal(s)) for s in signal.Signals},
        "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "threads": threading.active_count(),
        "zone": time.tzname,
        "main": [main.__name__, main.__spec__.name if main.__spec__ else None],
        "warnings": list(sys.warnoptions),
    }


if __name__ == "__main__":
    json.dump(facts(), sys.stdout)
    match sys.argv[1:]:
        case ["exit", code]:
            sys.exit(int(code))
        case ["raise", text]:
            raise RuntimeError(text)
        case ["wait"]:
            sys.stdout.flush()
            signal.pause()
