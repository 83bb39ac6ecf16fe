"""The `taskqueue` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; its exit code."""
    from taskqueue.cli.program import run

    return run(sys.argv[1:], ending=True)
