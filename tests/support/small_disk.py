"""A disk of a few dozen megabytes, for one program and what it starts: gone with the last of them.

It is a tmpfs in a mount namespace of its own, so that nobody else sees it and nothing has to be unmounted. Linux allows
that to root, and to others where user namespaces are allowed to them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o size=24m,mode=700 tmpfs "$0" && exec "$@"'


def command(folder: Path, program: Sequence[str]) -> list[str]:
    """The command line that runs `program` with such a disk at `folder`, which exists."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", "--mount", *as_root, "sh", "-c", _MOUNT, str(folder), *program]


@cache
def why_not() -> str:
    """Why there can be none here; empty if there can."""
    if shutil.which("unshare") is None:
        return "no unshare(1) here: a small disk takes a mount namespace"
    tried = subprocess.run(command(Path("/tmp"), ["true"]), capture_output=True, text=True)
    return f"no small disk here: {tried.stderr.strip()}" if tried.returncode else ""
