"""What the bench lets workers do. `BENCH_STAMPS` and `BENCH_TURNS` name files that its workers append to."""

from __future__ import annotations

import os
import struct
import time

import taskqueue

STAMP, TURN = struct.Struct("=QQ"), struct.Struct("=dI")


@taskqueue.task
def nothing(number: int) -> dict:
    return {"number": number}


@taskqueue.task
def stamp() -> None:
    _append("BENCH_STAMPS", STAMP.pack(time.monotonic_ns(), 0))


@taskqueue.task
def burn(seconds: float) -> None:
    began = time.monotonic_ns()
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    _append("BENCH_STAMPS", STAMP.pack(began, time.monotonic_ns()))


def _append(variable: str, record: bytes, _open: dict[str, int] = {}) -> None:  # noqa: B006 - it is a memory
    if variable not in _open:
        _open[variable] = os.open(os.environ[variable], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_open[variable], record)


def _time_turns() -> None:
    """How long each turn of the worker takes (reports stored, tasks claimed), and how many tasks it brought."""
    from taskqueue.queue.queue import Queue

    turn = Queue.turn

    def timed(self, finished, *, limit, lease, worker):
        began = time.perf_counter()
        answer = turn(self, finished, limit=limit, lease=lease, worker=worker)
        _append("BENCH_TURNS", TURN.pack(time.perf_counter() - began, len(answer.held)))
        return answer

    Queue.turn = timed


if "BENCH_TURNS" in os.environ:
    _time_turns()
