"""The `supervisor` command. It comes with the next release."""

from __future__ import annotations

import sys


def main() -> int:
    """Say where to go instead; exit code 1."""
    sys.stderr.write("supervisor: the supervisor comes with the next release; run `taskqueue worker QUEUE`\n")
    return 1
