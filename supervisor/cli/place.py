"""Where the master's socket is, by as little of the configuration as says so.

A file that is refused as a whole must not lock out the operator who wants to see, or stop, what still runs by the old
one; and a probe has no time to read and check everything. What is not plain is left to `taskqueue.settings`, which
says what is wrong with it.
"""

from __future__ import annotations

import os

import tomli

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SOCKET, ROOT = "var/supervisor.sock", "."


def socket_path(config: str | None, sets: Sequence[str] = ()) -> str:
    """The path of the socket by this configuration. Raises ConfigurationError."""
    return (None if sets else plain_path(config)) or _checked_path(config, sets)


def plain_path(config: str | None) -> str | None:
    """The same, where the file says it plainly; else None."""
    try:
        # As `taskqueue.settings` finds the file, and where its relative paths start. A test holds the two together.
        file = os.path.abspath(config or os.environ.get("TASKQUEUE_CONFIG") or "config/taskqueue.toml")  # noqa: PTH100  # pathlib takes its time
        tree = _read(file)
        root = _text(tree.get("app", {}).get("root", ROOT))
        path = _text(tree.get("supervisor", {}).get("control_socket", SOCKET))
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
    folder, name = os.path.split(os.path.dirname(file))  # noqa: PTH120  # likewise
    base = folder if name == "config" else os.path.join(folder, name)  # noqa: PTH118  # likewise
    return os.path.normpath(os.path.join(base, root, path))  # noqa: PTH118  # likewise


def _read(file: str) -> dict[str, Any]:
    with open(file, "rb") as opened:  # noqa: PTH123  # likewise
        return tomli.loads(opened.read().decode("utf-8-sig"))


def _text(value: Any) -> str:
    """A path as the file says it; ValueError if it is none."""
    text = value if isinstance(value, str) else ""
    if "$" in text:
        from taskqueue.settings.interpolate import interpolate

        text = str(interpolate(text, os.environ))
    if not text.isprintable() or not text:
        raise ValueError(value)
    return text


def _checked_path(config: str | None, sets: Sequence[str]) -> str:
    from taskqueue.errors import ConfigurationError
    from taskqueue.settings import load

    try:
        return str(load(config, sets=sets).supervisor.control_socket)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}\na supervisor that runs is reached all the same by --socket PATH") from error
