"""A first configuration and a first task for a folder that has none: what `supervisor init` writes.

Nothing that is there is changed, so it may be repeated. The task module comes with a new configuration only: an
existing one names its own modules.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from supervisor.folders import make_folder, only_its_owner_writes
from taskqueue.errors import TaskQueueError
from taskqueue.settings.load import DEFAULT

CONFIG, MODULE = DEFAULT, "tasks"
TASKS = f'''\
"""Tasks are functions that workers run: hello.enqueue("world"), or `taskqueue enqueue {MODULE}:hello name=world`."""

from taskqueue import task


@task(retries=3)
def hello(name: str) -> str:
    """What a task returns is its report; what it raises is, too."""
    return f"Hello, {{name}}!"
'''
_HEAD = f"""\
# What `taskqueue` and `supervisor` read. Lines such as "#key = value" show defaults and examples.
# Durations: a number is seconds; "30s", "10m", "2h", "30d". Texts may name ${{VARIABLE}} and ${{VARIABLE:-default}}.
# `taskqueue check` says whether all is well. After a change: `supervisor reload`.

[app]
# Importing these modules registers their tasks. They are looked for in the folder above this one.
modules = ["{MODULE}"]

"""
_TAIL = """
[queues.default]
# Processes on this host that run its tasks, or "cpus": one for each processor.
workers = 2
# How long a task may run; 0: no limit.
#timeout = "10m"
# How often a task that raised is run again.
#retries = 0

# One more queue, for what must not wait behind the others: @task(queue="mail")
#[queues.mail]
#workers = 1

[supervisor]
# How long a stop waits for running tasks. What stops the supervisor from outside should wait a little longer.
#grace = "30s"

[logging]
# "text" for people, "json" for programs.
#format = "text"
#level = "info"
"""
_SERVER = """\
# Where tasks wait and what became of them is kept, for any number of hosts.
# Needs its driver: pip install 'taskqueue-supervisor[{extra}]'
[brokers.main]
url = "${{DATABASE_URL}}"
"""
_BROKERS = {
    "sqlite": """\
# Where tasks wait and what became of them is kept. SQLite is for one host; the file is made at its first use.
[brokers.main]
url = "sqlite:///var/taskqueue.db"
""",
    "postgresql": _SERVER.format(extra="postgresql"),
    "mysql": _SERVER.format(extra="mysql"),
    "sqs": """\
# Where tasks wait. Credentials are found where all AWS programs find them.
[brokers.main]
url = "sqs://${AWS_REGION:-eu-west-1}"

# What became of them is kept in a database; SQLite is for one host.
[task_log]
url = "${DATABASE_URL:-sqlite:///var/taskqueue.db}"
""",
}
#: kinds of store that a starter configuration can be had for
STORES = tuple(_BROKERS)
_ENQUEUE = f"taskqueue enqueue {MODULE}:hello name=world --wait"
_FIRST_STEPS = {
    "sqlite": ("supervisor run", _ENQUEUE, "supervisor status"),
    "postgresql": ("export DATABASE_URL=postgresql+psycopg://USER:PASSWORD@HOST/NAME", "taskqueue init"),
    "mysql": ("export DATABASE_URL=mysql+pymysql://USER:PASSWORD@HOST/NAME", "taskqueue init"),
    "sqs": ("taskqueue init", "supervisor run", _ENQUEUE),
}


class Started(NamedTuple):
    """What `start` did: files that it wrote, those that it found and left alone, and three commands to go on with."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    commands: tuple[str, ...]


def configuration(store: str) -> str:
    """The text of a first configuration whose tasks are kept in that kind of store, one of STORES."""
    return _HEAD + _BROKERS[store] + _TAIL


def start(folder: Path, *, store: str = "sqlite") -> Started:
    """Give `folder`, which need not exist yet, a configuration and a task. Raises TaskQueueError if it cannot write."""
    config, module = folder / CONFIG, folder / f"{MODULE}.py"
    if os.path.lexists(config):
        return Started((), (config,), _from(folder, ("taskqueue check", "supervisor run", "supervisor status")))
    # The configuration last: once it is there, all is.
    package = folder / MODULE
    new = not package.is_dir() and write_new(module, TASKS)
    written = [module] if new else []
    kept = [] if new else [package if package.is_dir() else module]
    (written if write_new(config, configuration(store)) else kept).append(config)
    return Started(tuple(written), tuple(kept), _from(folder, _steps(store, new=new)))


def _steps(store: str, *, new: bool) -> Sequence[str]:
    """Three commands. Where the module is not ours, its tasks are for `taskqueue check` to list."""
    steps = (*_FIRST_STEPS[store], "supervisor run")[:3]
    return steps if new else [step.replace(_ENQUEUE, "taskqueue check") for step in steps]


def _from(folder: Path, commands: Sequence[str]) -> tuple[str, ...]:
    first, *others = commands
    here = folder.samefile(Path())
    return (first if here else f"cd {shlex.quote(str(folder))} && {first}", *others)


def write_new(file: Path, text: str) -> bool:
    """Write what is not there; False if it is. Raises TaskQueueError if it cannot."""
    try:
        make_folder(file.parent)
        # Who may change the configuration runs what he likes.
        with open(file, "x", encoding="utf-8", opener=only_its_owner_writes) as out:
            _fill(out.fileno(), text, file)
    except FileExistsError:
        if os.path.lexists(file):
            return False
        raise TaskQueueError(f"{file.parent} is no folder: move it away, or name another folder") from None
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else "no such path"
        raise TaskQueueError(f"{file} cannot be written: {reason}") from None
    return True


def _fill(descriptor: int, text: str, file: Path) -> None:
    """All of it or no file: half a configuration would be taken for one."""
    data = text.encode()
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise
