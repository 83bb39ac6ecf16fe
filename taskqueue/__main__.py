"""`python -m taskqueue`: the same as the command `taskqueue`."""

from __future__ import annotations

import sys

from taskqueue.cli import main

if __name__ == "__main__":
    sys.exit(main())
