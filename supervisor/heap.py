"""Leaving no holes in the heap before the first fork.

A heap that has lived for a while is full of freed pieces. What a child allocates would go into them, and each such
write copies a whole page that it shared with the master: 2 MB a worker, measured, for some hundred KB of its own. So
the pieces are taken once and never used; what children allocate comes from fresh memory then.
"""

from __future__ import annotations

import ctypes
import sys

#: sizes of pieces in bytes: those that Python's own allocator leaves to the C library, and the C library's own
_LARGE, _SMALL = range(64 * 1024, 1024, -1024), range(1016, 8, -16)
#: so near to the heap's top there is no hole, in bytes; and how many pieces of one size are taken at the most
_FRESH, _MOST = 200_000, 100_000


def fill_holes() -> None:
    """Take every free piece of the C library's heap. Does nothing but on Linux with glibc."""
    if sys.platform != "linux" or not (libc := _glibc()):
        return
    libc.malloc_trim(0)
    top = libc.sbrk(0)
    for size in (*_LARGE, *_SMALL):
        for _ in range(_MOST):
            place = libc.malloc(size)
            # Beyond the old heap (or none at all): there is no hole of that size any more.
            if not place or place + size > top - _FRESH:
                break


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return None
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.malloc.argtypes = libc.malloc_trim.argtypes = [ctypes.c_size_t]
    libc.sbrk.argtypes = [ctypes.c_ssize_t]
    return libc
