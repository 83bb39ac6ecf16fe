"""The scoreboard: shared memory, mapped before the first fork, that master and children have in common.

    rows       one a process: its scorecard, written by the worker; and what is wanted of it, written by the master
    deaths     what the master knows of a dead worker, until the keeper has given back what it held (R16)
    pauses     the queues that are paused for the whole fleet, written by the keeper, read by every worker (P6)
    blocks     what processes have counted (`supervisor.blocks`)

The kernel keeps the bytes whatever kills one of them. Each part has one writer at a time. Of what was cut short, a row
shows that it was, and the rest has nothing: a number that is written last says what there is.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from supervisor.blocks import Blocks
from taskqueue.worker.block import Block
from taskqueue.worker.deaths import Death
from taskqueue.worker.scorecard import SIZE, Card, Scorecard, State

ROWS = 4096
#: a row is a scorecard and, behind it, whether its process is wanted to pause
ROW = SIZE + 64
#: how many deaths can wait for a keeper, and the size of each record
GRAVES, GRAVE = 64, 32768
#: room for the names of queues that are paused, twice
NOTICE = 2 * 65536
_HEAD = struct.Struct("=I")


class Scoreboard:
    """All of it. Made by the master; its children inherit it."""

    def __init__(self, *, rows: int = ROWS) -> None:
        self._graves_at = rows * ROW
        self._notice_at = self._graves_at + GRAVES * GRAVE
        self.memory = mmap.mmap(-1, self._notice_at + NOTICE)
        self.blocks = Blocks(rows)
        self._free = list(range(rows - 1, -1, -1))
        self.deaths = DeathRecords(self.memory, self._graves_at)
        self.pauses = Notice(self.memory, self._notice_at)

    def take(self, slot: str, *, paused_by_signal: bool = False) -> Row | None:
        """A row for a process that is about to be forked; None if all are taken."""
        if not self._free:
            return None
        # The row that was given back last: so there are no more blocks than there were processes at once.
        number = self._free.pop()
        row = Row(self.memory, number, block=self.blocks.take(number), lines=self.blocks.lines(number))
        row.begin(slot, paused_by_signal=paused_by_signal)
        return row

    def give_back(self, row: Row) -> None:
        """Its process is no more."""
        row.block.away = False
        self._free.append(row.number)


class Row:
    """One process' row."""

    def __init__(self, memory: mmap.mmap, number: int, *, block: Block, lines: Block) -> None:
        self.number = number
        self.block = block
        self.lines = lines
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
        body = _fitting(death)
        self._memory[place + _HEAD.size : place + _HEAD.size + len(body)] = body
        # The length last: without it there is no record.
        _HEAD.pack_into(self._memory, place, len(body))
        return True

    def find(self) -> Iterator[Death]:
        """Those that the keeper has not dealt with."""
        return filter(None, map(self._found, self._places))

    def bury(self, death: Death) -> None:
        """The keeper has given back what it held."""
        for place in self._places:
            found = self._found(place)
            if found is not None and found.incarnation == death.incarnation:
                _HEAD.pack_into(self._memory, place, 0)

    def _found(self, place: int) -> Death | None:
        body = self._memory[place + _HEAD.size : place + _HEAD.size + self._length(place)]
        # Of two keepers, while one takes over from the other, one may look where the other has made room just now.
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(body, type=Death) if body else None
        return None

    @property
    def empty(self) -> bool:
        """Nothing waits for the keeper."""
        return not any(map(self._length, self._places))

    def _length(self, place: int) -> int:
        return int(_HEAD.unpack_from(self._memory, place)[0])


class Notice:
    """A set of names with one writer and many readers.

    It is written to two places by turns: what is being written, or was cut short, is never what is read.
    """

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory = memory
        self._turn_at = at
        self._sides = (at + _HEAD.size, at + _HEAD.size + (NOTICE - _HEAD.size) // 2)
        self._read: tuple[int, frozenset[str]] = (0, frozenset())

    def write(self, names: frozenset[str]) -> bool:
        """Replace them; whether they were others before. What does not fit is left out, in alphabetical order."""
        kept, body = _fitting_names(names)
        # What stands there counts, not what this process has written or read: before it there was another keeper.
        if kept == self.read():
            return False
        turn = (self._turn + 1) & 0xFFFFFFFF
        side = self._sides[turn % 2]
        self._memory[side + _HEAD.size : side + _HEAD.size + len(body)] = body
        _HEAD.pack_into(self._memory, side, len(body))
        # The turn last: until then the other side is what is read.
        _HEAD.pack_into(self._memory, self._turn_at, turn)
        return True

    def read(self) -> frozenset[str]:
        """The names that were written last."""
        while (turn := self._turn) != self._read[0]:
            side = self._sides[turn % 2]
            (length,) = _HEAD.unpack_from(self._memory, side)
            body = self._memory[side + _HEAD.size : side + _HEAD.size + length]
            if turn == self._turn:
                self._read = turn, self._read[1]
                with suppress(msgspec.DecodeError):  # two writers at once, while one takes over from the other
                    self._read = turn, frozenset(msgspec.json.decode(body, type=list[str]))
        return self._read[1]

    @property
    def _turn(self) -> int:
        return int(_HEAD.unpack_from(self._memory, self._turn_at)[0])


def _fitting(death: Death) -> bytes:
    """Its record, with as much of log and stacks as there is room for; what JSON escapes takes up to six times it.

    Of the log the beginning goes, and of the stacks the end.
    """
    death = msgspec.structs.replace(death, slot=death.slot[:500])
    while len(body := msgspec.json.encode(death)) > GRAVE - _HEAD.size and death.log:
        death = msgspec.structs.replace(death, log=death.log[len(death.log) // 4 + 1 :])
    while len(body := msgspec.json.encode(death)) > GRAVE - _HEAD.size:
        shorter = {task: cause[: len(cause) * 3 // 4] for task, cause in (death.running or {}).items()}
        death = msgspec.structs.replace(death, running=shorter)
    return body


def _fitting_names(names: frozenset[str]) -> tuple[frozenset[str], bytes]:
    kept = sorted(names)
    while len(body := msgspec.json.encode(kept)) > NOTICE // 2 - 2 * _HEAD.size:
        kept = kept[: max(len(kept) // 2, min(len(kept) - 1, len(kept) * NOTICE // 2 // len(body)))]
    return frozenset(kept), body
