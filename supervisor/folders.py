"""Folders for what the supervisor puts beside the application."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Create it, and what is missing above it. Nobody but its owner may write there, whatever the umask.

    Who can write to a folder can put a pidfile or a socket of his own in the place of ours.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o755, exist_ok=True)


def only_its_owner_writes(path: str, flags: int) -> int:
    """An opener (see `open`) of files that nobody but their owner may write to, whatever the umask."""
    return os.open(path, flags, 0o644)
