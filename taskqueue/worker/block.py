"""A block of shared memory for what one worker has counted, or what its task logged, beside its scorecard's row.

A block has one writer at a time, the process that has the row; the next one that gets it reads what the last one
wrote, and goes on from there. It is written to two sides by turns, each with its length and a checksum: what is being
written, or was cut short by the writer's end, is never what is read.
"""

from __future__ import annotations

import mmap
import struct
import zlib

SIZE = 32768
_HEAD, _SIDE = struct.Struct("=IB"), struct.Struct("=II")
_SIDES_AT = 8
#: a reader that the writer overtakes begins again so many times
TRIES = 5


def capacity(size: int) -> int:
    """How many bytes a block of that size takes."""
    return (size - _SIDES_AT) // 2 - _SIDE.size


CAPACITY = capacity(SIZE)


class Block:
    """One block of that buffer. Nothing of it is touched, and so none of its memory exists, before it is used."""

    def __init__(self, buffer: mmap.mmap, *, offset: int = 0, size: int = SIZE) -> None:
        self._buffer = buffer
        self._offset = offset
        self._capacity = capacity(size)

    def write(self, body: bytes) -> None:
        """Replace what stands there by `body`, which is no longer than its capacity."""
        turn = (self._turn + 1) & 0xFFFFFFFF
        at = self._side(turn)
        self._buffer[at + _SIDE.size : at + _SIDE.size + len(body)] = body
        _SIDE.pack_into(self._buffer, at, len(body), zlib.crc32(body))
        # The turn last: until then the other side is what is read.
        _HEAD.pack_into(self._buffer, self._offset, turn, self.away)

    def read(self) -> bytes | None:
        """What was written last; None if nothing was."""
        for _ in range(TRIES):
            turn = self._turn
            if (body := self._body(turn)) is not None:
                return body
        return self._body(self._turn + 1)

    @property
    def away(self) -> bool:
        """A store does not answer its writer at this moment."""
        return bool(_HEAD.unpack_from(self._buffer, self._offset)[1])

    @away.setter
    def away(self, away: bool) -> None:
        _HEAD.pack_into(self._buffer, self._offset, self._turn, away)

    @property
    def _turn(self) -> int:
        return int(_HEAD.unpack_from(self._buffer, self._offset)[0])

    def _side(self, turn: int) -> int:
        return self._offset + _SIDES_AT + turn % 2 * (self._capacity + _SIDE.size)

    def _body(self, turn: int) -> bytes | None:
        at = self._side(turn)
        length, checksum = _SIDE.unpack_from(self._buffer, at)
        body = self._buffer[at + _SIDE.size : at + _SIDE.size + min(length, self._capacity)]
        return body if length and zlib.crc32(body) == checksum else None
