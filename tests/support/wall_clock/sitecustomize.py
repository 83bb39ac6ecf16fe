"""A wall clock that somebody sets: Python imports this before all else, where the folder is on its path.

$WALL_CLOCK names a file with the seconds, eight bytes, by which the clock is off. What counts from the boot is as ever:
so it is with a host whose clock an administrator or NTP steps.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

with open(os.environ["WALL_CLOCK"], "rb") as _file:
    _off = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
_true_ns = time.time_ns


def _time_ns() -> int:
    return _true_ns() + int(struct.unpack("=d", _off)[0] * 1e9)


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1e9  # noqa: TID251  # it is what is set
