"""`make bench`: how fast it is beside others (`speed`).

What a fleet costs while it is idle (`fleet`), how soon a task runs again after a death (`recovery`, minutes) and what
can be thrown at a fleet (`chaos`, an hour) have to be named.
"""

from __future__ import annotations

import sys

from tests.bench import chaos, fleet, recovery, speed

PARTS = {"speed": speed.main, "fleet": fleet.main, "recovery": recovery.main, "chaos": chaos.main}


def main() -> None:
    """Run the part that is named first, with the other arguments; or `speed`."""
    named = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in PARTS else "speed"
    PARTS[named]()


if __name__ == "__main__":
    main()
