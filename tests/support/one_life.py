"""The application's program: `python -m tests.support.one_life CONFIG LEDGER LIFE ID...`."""

from __future__ import annotations

import sys

from tests.support.lives import main

if __name__ == "__main__":
    main(*sys.argv[1:])
