"""`make bench`: what a queue can do (`queue`), and what a fleet costs while it is idle (`fleet`); both by default.

`recovery`, how soon a task runs again after a death, takes minutes, `chaos`, what can be thrown at a fleet, an hour:
both have to be named.
"""

from __future__ import annotations

import sys

from tests.bench import chaos, fleet, queue, recovery

PARTS = {"queue": queue.main, "fleet": fleet.main, "recovery": recovery.main, "chaos": chaos.main}
DEFAULT = ("queue", "fleet")


def main() -> None:
    """Run the part that is named first, with the other arguments; or those of `DEFAULT`."""
    named = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in PARTS else None
    if named:
        del sys.argv[1]
    for name in (named,) if named else DEFAULT:
        PARTS[name]()


if __name__ == "__main__":
    main()
