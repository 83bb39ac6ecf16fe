"""What all commands have in common: options that may stand before or behind a command's name, examples, guesses."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from taskqueue.cli.session import LEVELS, Session
from taskqueue.errors import did_you_mean

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class SharedOption(click.Option):
    """An option that every command takes; it goes to the session and not to the command."""

    def __init__(self, *names: str, put: Callable[[Session, Any], None], **settings: Any) -> None:
        def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
            if value:
                put(context.ensure_object(Session), value)

        super().__init__(list(names), expose_value=False, callback=callback, **settings)


def shared_options() -> list[click.Parameter]:
    """Fresh objects, as click keeps state in them."""
    return [
        SharedOption(
            "--config",
            metavar="FILE",
            help="Configuration; else $TASKQUEUE_CONFIG, else config/taskqueue.toml.",
            put=lambda session, file: setattr(session, "config", file),
        ),
        SharedOption(
            "--set",
            metavar="KEY=VALUE",
            multiple=True,
            help="Replace one value of it, e.g. queues.mail.lease=60. May be repeated.",
            put=lambda session, sets: session.sets.extend(sets),
        ),
        SharedOption(
            "--log-level",
            type=click.Choice(LEVELS),
            help="What to log, on stderr.",
            put=lambda session, level: setattr(session, "level", level),
        ),
        SharedOption(
            "--debug",
            is_flag=True,
            help="Show tracebacks of errors; TASKQUEUE_DEBUG=1 too.",
            put=lambda session, debug: setattr(session, "debug", debug),
        ),
    ]


class Command(click.Command):
    """A command with the shared options. `examples` are pairs of a command line and what it does."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **settings: Any) -> None:
        settings.setdefault("context_settings", CONTEXT)
        super().__init__(*args, **settings)
        self.examples = examples
        self.params.extend(shared_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own options first, then those that every command takes."""
        own = [p for p in self.get_params(ctx) if not isinstance(p, SharedOption | click.Argument)]
        shared = [p for p in self.get_params(ctx) if isinstance(p, SharedOption)]
        for title, options in (("Options", own), ("Options of every command", shared)):
            if records := [record for option in options if (record := option.get_help_record(ctx)) is not None]:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, each on a line of its own."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(self.examples, col_max=60)


class Group(Command, click.Group):
    """Commands that are imported when they are used. `commands_at` has name -> ("module:attribute", short help)."""

    def __init__(self, *args: Any, commands_at: dict[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.commands_at = commands_at

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order in which they were given: the first steps first."""
        return list(self.commands_at)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None if there is none of that name."""
        if cmd_name not in self.commands_at:
            return None
        module, _, attribute = self.commands_at[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest name where there is none."""
        if args[0] not in self.commands_at and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.commands_at) or f"; known: {', '.join(self.commands_at)}"
            ctx.fail(f"no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in self.commands_at.items()])


class ListingGroup(Group):
    """Commands about what it lists where none of them is said."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, invoke_without_command=True, no_args_is_help=False, **settings)
