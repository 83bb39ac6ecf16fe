"""The `supervisor` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; its exit code."""
    if sys.argv[1:2] == ["ping"] and sys.platform != "win32":
        from supervisor.cli.probe import probe

        # Without what the other commands import: a probe is run every few seconds.
        code = probe(sys.argv[2:])
        if code is not None:
            return code
    from supervisor.cli.program import run

    return run(sys.argv[1:])
