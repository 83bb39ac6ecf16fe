"""The demo's two tasks: one that lists a folder, and its children, one for each file."""

from __future__ import annotations

from taskqueue import CallbackTask, Report, context, task
from taskqueue.demo.files import Tree, measure, original, shown
from taskqueue.demo.words import count, shortened, sized

BATCH = 500
MAX_LABEL = 255


@task(label="the whole folder")
def survey(folder: str, suffix: str, skip: list[str]) -> Report:
    """Create a child for each file below `folder` (which, as all paths here, is in its `shown` form)."""
    tree = Tree(original(folder), suffix, tuple(map(original, skip)))
    files = tree.files()
    for start in range(0, len(files), BATCH):
        context.create_children(_child(folder, path) for path in files[start : start + BATCH])
        context.progress(min(start + BATCH, len(files)), len(files), "listed")
    return Report.success(f"{count(len(files), 'file')} found in {folder}, a child created for each", len(files))


@task
def measure_file(folder: str, path: str) -> Report:
    """Read one file."""
    found = measure(original(folder), original(path))
    return Report.success(f"{sized(found.size)}, {count(found.lines, 'line')}", found)


def _child(folder: str, path: str) -> CallbackTask[Report]:
    child = measure_file.bind(folder, shown(path))
    child.label = shortened(shown(path), MAX_LABEL)
    return child
