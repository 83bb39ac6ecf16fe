"""The bench runs: real workers drain a few tasks, and what it prints and writes can be read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.project import REPOSITORY

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

CEILING = """
import json, sys
batch = int(sys.argv[sys.argv.index("--batch") + 1])
rates = ("drain_per_s", "enqueue_per_s", "bulk_enqueue_per_s")
print(json.dumps({"latency_ms_p50": 0.001, **dict.fromkeys(rates, 1e9)}))
"""


def bench(*arguments: str) -> str:
    """What it prints."""
    command = [sys.executable, "-m", "tests.bench", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", start_new_session=True
    )
    try:
        printed, complained = process.communicate(timeout=150)
        assert process.returncode == 0, complained
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return printed


def test_a_quick_run_measures_ours_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "limit.py").write_text(CEILING)
    figures, picture = tmp_path / "figures.json", tmp_path / "chart.svg"
    written = ["--json", str(figures), "--chart", str(picture)]
    rows = ["--only", "sqlite-ceiling", "latency-sqlite", "sqlite-huey"]

    printed = bench("--quick", "--tasks", "300", "--peers", str(tmp_path), *written, *rows)

    found = json.loads(figures.read_text())
    assert {name: row["ratio"] is not None for name, row in found["rows"].items()} == {
        "sqlite-ceiling": True,
        "sqlite-huey": False,
        "latency-sqlite": True,
    }
    assert found["missing"] == {"huey-sqlite": "not installed"}
    assert found["rounds"][0]["ours-sqlite"]["durable"] == {"synchronous": "FULL"}
    assert "raw SQL" in printed
    assert "not installed" in printed
    assert "ended once with a report" in printed
    assert ET.fromstring(picture.read_text()).tag.endswith("svg")


def test_a_profile_names_where_the_time_goes() -> None:
    printed = bench("--quick", "--tasks", "300", "--profile", "sqlite")

    assert [line for line in printed.splitlines() if "taskqueue/" in line or "sqlalchemy" in line]
