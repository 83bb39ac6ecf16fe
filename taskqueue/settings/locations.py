"""Where relative paths start, and what a SQLite URL means."""

from __future__ import annotations

import os
from pathlib import Path

from taskqueue.errors import ConfigurationError


def absolute(path: Path) -> Path:
    """`path` from the working directory on; links are not followed."""
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links out of the application
    except OSError:
        raise ConfigurationError(f"{path}: the working directory is gone; change to one that exists") from None


def folder_of(file: Path | None) -> Path:
    """The folder above `config/` if the file stands in one, else the file's own; without a file the working one."""
    if file is None:
        return absolute(Path())
    return file.parent.parent if file.parent.name == "config" else file.parent


def below(root: Path, path: Path) -> Path:
    """`path` from `root` on, if it is relative; without "." and ".."."""
    return Path(os.path.normpath(root / path))


def sqlite_url(url: str, root: Path) -> str:
    """The URL with its file's path made absolute; ValueError if it names no file."""
    scheme, _, rest = url.partition("://")
    host, slash, rest = rest.partition("/")
    path, question, query = rest.partition("?")
    if host and host[0] != "?":
        raise ValueError("a SQLite URL has three slashes (sqlite:///var/app.db), or four before an absolute path")
    if not slash or not path or path.startswith((":memory:", "file:")):
        raise ValueError('a file is needed, such as "sqlite:///var/app.db"; for tasks that run at once: "memory://"')
    file = str(below(root, Path(path)))
    if "?" in file:
        raise ValueError("the path of a SQLite file must not hold a '?'")
    return f"{scheme}:///{file}{question}{query}"
