"""When a slot whose processes die is started again: at once, then later and later, with jitter, up to a minute.

A failure is forgotten once a process has been healthy. Between two starts of one slot there is a floor, whatever ended
the first: a process that leaves in good order as soon as it has begun would else keep its host busy with forking.
"""

from __future__ import annotations

from random import Random

CAP, JITTER, FLOOR = 60.0, 0.25, 0.5
#: a process that has lived for so long, in seconds, was healthy
HEALTHY = 10.0


def delay(failures: int, random: Random) -> float:
    """Seconds to wait after so many failures in a row: 0, 1, 2, 4 ... 60, each a quarter more or less."""
    if failures <= 1:
        return 0.0
    return min(CAP, 2.0 ** min(failures - 2, 16)) * random.uniform(1 - JITTER, 1 + JITTER)
