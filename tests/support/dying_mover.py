"""A mover that is killed on its way: `python -m tests.support.dying_mover CONFIG STEP before|after`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from taskqueue import mover
from taskqueue.app import App
from taskqueue.settings import load


def main(config: str, at: str, when: str) -> None:
    """Move a batch, and die at that step of it."""
    mover.HIDDEN = 1.0  # what SQS has hidden for the dead is back soon
    app = App(load(config))
    source, destination = (app.queue_at("default", name) for name in ("old", "new"))
    step = {
        "push": (destination.broker, "push"),
        "note": (app.task_log_broker, "relayed"),
        "forget": (source.broker, "ack" if not hasattr(source.broker, "take") else "take"),
        "hand over": (destination.intake, "push"),
    }
    _dying(*step[at], when)
    mover.Mover(source, destination).step()
    os._exit(3)


def _dying(owner: Any, name: str, when: str) -> None:
    real = getattr(owner, name)

    def call(*args: Any, **options: Any) -> None:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, call)


if __name__ == "__main__":
    main(*sys.argv[1:])
