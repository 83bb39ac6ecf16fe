"""README.md as what it is made of: blocks that a reader copies into files, types at a prompt, or runs.

A block whose first line is a comment with a path is (a part of) that file: Python that comes again adds to it, anything
else replaces it. Every section stands on the files of the sections before it, but for the first program, which is a
project of its own.
"""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
FIRST = "First program"
PORT = "127.0.0.1:8321"
COMMANDS = ("taskqueue", "supervisor")
_PATH = re.compile(r"# (\S+\.(?:py|toml|service))")
_TURNS = re.compile("[\u2800-\u28ff] ")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Block(NamedTuple):
    """A fenced block, and the line where it begins."""

    section: str
    language: str
    text: str
    line: int

    @property
    def path(self) -> str | None:
        """The file that it is (a part of)."""
        found = _PATH.fullmatch(self.text.partition("\n")[0])
        return found and found[1]

    def __str__(self) -> str:
        return f"README.md, line {self.line}"


def blocks(*languages: str, section: str | None = None) -> list[Block]:
    """All fenced blocks, or those in these languages, of that section."""
    return [b for b in _blocks() if b.language in (languages or (b.language,)) and section in (None, b.section)]


def _blocks() -> Iterator[Block]:
    section = language = ""
    start, lines = 0, []
    for number, line in enumerate(TEXT.splitlines(), 1):
        if line.startswith("```"):
            if start:
                yield Block(section, language, "\n".join(lines) + "\n", start)
            start, language, lines = 0 if start else number, line[3:], []
        elif start:
            lines.append(line)
        elif line.startswith("## "):
            section = line[3:]


def sections() -> list[str]:
    """The headings of the second level, in order."""
    return re.findall(r"^## (.+)$", TEXT, re.MULTILINE)


def lay_out(folder: Path, *, upto: str) -> None:
    """The files that a reader has by the end of that section."""
    known = [FIRST] if upto == FIRST else sections()[sections().index(FIRST) + 1 : sections().index(upto) + 1]
    for block in blocks():
        if block.section in known and block.path and not block.path.startswith("/"):
            file = folder / block.path
            file.parent.mkdir(parents=True, exist_ok=True)
            more = block.language == "python" and file.exists()
            file.write_text((file.read_text() + "\n\n" if more else "") + block.text)


def with_a_free_port(folder: Path) -> Callable[[Block], Block]:
    """Let what listens there listen at a port that nobody has; a function that puts it into blocks."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        ours = f"127.0.0.1:{free.getsockname()[1]}"
    for file in folder.glob("config/*.toml"):
        file.write_text(file.read_text().replace(PORT, ours))
    return lambda block: block._replace(text=block.text.replace(PORT, ours))


def environment(folder: Path) -> dict[str, str]:
    """What a reader's shell has: `python`, `taskqueue` and `supervisor` are ours, a terminal is 100 columns wide."""
    programs = folder / "env" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    calls = {name: f"-c 'import sys; from {name}.cli import main; sys.exit(main())'" for name in COMMANDS}
    for name, call in {"python": "", **calls}.items():
        program = programs / name
        if not program.exists():  # a shell that reads it would find it empty
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
            program.chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder}:{ROOT}",
        "HOME": str(folder),
        "TERM": "xterm",
        "COLUMNS": "100",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def type_in(command: str, folder: Path) -> tuple[int, list[str]]:
    """The exit code of a command line, and what it printed on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, shell=True, cwd=folder, env=environment(folder), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        printed = b"".join(_read(ours))
        os.close(ours)
    text = _ANSI.sub("", printed.decode())
    # What turns while one waits is gone from the screen at the end.
    return process.returncode, [line.rstrip() for line in text.splitlines() if line.strip() and not _TURNS.match(line)]


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            found = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody writes to it any more
            return
        if not found:
            return
        yield found


def typed(block: Block) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it is said to print."""
    told: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            told.append((line[2:], []))
        elif line.strip():
            told[-1][1].append(line.rstrip())
    return told


_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: what is another at each run, and what stands for it
_VARIES = (
    (_ID, "<id>"),
    (r"\b[0-9a-f]{12}\b", "<id>"),
    (r"\d{4}-\d\d-\d\d[ T]", ""),
    (r"\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d)?", "<time>"),
    (r"\b[\w.-]+:\d+\b", "<worker>"),
    (r"\bby \S+@\S+", "by <somebody>"),
    (r"\bby \S+ \(uid \d+\)", "by <somebody>"),
    (r"^\S+(?=  (running|paused)  )", "<host>"),
    (r"\bpid \d+\b", "pid <pid>"),
    (r"\b\d+(?=\s+\d+(\.\d+)? m?s\b)", "<pid>"),
    (r"\b\d+ MiB\b", "<size>"),
    (r"\[\d+\]", "[<pid>]"),
    (r"\b\d+(\.\d+)? m?s\b", "<duration>"),
    (r"(?<=\S)\s{2,}", "  "),
)


def alike(said: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether these lines are those, but for ids, times, widths; "..." stands for any text, or lines by itself."""
    pattern = "\n".join(re.sub(r"(\\ )*\\\.\\\.\\\.", "(?s:.*)", re.escape(_settled(line))) for line in said)
    return re.fullmatch(pattern, "\n".join(_settled(line) for line in printed)) is not None


def ids(lines: Sequence[str]) -> list[str]:
    """The ids of tasks in these lines."""
    return re.findall(_ID, "\n".join(lines))


def _settled(line: str) -> str:
    for pattern, stand_in in _VARIES:
        line = re.sub(pattern, stand_in, line)
    return line.strip()
