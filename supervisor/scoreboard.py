"""The scoreboard: shared memory, mapped before the first fork, that master and children have in common.

    rows       one a process: its scorecard, written by the worker; and what is wanted of it, written by the master
    deaths     what the master knows of a dead worker, until the keeper has given back what it held (R16)
    pauses     the queues that are paused for the whole fleet, written by the keeper, read by every worker (P6)

The kernel keeps the bytes whatever kills one of them. Each part has one writer at a time, and is written so that a torn
read shows.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

import msgspec

from taskqueue.worker.deaths import Death
from taskqueue.worker.scorecard import SIZE, Card, Scorecard, State

ROWS = 4096
#: a row is a scorecard and, behind it, whether its process is wanted to pause
ROW = SIZE + 64
#: how many deaths can wait for a keeper, and the size of each record
GRAVES, GRAVE = 64, 8192
NOTICE = 65536
_HEAD = struct.Struct("=II")
_TAIL = struct.Struct("=I")


class Scoreboard:
    """All of it. Made by the master; its children inherit it."""

    def __init__(self, *, rows: int = ROWS) -> None:
        self._graves_at = rows * ROW
        self._notice_at = self._graves_at + GRAVES * GRAVE
        self.memory = mmap.mmap(-1, self._notice_at + NOTICE)
        self._free = list(range(rows - 1, -1, -1))
        self.deaths = DeathRecords(self.memory, self._graves_at)
        self.pauses = Notice(self.memory, self._notice_at)

    def take(self, slot: str, *, paused_by_signal: bool = False) -> Row | None:
        """A row for a process that is about to be forked; None if all are taken."""
        if not self._free:
            return None
        row = Row(self.memory, self._free.pop())
        row.begin(slot, paused_by_signal=paused_by_signal)
        return row

    def give_back(self, row: Row) -> None:
        """Its process is no more."""
        self._free.append(row.number)


class Row:
    """One process' row."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self.number = number
        self._memory = memory
        self._wanted_at = number * ROW + SIZE
        self.scorecard = Scorecard(memory, offset=number * ROW)

    def begin(self, slot: str, *, paused_by_signal: bool) -> None:
        """Before the fork: a process of that slot, in boot, wanted to work."""
        self.paused = False
        self.scorecard.write(Card(incarnation="", slot=slot, state=State.BOOT, paused=paused_by_signal))

    @property
    def paused(self) -> bool:
        """Whether the process is wanted to pause."""
        return bool(self._memory[self._wanted_at])

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._memory[self._wanted_at] = paused


class DeathRecords:
    """What the master knows of the dead. It writes, the keeper reads and strikes out; each record by itself."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory = memory
        self._places = [at + n * GRAVE for n in range(GRAVES)]

    def record(self, death: Death) -> bool:
        """Note a death; False if no place is free."""
        place = next((place for place in self._places if not self._length(place)), None)
        if place is None:
            return False
        body = msgspec.json.encode(_fitting(death))
        self._memory[place + _TAIL.size : place + _TAIL.size + len(body)] = body
        # The length last: without it there is no record.
        _TAIL.pack_into(self._memory, place, len(body))
        return True

    def find(self) -> Iterator[Death]:
        """Those that the keeper has not dealt with."""
        for place in self._places:
            if length := self._length(place):
                body = self._memory[place + _TAIL.size : place + _TAIL.size + length]
                yield msgspec.json.decode(body, type=Death)

    def bury(self, death: Death) -> None:
        """The keeper has given back what it held."""
        for place in self._places:
            length = self._length(place)
            body = self._memory[place + _TAIL.size : place + _TAIL.size + length]
            if length and msgspec.json.decode(body, type=Death).incarnation == death.incarnation:
                _TAIL.pack_into(self._memory, place, 0)

    @property
    def empty(self) -> bool:
        """Nothing waits for the keeper."""
        return not any(map(self._length, self._places))

    def _length(self, place: int) -> int:
        return int(_TAIL.unpack_from(self._memory, place)[0])


class Notice:
    """A set of names with one writer and many readers."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory = memory
        self._at = at
        self._last: frozenset[str] = frozenset()

    def write(self, names: frozenset[str]) -> None:
        """Replace them. What does not fit is left out, the last in alphabetical order first."""
        if names == self._last:
            return
        self._last, body = names, _encoded(names)
        turn = (_HEAD.unpack_from(self._memory, self._at)[0] + 1) & 0xFFFFFFFF
        begin, tail = self._at + _HEAD.size, self._at + NOTICE - _TAIL.size
        # Tail, body, head, in this order: while a write is under way, or was cut short, head and tail differ.
        _TAIL.pack_into(self._memory, tail, turn)
        self._memory[begin : begin + len(body)] = body
        _HEAD.pack_into(self._memory, self._at, turn, len(body))

    def read(self) -> frozenset[str]:
        """The names; those of the last read if they are just being written."""
        turn, length = _HEAD.unpack_from(self._memory, self._at)
        begin, tail = self._at + _HEAD.size, self._at + NOTICE - _TAIL.size
        body = self._memory[begin : begin + length]
        if turn and turn == _TAIL.unpack_from(self._memory, tail)[0] == _HEAD.unpack_from(self._memory, self._at)[0]:
            self._last = frozenset(msgspec.json.decode(body, type=list[str]))
        return self._last


def _fitting(death: Death) -> Death:
    """With as much of its stacks as a record has room for."""
    room = GRAVE - 1024
    running = death.running and {
        task: cause.encode()[: room // 2].decode(errors="ignore") for task, cause in death.running.items()
    }
    return msgspec.structs.replace(death, running=running)


def _encoded(names: frozenset[str]) -> bytes:
    kept = sorted(names)
    while len(body := msgspec.json.encode(kept)) > NOTICE - _HEAD.size - _TAIL.size:
        kept.pop()
    return body
