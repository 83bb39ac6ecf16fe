"""Two other distributions bring import names of ours: supervisord (`supervisor`) and `task-queue` (`taskqueue`).

Never in one environment: whoever is installed later overwrites the other's files.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path

from taskqueue.cli.failures import say
from taskqueue.errors import ConfigurationError

#: distribution -> the import name that it shares with us
STRANGERS = {"supervisor": "supervisor", "task-queue": "taskqueue"}


def check() -> None:
    """Warn of a stranger in this environment. Raises ConfigurationError if its package is the one that is imported."""
    for name, package in STRANGERS.items():
        try:
            stranger = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        line = (
            f"the distribution {name!r} {stranger.version} is installed too and brings a package {package!r} like "
            f"ours; install the two in different environments (pip uninstall {name})"
        )
        if _is_imported(stranger, package):
            raise ConfigurationError(f"`import {package}` finds a stranger's code: {line}")
        say(f"warning: {line}")


def _is_imported(stranger: metadata.Distribution, package: str) -> bool:
    """Whether the package that Python finds is, byte for byte, what the stranger installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    origin = Path(spec.origin)
    for file in stranger.files or ():
        if file.as_posix() == f"{package}/__init__.py" and file.hash is not None:
            return Path(str(file.locate())).resolve() == origin.resolve() and _digest(origin) == file.hash.value
    return False


def _digest(file: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
