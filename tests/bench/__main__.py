"""`make bench`: what a queue can do (`queue`), and what a fleet costs while it is idle (`fleet`); both by default."""

from __future__ import annotations

import sys

from tests.bench import fleet, queue

PARTS = {"queue": queue.main, "fleet": fleet.main}


def main() -> None:
    """Run the part that is named first, with the other arguments; or both."""
    named = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in PARTS else None
    if named:
        del sys.argv[1]
    for name, part in PARTS.items():
        if named in (None, name):
            part()


if __name__ == "__main__":
    main()
