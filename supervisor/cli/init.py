"""`supervisor init`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from supervisor import starter
from taskqueue.cli import terminal
from taskqueue.cli.command import Command
from taskqueue.cli.session import Session
from taskqueue.settings.load import VARIABLE


@click.command(
    "init",
    cls=Command,
    examples=(
        ("supervisor init", "in this folder, with SQLite"),
        ("supervisor init shop --store postgresql", "in another, which is made if it is not there"),
    ),
)
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--store",
    type=click.Choice(starter.STORES),
    default="sqlite",
    show_default=True,
    help="Where tasks are kept: for one host (sqlite), or for many.",
)
@click.pass_obj
def command(session: Session, /, folder: Path, *, store: str) -> None:
    """Write a first configuration, config/taskqueue.toml, and a first task, tasks.py.

    What is there already stays as it is. The three commands to go on with are printed.
    """
    if session.config or session.sets:
        raise click.UsageError(
            f"--config and --set are for what reads a configuration; this writes {starter.CONFIG} into FOLDER",
            click.get_current_context(),
        )
    done = starter.start(folder, store=store)
    for file in done.written:
        terminal.line(f"wrote {file}")
    for file in done.kept:
        terminal.line(f"kept  {file}, which was there")
    terminal.line("")
    for line in done.commands:
        terminal.line(f"    {line}", style="bold")
    if named := os.environ.get(VARIABLE):
        terminal.note(f"${VARIABLE} is set: until you unset it, these commands read {named}")
