"""A disk without room: who starts there says so, and is not killed by the kernel for a page that cannot be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import small_disk

pytestmark = pytest.mark.process
PROGRAM = """
import contextlib, sys
from pathlib import Path
from taskqueue.errors import BrokerUnavailable
from taskqueue.worker.presence import Presence, find_dead

stem = Path(sys.argv[1]) / "tasks.db"
stem.touch()
with (stem.parent / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
    while file.write(bytes(4096)):
        pass
try:
    Presence(stem, "one", slot="slot")
except BrokerUnavailable as error:
    print(error)
print(sorted(path.name for path in stem.parent.iterdir()))
(stem.parent / "ballast").unlink()
Presence(stem, "two", slot="slot").leave()
print(list(find_dead(stem)))
"""


def test_a_worker_that_starts_on_a_full_disk_says_so_and_leaves_nothing(tmp_path):
    if reason := small_disk.why_not():
        pytest.skip(reason)
    program = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ran = subprocess.run(small_disk.command(tmp_path, program), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    said, files, dead = ran.stdout.splitlines()
    assert said == (
        f"{tmp_path}/tasks.db: a worker cannot make its own file beside it (No space left on device); free some space"
    )
    assert files == "['ballast', 'tasks.db']"
    assert dead == "[]"
