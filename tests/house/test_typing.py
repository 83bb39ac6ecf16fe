"""An application's mistakes are found by its type checker, whichever of the two it uses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "typing"
Found = set[tuple[str, int]]


def run(*command: str) -> str:
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    completed = subprocess.run(
        [sys.executable, "-m", *command], cwd=SAMPLES, env=environment, capture_output=True, text=True
    )
    assert completed.returncode in (0, 1), completed.stdout + completed.stderr
    return completed.stdout


def mypy() -> Found:
    """As an application would run it; of this package's own modules only the types are read."""
    said = run(
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--config-file=",
        f"--cache-dir={ROOT / '.mypy_cache' / 'samples'}",
        ".",
    )
    return {(found[1], int(found[2])) for found in re.finditer(r"^(\w+\.py):(\d+): error:", said, re.MULTILINE)}


def pyright() -> Found:
    settings = SAMPLES / "pyrightconfig.json"
    said = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(settings)))
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        for found in said["generalDiagnostics"]
        if found["severity"] == "error"
    }


def marked() -> Found:
    lines = (SAMPLES / "wrong.py").read_text().splitlines()
    return {("wrong.py", number) for number, line in enumerate(lines, start=1) if line.endswith("# error")}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_right_program_passes_and_each_mistake_is_found(checker: Callable[[], Found]) -> None:
    found = checker()
    assert sorted(marked() - found) == [], "mistakes that it does not see"
    assert sorted(found - marked()) == [], "errors where there is none"
