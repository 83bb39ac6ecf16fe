"""A quota that the kernel itself keeps, where this machine lets us make a control group."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from taskqueue.settings import cpus

GROUPS = Path("/sys/fs/cgroup")
PROGRAM = """
import os, sys
with open(sys.argv[1], "w") as members:
    members.write(str(os.getpid()))
from taskqueue.settings import cpus
print(cpus.usable())
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A new group without a quota, in one of one processor and a half."""
    made: list[Path] = []
    for top in (GROUPS / "cpu", GROUPS):
        with suppress(OSError):
            outer, inner = top / f"test-{uuid4().hex}", "inner"
            outer.mkdir()
            made = [outer / inner, outer]
            (outer / inner).mkdir()
            limit(outer, 150_000)
            break
        remove(made)
    else:
        pytest.skip("no group with a quota can be made here")
    yield made[0]
    remove(made)


def limit(group: Path, quota: int) -> None:
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{quota} 100000")
    elif (group / "cpu.cfs_quota_us").exists():
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        raise OSError(f"{group} has no quota")


def remove(groups: list[Path]) -> None:
    for group in groups:
        with suppress(OSError):
            group.rmdir()


def test_a_process_in_a_group_has_what_the_quota_above_it_is_worth(group):
    command = [sys.executable, "-c", PROGRAM, str(group / "cgroup.procs")]
    ended = subprocess.run(command, capture_output=True, text=True)

    assert ended.stderr == ""
    assert int(ended.stdout) == min(2, cpus.usable())
    assert os.getpid() not in map(int, (group / "cgroup.procs").read_text().split())


def test_half_a_processor_counts_as_one(group):
    limit(group, 50_000)
    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(group / "cgroup.procs")], capture_output=True, text=True)

    assert (ended.stdout, ended.stderr) == ("1\n", "")
