"""`workers = "cpus"` asks how many processors the process may use, not how many the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskqueue.settings import cpus

#: what the affinity allows: more than any quota here
PLENTY = 64


class Kernel:
    """What a kernel shows of control groups, as files in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def groups(self, *lines: str) -> None:
        self._write("proc/self/cgroup", "".join(f"{line}\n" for line in lines))

    def v2(self, group: str, text: str, *, top: str = "sys/fs/cgroup") -> None:
        self._write(f"{top}/{group}/cpu.max", text)

    def v1(self, group: str, quota: str, period: str = "100000\n", *, top: str = "sys/fs/cgroup/cpu,cpuacct") -> None:
        self._write(f"{top}/{group}/cpu.cfs_quota_us", quota)
        self._write(f"{top}/{group}/cpu.cfs_period_us", period)

    def _write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @property
    def usable(self) -> int:
        return cpus.usable(root=self.root, allowed=PLENTY)


@pytest.fixture
def kernel(tmp_path) -> Kernel:
    return Kernel(tmp_path)


def test_without_groups_it_is_what_the_affinity_allows(kernel):
    assert kernel.usable == PLENTY


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a processor")
def test_a_process_that_is_bound_to_one_processor_has_one(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cpus.usable(root=tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_it_is_never_more_than_this_machine_has():
    assert 1 <= cpus.usable() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("said", "usable"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("10000 5000", 2),
        ("max 100000\n", PLENTY),
        ("100000000 100000\n", PLENTY),
    ],
)
def test_a_quota_is_rounded_up(kernel, said, usable):
    kernel.groups("0::/app.slice")
    kernel.v2("app.slice", said)
    assert kernel.usable == usable


@pytest.mark.parametrize(
    "said", ["", "max", "\n", "cow 100000", "100000", "0 100000", "-5 100000", "5 0", "1 2 3", "é"]
)
def test_what_is_no_quota_limits_nothing(kernel, said):
    kernel.groups("0::/app.slice")
    kernel.v2("app.slice", said)
    assert kernel.usable == PLENTY


def test_the_smallest_quota_on_the_way_up_counts(kernel):
    kernel.groups("0::/system.slice/shop.service")
    kernel.v2("system.slice", "300000 100000\n")
    kernel.v2("system.slice/shop.service", "max 100000\n")
    assert kernel.usable == 3
    kernel.v2("system.slice/shop.service", "200000 100000\n")
    assert kernel.usable == 2
    kernel.v2("system.slice/other.service", "100000 100000\n")
    assert kernel.usable == 2


def test_a_container_sees_its_own_group_at_the_top(kernel):
    kernel.groups("0::/")
    kernel.v2("", "200000 100000\n")
    assert kernel.usable == 2


@pytest.mark.parametrize("group", ["/docker/4711", "/../../4711", "/gone.scope (deleted)", "", "/a:b"])
def test_a_group_that_is_not_to_be_seen_leaves_the_one_at_the_top(kernel, group):
    kernel.groups(f"0::{group}")
    kernel.v2("", "200000 100000\n")
    assert kernel.usable == 2


def test_a_path_that_leads_out_is_not_followed(kernel):
    kernel.groups("0::/../evil")
    kernel.v2("../evil", "100000 100000\n")
    assert kernel.usable == PLENTY


def test_version_1_has_two_files(kernel):
    kernel.groups("5:memory:/docker/4711", "4:cpu,cpuacct:/docker/4711", "3:cpuset:/")
    kernel.v1("docker/4711", "250000\n")
    assert kernel.usable == 3
    kernel.v1("docker/4711", "-1\n")
    assert kernel.usable == PLENTY
    kernel.v1("docker", "100000\n")
    assert kernel.usable == 1


def test_version_1_may_be_mounted_by_its_short_name(kernel):
    kernel.groups("4:cpu,cpuacct:/docker/4711")
    kernel.v1("", "200000\n", top="sys/fs/cgroup/cpu")
    assert kernel.usable == 2


def test_a_version_1_group_of_other_controllers_says_nothing(kernel):
    kernel.groups("4:cpuset,cpuacct:/a")
    kernel.v1("a", "100000\n", top="sys/fs/cgroup/cpu")
    kernel.v1("a", "100000\n", top="sys/fs/cgroup/cpuset,cpuacct")
    assert kernel.usable == PLENTY


def test_both_versions_may_stand_beside_each_other(kernel):
    kernel.groups("4:cpu:/a", "0::/b")
    kernel.v1("a", "400000\n", top="sys/fs/cgroup/cpu")
    assert kernel.usable == 4
    kernel.v2("b", "300000 100000\n", top="sys/fs/cgroup/unified")
    assert kernel.usable == 3


@pytest.mark.parametrize("line", ["", "nonsense", "0:", "::", "0::/\0", "4:cpu"])
def test_a_line_that_is_none_is_passed_over(kernel, line):
    kernel.groups(line, "0::/a")
    kernel.v2("a", "200000 100000\n")
    assert kernel.usable == 2
