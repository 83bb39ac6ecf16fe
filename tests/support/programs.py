"""Python programs run as processes of their own: warnings are errors there too, and what went wrong is shown."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def start(program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start it, with pipes to its input and from its outputs."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes, **options)


def run(program: str, *arguments: object, **options: Any) -> str:
    """Run it to its end and return its output; it must exit with 0 and be silent on stderr."""
    with start(program, *arguments, **options) as process:
        try:
            output, errors = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert (process.returncode, errors) == (0, ""), errors or f"exit code {process.returncode}"
    return output
