"""Task ids: UUID version 7 (RFC 9562, section 5.7), made by the client.

Time-ordered, so that new entries join the right-hand edge of every index and "newest first" is one descending scan.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid

_FORM = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_CHILDREN = uuid.UUID("5d0f7c1e-7d0b-5c29-9a55-6c62f3a1b7e4")


def new_id() -> str:
    """A fresh id in its canonical text form."""
    millis = time.time_ns() // 1_000_000
    rest = int.from_bytes(os.urandom(10), "big")
    value = millis << 80 | 0x7 << 76 | (rest >> 68 & 0xFFF) << 64 | 0b10 << 62 | rest & ((1 << 62) - 1)
    return _text(value)


def earliest(micros: int) -> str:
    """The lower bound of all ids made at or after that time: comes before them in any sort by text."""
    stamp = f"{min(max(micros, 0) // 1000, (1 << 48) - 1):012x}"
    return f"{stamp[:8]}-{stamp[8:]}"


def child_id(parent: str, key: str) -> str:
    """The id of a parent's child named `key`: the same at each run of the parent, so that a re-run adds no twin.

    It keeps the parent's time stamp (the sort order of the log) and hashes the rest.
    """
    digest = int.from_bytes(hashlib.sha256(_CHILDREN.bytes + parent.encode() + b"/" + key.encode()).digest(), "big")
    stamp = int(parent.replace("-", "")[:12], 16)
    value = stamp << 80 | 0x8 << 76 | (digest >> 64 & 0xFFF) << 64 | 0b10 << 62 | digest & ((1 << 62) - 1)
    return _text(value)


def is_id(text: str) -> bool:
    """Whether `text` has the form of a task id."""
    return _FORM.fullmatch(text) is not None


def _text(value: int) -> str:
    h = f"{value:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
