"""How much memory a process has for itself.

Private, not resident: what a pre-forked worker shares with its master is nobody's leak, and judging by resident size
recycles every child of a large master at once.
"""

from __future__ import annotations

from pathlib import Path

import psutil

_STATM = Path("/proc/self/statm")


def private_memory() -> int:
    """Bytes that this process shares with no other."""
    try:
        _, resident, shared, *_ = _STATM.read_text().split()
    except FileNotFoundError:
        return int(psutil.Process().memory_info().rss)
    return (int(resident) - int(shared)) * _page()


def _page() -> int:
    import resource

    return resource.getpagesize()
