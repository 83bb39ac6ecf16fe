"""A program: empties a queue by a handle of its own, batch by batch, and prints the id of every message it acked.

`python -m tests.support.drain BACKEND FOLDER QUEUE LIMIT`; it says "ready" and begins at a line of input.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from tests.support.backends import BACKENDS


def main(name: str, folder: str, queue: str, limit: str) -> None:
    with ExitStack() as handles:
        broker = next(b for b in BACKENDS if b.name == name).connect(Path(folder), handles)(queue)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        while held := broker.pop(limit=int(limit), lease=60):
            acked = broker.ack(held)
            sys.stdout.writelines(f"{d.id}\n" for d in held if d.receipt in acked)


if __name__ == "__main__":
    main(*sys.argv[1:])
