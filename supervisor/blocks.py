"""What all processes of this host have counted, and logged last: blocks of shared memory, mapped before the first fork.

A block belongs to a row of the scoreboard, and goes with it from one process to the next, which goes on from what it
finds there. So each has one writer, also while an old process and its successor are in one slot; and what all of them
say together only rises for as long as the master lives, whatever is killed, scaled or reloaded.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

from taskqueue.worker.block import SIZE, Block
from taskqueue.worker.counters import Counts, decode
from taskqueue.worker.lastlines import ROOM

_HEAD = struct.Struct("=I")
#: of a block for what a task logged last
LINES = 2 * (ROOM + 64)
#: memory that is not used needs no swap space either; named by Python from 3.13 on
_FLAGS = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
#: the first page says how many blocks have been used
PAGE = 4096


class Blocks:
    """All of them. Made by the master; its children inherit it. What is not used yet takes no memory."""

    def __init__(self, rows: int) -> None:
        self._lines_at = PAGE + (rows + 1) * SIZE
        self._memory = mmap.mmap(-1, self._lines_at + rows * LINES, _FLAGS)
        #: the master's own
        self.master = Block(self._memory, offset=PAGE)

    def take(self, number: int) -> Block:
        """The block of that row, for a process that is about to be forked."""
        if number >= self._used:
            _HEAD.pack_into(self._memory, 0, number + 1)
        return self._of(number)

    def lines(self, number: int) -> Block:
        """Where the process with that row leaves what its task logged last."""
        return Block(self._memory, offset=self._lines_at + number * LINES, size=LINES)

    def counts(self) -> Counts:
        """All that workers have counted since the master began."""
        whole = Counts()
        for block in self._all():
            whole.add(decode(block.read()))
        return whole

    @property
    def away(self) -> int:
        """How many workers have a store that does not answer at this moment."""
        return sum(block.away for block in self._all())

    def _all(self) -> Iterator[Block]:
        return map(self._of, range(self._used))

    def _of(self, number: int) -> Block:
        return Block(self._memory, offset=PAGE + (number + 1) * SIZE)

    @property
    def _used(self) -> int:
        return int(_HEAD.unpack_from(self._memory, 0)[0])
