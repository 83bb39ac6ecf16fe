from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.oom import OomKills


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/shop.slice\n")
    (tmp_path / "sys/fs/cgroup/shop.slice").mkdir(parents=True)
    host(tmp_path, 7)
    group(tmp_path, 0)
    return tmp_path


def host(root: Path, kills: int) -> None:
    (root / "proc/vmstat").write_text(f"nr_free_pages 12\noom_kill {kills}\n")


def group(root: Path, kills: int) -> None:
    (root / "sys/fs/cgroup/shop.slice/memory.events").write_text(f"max 3\noom_kill {kills}\n")


@pytest.mark.parametrize("count", [host, group])
def test_a_kill_since_the_last_look_is_noticed_for_all_who_ask(root, count):
    kills = OomKills(root)
    assert not kills.rose()
    count(root, 8)
    assert kills.rose()
    assert kills.rose()


def test_a_kill_before_the_last_look_is_no_cause_of_a_later_death(root):
    kills = OomKills(root)
    host(root, 8)
    kills.look()
    assert not kills.rose()


def test_without_counters_nobody_was_killed(tmp_path):
    assert not OomKills(tmp_path).rose()
