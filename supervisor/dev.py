"""`supervisor run --dev`: the supervisor for one who writes the tasks.

It starts `supervisor run` with one worker a pool and starts it anew when a source file changes. The stores stay those
of the configuration, and that is said. Without a configuration, but with a module or package `tasks` here, it writes
one: var/dev.toml, with SQLite below var/.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.reloader import Changed, Reloader
from supervisor.starter import MODULE, write_new
from taskqueue.cli import terminal
from taskqueue.errors import ConfigurationError, TaskQueueError
from taskqueue.masking import mask_url
from taskqueue.settings import Settings, find, load
from taskqueue.settings.problems import dotted

if TYPE_CHECKING:
    from watchfiles import Change

PROGRAM = (sys.executable, "-P", "-m", "supervisor", "run")
OWN_CONFIG = Path("var/dev.toml")
OWN_TEXT = f"""\
# Written by `supervisor run --dev`, which found no configuration. For one to keep: supervisor init
[app]
modules = ["{MODULE}"]
root = ".."
[brokers.main]
url = "sqlite:///var/dev.db"
"""
#: seconds that a running task has when a file was saved; it goes back to its queue then
GRACE = 5.0
#: seconds between the end of the grace and the end of the supervisor's patience with itself
MARGIN = 10.0


def run(
    config: str | None = None,
    *,
    sets: Sequence[str] = (),
    options: Sequence[str] = (),
    program: Sequence[str] = PROGRAM,
) -> int:
    """Serve and reload until Ctrl-C; the exit code of `program`, which is started with `options` behind it.

    Raises ConfigurationError if there is nothing to start with. A configuration that breaks later is waited for; the
    places that are watched are those of the first one.
    """
    _require_watchfiles()
    file = _configuration(config)
    settings = load(file, sets=sets)
    _introduce(settings)

    def command() -> list[str] | None:
        try:
            ours = overrides(load(file, sets=sets))
        except ConfigurationError as error:
            _say(f"{error}\nwaiting for a change, Ctrl-C to leave")
            return None
        # What was said on the command line comes last, and wins.
        flags = [part for given in (*ours, *sets) for part in ("--set", given)]
        return [*program, "--config", str(file), *flags, *options]

    grace = min(settings.supervisor.grace, GRACE)
    return Reloader(command, patience=grace + MARGIN, say=_say).run(_watcher(places(settings), _wanted(settings)))


def overrides(settings: Settings) -> list[str]:
    """What is other than the configuration says, as `--set` takes it."""
    pools = [("queues", queue.name, queue.workers) for queue in settings.queues.values()]
    pools += [("pools", pool.name, pool.workers) for pool in settings.pools.values()]
    said = [f"{dotted((table, name, 'workers'))}=1" for table, name, workers in pools if workers > 1]
    if settings.supervisor.grace > GRACE:
        said.append(f"supervisor.grace={GRACE:g}")
    if settings.logging.format != "text" and sys.stderr.isatty():
        said.append("logging.format=text")
    return said


def places(settings: Settings) -> list[Path]:
    """Where the application's sources are: its folder, its modules that stand elsewhere, its configuration."""
    found = [settings.root]
    for name in settings.app.modules:
        found += _folders(name.partition(".")[0], settings.root)
    found += [settings.file] if settings.file else []
    kept: list[Path] = []
    for place in found:
        if place.exists() and not any(place.is_relative_to(known) for known in kept):
            kept.append(place)
    return kept


def _folders(package: str, root: Path) -> list[Path]:
    """Where a top-level module or package stands; nothing of it is imported here."""
    before = list(sys.path)
    sys.path.insert(0, str(root))
    try:
        with suppress(ImportError, ValueError):  # the supervisor's own start will say what is missing
            spec = importlib.util.find_spec(package)
            locations = list((spec and spec.submodule_search_locations) or [])
            if spec and spec.origin and spec.has_location and not locations:
                locations = [spec.origin]
            return [Path(place) for place in locations if "site-packages" not in Path(place).parts]
    finally:
        sys.path[:] = before
    return []


def _configuration(config: str | None) -> Path:
    """The configuration file; one of our own where there is none and a module `tasks` is."""
    try:
        return find(config)
    except ConfigurationError:
        if not Path(MODULE).is_dir() and not Path(f"{MODULE}.py").is_file():
            raise ConfigurationError(
                f"no configuration, and no {MODULE}.py here: `supervisor init` writes both"
            ) from None
    write_new(OWN_CONFIG, OWN_TEXT)
    _say(
        f"no configuration: {OWN_CONFIG} it is, "
        f"for other commands too (export TASKQUEUE_CONFIG={OWN_CONFIG}); `supervisor init` writes one to keep"
    )
    return OWN_CONFIG


def _introduce(settings: Settings) -> None:
    stores = dict.fromkeys(mask_url(store.url) for store in (*settings.brokers.values(), settings.task_log))
    _say(
        f"development: {settings.file}, its stores {', '.join(stores)}; one worker for each pool; "
        f"watching {', '.join(str(place) for place in places(settings))}; Ctrl-C ends it"
    )


def _say(text: str) -> None:
    """To the developer, beside the log."""
    for line in text.splitlines():
        terminal.note(f"supervisor: {line}")


def _require_watchfiles() -> None:
    if importlib.util.find_spec("watchfiles") is None:
        raise TaskQueueError("--dev needs watchfiles to see what changes: pip install 'taskqueue-supervisor[reload]'")


def _wanted(settings: Settings) -> Callable[[Change, str], bool]:
    """Python's sources, and the configuration."""
    import watchfiles

    sources, config = watchfiles.PythonFilter(), str(settings.file)
    return lambda change, path: path == config or sources(change, path)


def _watcher(watched: Sequence[Path], wanted: Callable[[Change, str], bool]) -> Callable[[Changed], object]:
    """What tells a reloader of changes there, from a thread of its own."""

    @contextmanager
    def watch(changed: Changed) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=_watch, args=(watched, wanted, changed, stop), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    return watch


def _watch(
    watched: Sequence[Path], wanted: Callable[[Change, str], bool], changed: Changed, stop: threading.Event
) -> None:
    import watchfiles

    try:
        for _ in watchfiles.watch(*watched, watch_filter=wanted, stop_event=stop, ignore_permission_denied=True):
            changed()
    except (OSError, RuntimeError) as error:  # such as the system's limit of watched files
        _say(f"files are no longer watched: {error}; start it anew after a change")
