"""A worker's scorecard: 256 bytes of shared memory that outlive it.

The worker's working loop writes what it is doing; whoever finds it dead reads what it was doing then. Under a
supervisor the buffer is a row of its scoreboard; a worker that runs alone maps a file (`taskqueue.worker.presence`).
The kernel keeps the bytes whatever kills the process.

A row is written between two equal counters, so a torn read shows: `read` returns None and the reader looks again.
Times are seconds of CLOCK_MONOTONIC, which all processes of a host share.
"""

from __future__ import annotations

import enum
import mmap
import struct
import threading
from typing import Any

import msgspec

SIZE = 256
_HEAD, _BODY = struct.Struct("=I"), struct.Struct("=36s64sBBBBIII36s64sdddQ")
_TAIL_AT = _HEAD.size + _BODY.size
#: fields that are stored as bytes
_TEXTS = ("task_id", "task_name", "slot", "incarnation")


class State(enum.IntEnum):
    """What the working loop does."""

    BOOT = 0
    IDLE = 1
    RUNNING = 2
    PAUSED = 3
    STOPPING = 4


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorecard says. `task_id` is empty between tasks; `deadline` 0 means none."""

    incarnation: str
    #: what people call the worker
    slot: str = ""
    state: State = State.BOOT
    #: it leaves because it was told to (or recycles): its end counts as nobody's crash (R16)
    leaving: bool = False
    #: USR2 was sent to this very process (P6)
    paused: bool = False
    #: a master will reap it
    supervised: bool = False
    #: what the process has for itself, in KiB, when it last looked
    memory: int = 0
    fence: int = 0
    attempt: int = 0
    task_id: str = ""
    #: as much of it as fits
    task_name: str = ""
    #: since when the task runs
    since: float = 0.0
    #: by then the working loop writes here again, unless it hangs
    deadline: float = 0.0
    #: by then the earliest lease of what it holds ends, unless it is renewed
    lease_end: float = 0.0
    done: int = 0


class Scorecard:
    """Writer and reader of one row."""

    def __init__(self, buffer: mmap.mmap, *, offset: int = 0) -> None:
        self._buffer = buffer
        self._offset = offset
        self._turn = 0
        self._lock = threading.Lock()
        #: by field, as they are stored; none before the first card, and after the last
        self._fields: dict[str, Any] = {}

    def update(self, **changes: Any) -> None:
        """Store the row with these fields changed; from any thread of the worker."""
        with self._lock:
            if self._fields:
                self._store(changes)

    def close(self) -> None:
        """Write no more: the memory goes away, and another thread may still have something to note."""
        with self._lock:
            self._fields = {}

    def write(self, card: Card) -> None:
        """Store the row."""
        self._store(msgspec.structs.asdict(card))

    def _store(self, changes: dict[str, Any]) -> None:
        # Twice a task: no card is made of it.
        for name in _TEXTS:
            if name in changes:
                changes[name] = changes[name].encode()
        self._fields.update(changes)
        self._turn = turn = (self._turn + 1) & 0xFFFFFFFF
        # Tail, body, head, in this order: while a write is under way, or was cut short, head and tail differ.
        at, body = self._offset, self._offset + _HEAD.size
        _HEAD.pack_into(self._buffer, at + _TAIL_AT, turn)
        _BODY.pack_into(self._buffer, body, *self._fields.values())
        _HEAD.pack_into(self._buffer, at, turn)

    def read(self) -> Card | None:
        """The row, or None if it is torn or was never written."""
        # Head, body, tail, each by itself: within one copy nobody knows what was copied first.
        (head,) = _HEAD.unpack_from(self._buffer, self._offset)
        raw = self._buffer[self._offset + _HEAD.size : self._offset + _TAIL_AT]
        (tail,) = _HEAD.unpack_from(self._buffer, self._offset + _TAIL_AT)
        if head == 0 or head != tail:
            return None
        incarnation, slot, state, *flags, memory, fence, attempt, task, name, since, deadline, lease_end, done = (
            _BODY.unpack(raw)
        )
        leaving, paused, supervised = map(bool, flags)
        return Card(
            incarnation=_text(incarnation),
            slot=_text(slot),
            state=State(state),
            leaving=leaving,
            paused=paused,
            supervised=supervised,
            memory=memory,
            fence=fence,
            attempt=attempt,
            task_id=_text(task),
            task_name=_text(name),
            since=since,
            deadline=deadline,
            lease_end=lease_end,
            done=done,
        )


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")
