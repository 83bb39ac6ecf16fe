"""Another user of the same host: what he may do to somebody's files, tried out by a process of his."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

NOBODY = 65_534

takes_a_second_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def let_through(folder: Path) -> None:
    """Anybody may pass these folders, so that the last one's files have to look after themselves."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.geteuid() and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o755)


def as_stranger(*tries: Callable[[], object]) -> list[str]:
    """What came of each: the error's name, or "done"."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writer, "\n".join(map(_outcome, tries)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as said:
        return said.read().split("\n")


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return type(error).__name__
    return "done"
