from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("alembic", "boto3", "click", "psutil", "rich", "sqlalchemy")
EXTRAS = ("jinja2", "opentelemetry", "prometheus_client", "starlette", "uvicorn")


def test_imports_only_go_down_the_floors() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_importing_the_library_loads_nothing_heavy() -> None:
    program = f"import sys, taskqueue; print(*(m for m in {HEAVY} if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


OPENED = """
import sys
from taskqueue.app import App
from taskqueue.settings import load

app = App(load(sys.argv[1]))
app.warm()
app.dispatcher.initialize()
others = "sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql", "boto3", "psycopg", "psutil", "rich"
print(*(name for name in others if name in sys.modules))
"""


def test_a_process_on_sqlite_loads_nothing_of_other_databases(tmp_path: Path) -> None:
    config = tmp_path / "taskqueue.toml"
    config.write_text('[brokers.main]\nurl = "sqlite:///tasks.db"\n[queues.default]\n')
    command = [sys.executable, "-c", OPENED, str(config)]
    # The first one creates the tables, and has to read what others have in theirs.
    for _ in range(2):
        loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_what_only_some_want_is_loaded_for_them_alone() -> None:
    modules = "taskqueue.app, taskqueue.worker.loop, taskqueue.cli.program, taskqueue.tracing, supervisor.master"
    program = f"import sys, {modules}; print(*(m for m in {EXTRAS} if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
