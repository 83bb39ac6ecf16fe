"""`taskqueue log`: the task log at the command line."""

from __future__ import annotations

from taskqueue.cli.command import Group

_PACKAGE = "taskqueue.cli.log"

command = Group(
    "log",
    help="What became of tasks, and what to do with them.",
    commands_at={
        "list": (f"{_PACKAGE}.listing:command", "The newest tasks, or those that you look for."),
        "show": (f"{_PACKAGE}.show:command", "All about one task."),
        "why": (f"{_PACKAGE}.why:command", "Why it does not run, or why it ended as it did."),
        "stats": (f"{_PACKAGE}.stats:command", "How many tasks, by queue and status."),
        "cancel": (f"{_PACKAGE}.cancel:command", "Let tasks not start; ask running ones to stop."),
        "retry": (f"{_PACKAGE}.retry:command", "Enqueue ended tasks once more."),
        "archive": (f"{_PACKAGE}.archive:command", "Put ended tasks away."),
        "purge": (f"{_PACKAGE}.purge:command", "Delete what ended long ago."),
    },
    examples=(
        ("taskqueue log list --failed --since 1h", "what went wrong in the last hour"),
        ("taskqueue log show 8f3c2a", "by any part of an id that is unique"),
        ("taskqueue log why 8f3c2a", "why it does not run"),
        ("taskqueue log retry --failed --queue mail", "once more, after a look and a yes"),
    ),
)
