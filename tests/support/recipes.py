"""The recipes of README.md in a folder, and programs that try them, in processes of their own as applications are."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support import readme


class Kitchen:
    """A project that has followed all recipes. `modules` are what its workers import."""

    def __init__(self, folder: Path, *modules: str) -> None:
        self.folder = folder
        readme.lay_out(folder, upto="Recipes")
        config = folder / "config/taskqueue.toml"
        named = ", ".join(f'"{module}"' for module in modules or ("shop.tasks",))
        config.write_text(config.read_text().replace('modules = ["shop.tasks"]', f"modules = [{named}]"))

    def run(self, program: str, *options: str) -> list[str]:
        """Run a program in the project's folder; the lines that it printed. It must exit with 0."""
        command = [sys.executable, *options, "-c", textwrap.dedent(program)]
        return self._output(command)

    def work(self) -> list[str]:
        """Let one worker do all that is due; its log."""
        return self._output(["taskqueue", "worker", "--drain"])

    def _output(self, command: list[str]) -> list[str]:
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=readme.environment(self.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout.splitlines()
