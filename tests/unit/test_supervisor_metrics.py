"""Metrics as Prometheus reads them from a file."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from supervisor import metrics
from taskqueue.snapshot import Pause
from tests.support.pretender import STARTED, made_up, pool, slot

LABEL = r'[a-z]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"(?P<name>[a-z_]+)(?:\{{{LABEL}(?:,{LABEL})*\}})? (?P<value>\S+)")


def samples(text: str) -> dict[str, float]:
    """Each sample by its name and labels. Fails where the text is not of the format."""
    found: dict[str, float] = {}
    family = ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert not any(key.split("{")[0] == family for key in found), "a family stands in one piece"
        elif line.startswith("# TYPE "):
            assert line.split()[2:] in ([family, "gauge"], [family, "counter"])
            assert family.endswith("_total") == (line.split()[3] == "counter")
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample["name"] == family
            key = line.rpartition(" ")[0]
            assert key not in found, "no sample twice"
            found[key] = float(sample["value"])
    return found


def test_a_host_its_pools_and_its_workers_are_told_of():
    found = samples(metrics.render(made_up()))
    assert {
        'taskqueue_supervisor_info{version="0.1.0",host="web-1"}': 1,
        "taskqueue_supervisor_start_time_seconds": STARTED,
        "taskqueue_supervisor_degraded": 0,
        "taskqueue_supervisor_paused": 0,
        'taskqueue_supervisor_pool_workers_wanted{pool="mail",kind="queue"}': 2,
        'taskqueue_supervisor_pool_workers{pool="mail",kind="queue",state="up"}': 2,
        'taskqueue_supervisor_pool_workers{pool="mail",kind="queue",state="fatal"}': 0,
        'taskqueue_supervisor_worker_busy{pool="mail",index="0"}': 1,
        'taskqueue_supervisor_worker_busy{pool="mail",index="1"}': 0,
        'taskqueue_supervisor_worker_tasks_total{pool="mail",index="0"}': 1234,
        'taskqueue_supervisor_worker_restarts_total{pool="mail",index="1"}': 2,
        'taskqueue_supervisor_worker_memory_bytes{pool="mail",index="0"}': 48 * 2**20,
        'taskqueue_supervisor_worker_task_age_seconds{pool="mail",index="0"}': 3.2,
    }.items() <= found.items()


def test_what_is_not_known_has_no_sample():
    found = samples(metrics.render(made_up()))
    assert 'taskqueue_supervisor_worker_memory_bytes{pool="mixed",index="0"}' not in found
    assert 'taskqueue_supervisor_worker_task_age_seconds{pool="mail",index="1"}' not in found


def test_trouble_is_told_of():
    down = pool("mail", slot("mail", 0, "down"), paused=(Pause(scope="pool", by="ann"),), wanted=1)
    there = made_up(pools=(down,), paused=(Pause(scope="host", by="signal"),), problems=("a", "b"), state="stopping")
    found = samples(metrics.render(there))
    for name, value in {"paused": 1, "problems": 2, "degraded": 1, "stopping": 1}.items():
        assert found[f"taskqueue_supervisor_{name}"] == value
    assert found['taskqueue_supervisor_pool_paused{pool="mail",kind="queue"}'] == 1
    assert found['taskqueue_supervisor_pool_workers{pool="mail",kind="queue",state="down"}'] == 1


def test_odd_names_break_no_line():
    odd = 'a"b\\c\nd é'
    found = samples(metrics.render(made_up(host=odd, pools=(pool(odd, slot(odd, 0)),))))
    assert r'taskqueue_supervisor_worker_up{pool="a\"b\\c\nd é",index="0"}' in found


def test_an_empty_host_is_one_too():
    samples(metrics.render(made_up(pools=())))


def test_the_file_is_replaced_in_one_step_and_others_may_read_it(tmp_path):
    file = tmp_path / "taskqueue.prom"
    for text in ("one 1\n", "two 2\n"):
        assert metrics.write(file, text) is None
        assert file.read_text() == text
    assert stat.S_IMODE(file.stat().st_mode) & 0o444 == 0o444
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_that_has_the_old_one_open_reads_it_to_its_end(tmp_path):
    file = tmp_path / "taskqueue.prom"
    metrics.write(file, "one 1\n")
    with file.open() as reader:
        metrics.write(file, "two 2\n")
        assert reader.read() == "one 1\n"


@pytest.mark.parametrize("where", ["missing/taskqueue.prom", "file/taskqueue.prom"])
def test_what_cannot_be_written_is_said_and_not_raised(tmp_path, where):
    (tmp_path / "file").touch()
    problem = metrics.write(tmp_path / where, "one 1\n")
    assert problem is not None
    assert problem.startswith(f"{tmp_path / where}: the metrics cannot be written (")
    assert "[supervisor] metrics_file" in problem


def test_a_folder_in_its_place_is_left_alone_and_nothing_is_left_beside_it(tmp_path: Path):
    (tmp_path / "taskqueue.prom").mkdir()
    assert metrics.write(tmp_path / "taskqueue.prom", "one 1\n") is not None
    assert list(tmp_path.iterdir()) == [tmp_path / "taskqueue.prom"]


def test_a_link_that_somebody_laid_where_we_write_first_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".taskqueue.prom.{os.getpid()}.new").symlink_to(victim)
    metrics.write(tmp_path / "taskqueue.prom", "one 1\n")
    assert victim.read_text() == "mine"
