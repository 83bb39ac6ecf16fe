"""`taskqueue demo`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.failures import EXIT_INTERRUPTED
from taskqueue.demo.files import Tree, shown, standard_library
from taskqueue.demo.words import count
from taskqueue.errors import EXIT_FAILED, ConfigurationError


@click.command(
    "demo",
    cls=Command,
    examples=(
        ("taskqueue demo", "on the standard library of this Python"),
        ("taskqueue demo ~/photos --workers 8", "on a folder of yours"),
        ("taskqueue demo --keep /tmp/demo", "look at its task log afterwards"),
    ),
)
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--workers", metavar="N", type=click.IntRange(1, 64), default=3, show_default=True, help="Processes.")
@click.option("--keep", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Keep everything there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; the rest goes to stderr.")
def command(folder: str | None, *, workers: int, keep: Path | None, as_json: bool) -> int:
    """See it work: each file of FOLDER becomes a task, and a supervisor keeps workers at them.

    A parent task lists the folder and creates a child for each file, which counts lines, digests and compresses it. On
    the way a worker is killed, the fleet is paused, one worker is added, and the fleet goes on. At the end every file
    must have been counted exactly once, or the exit code is 1. Nothing in FOLDER is changed.
    """
    if sys.platform == "win32":
        raise ConfigurationError("the demo needs Linux or macOS, as workers do")
    tree = Tree(str(Path(folder).resolve())) if folder is not None else standard_library()
    with _place(keep) as place:
        return _run(tree.without(place), place, workers=workers, as_json=as_json)


def _run(tree: Tree, place: Path, *, workers: int, as_json: bool) -> int:
    from rich.console import Console

    from taskqueue.demo import closing
    from taskqueue.demo.run import Demo
    from taskqueue.demo.screen import Screen

    stream = sys.stderr if as_json else sys.stdout
    console = Console(file=stream, highlight=False, markup=False, emoji=False, width=None if stream.isatty() else 110)
    screen, files = Screen(console), tree.files()
    if not files:
        screen.line(f"{shown(tree.folder)} has no files: there is nothing to show. Name another folder.")
        return 0
    screen.line(f"{count(len(files), 'file')} of {shown(tree.folder)}, {count(workers, 'worker')}, all else in {place}")
    try:
        result = Demo(tree, files, place, workers=workers, screen=screen).run()
    except KeyboardInterrupt:
        terminal.note("interrupted: the supervisor and its workers were ended")
        return EXIT_INTERRUPTED
    closing.show(console, result)
    if as_json:
        terminal.json(result.summary)
    return EXIT_FAILED if result.summary.problems or result.told.exit_code else 0


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """An empty folder for the store, the configuration and the workers' logs."""
    if keep is None:
        with TemporaryDirectory(prefix="taskqueue-demo-") as folder:
            yield Path(folder).resolve()
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise click.BadParameter(f"{keep} is not empty; name a new folder", param_hint="--keep")
    except OSError as error:
        raise click.BadParameter(f"{keep} cannot be used: {error.strerror}", param_hint="--keep") from None
    yield keep.resolve()
    terminal.note(f"kept: taskqueue --config {keep.resolve() / 'config' / 'taskqueue.toml'} log list")
