"""Finding, reading and parsing the configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli

from taskqueue.errors import ConfigurationError
from taskqueue.settings.interpolate import interpolate
from taskqueue.settings.locations import absolute, folder_of
from taskqueue.settings.model import Settings
from taskqueue.settings.overrides import apply
from taskqueue.settings.problems import Keys, Problems
from taskqueue.settings.resolve import resolve

VARIABLE = "TASKQUEUE_CONFIG"
DEFAULT = Path("config/taskqueue.toml")
SMALLEST = """\
    [app]
    modules = ["tasks"]
    [brokers.main]
    url = "sqlite:///var/taskqueue.db\""""


def load(
    path: str | Path | None = None, *, sets: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings of the file `path`, else of $TASKQUEUE_CONFIG, else of config/taskqueue.toml.

    `sets` are overrides such as "queues.mail.workers=8". Raises ConfigurationError, a line for each problem (P18).
    """
    file = find(path, environ=environ)
    return parse(_read(file), file=file, sets=sets, environ=environ)


def find(path: str | Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that `load` reads; ConfigurationError says where it looked."""
    chosen = path or environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    if _exists(DEFAULT):
        return DEFAULT
    raise ConfigurationError(
        f"no configuration: --config is not given, ${VARIABLE} is not set, and {DEFAULT} does not exist here; "
        f"write that file, for instance\n{SMALLEST}"
    )


def parse(
    text: str, *, file: Path | None = None, sets: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings that `text` says. Relative paths start where `file` stands, or else at the working directory."""
    source, file = (str(file), absolute(file)) if file else ("configuration", None)
    tree = _tables(text, source)
    overridden = apply(tree, sets)
    problems = Problems(source, overridden)
    tree = {key: _interpolated(value, environ, (key,), problems) for key, value in tree.items()}
    return resolve(tree, file=file, folder=folder_of(file), problems=problems)


def _exists(file: Path) -> bool:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it is there, and reading it will say what is wrong
        return True
    return True


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = e.object.count(b"\n", 0, e.start) + 1
        raise ConfigurationError(f"{file}, line {line}: not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else "no such path"
        raise ConfigurationError(f"{file} cannot be read: {reason}") from None


def _tables(text: str, source: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as e:
        raise ConfigurationError(f"{source}, line {e.lineno}, column {e.colno}: not TOML: {e.msg}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{source}: not TOML: a number is too long, or tables too deep") from None


def _interpolated(value: Any, environ: Mapping[str, str], place: Keys, problems: Problems) -> Any:
    """`value` with the variables of its texts put in. What is missing is noted, and stays as it is."""
    if isinstance(value, dict):
        return {key: _interpolated(v, environ, (*place, key), problems) for key, v in value.items()}
    if isinstance(value, list):
        return [_interpolated(v, environ, place, problems) for v in value]
    if not isinstance(value, str):
        return value
    try:
        return interpolate(value, environ)
    except ValueError as e:
        problems.add(place[:-1], str(e), key=place[-1])
        return value
