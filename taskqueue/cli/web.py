"""`taskqueue web`."""

from __future__ import annotations

import click

from taskqueue.cli.command import Command
from taskqueue.cli.session import Session
from taskqueue.web import extra


@click.command(
    "web",
    cls=Command,
    examples=(
        ("taskqueue web", "at [web] bind, or 127.0.0.1:8321"),
        ("taskqueue web --bind 127.0.0.1:9000", "elsewhere"),
        ("taskqueue web --bind unix:/run/taskqueue.sock", "for a proxy on this machine"),
    ),
)
@click.option("--bind", metavar="ADDRESS", help="HOST:PORT or unix:PATH instead of [web] bind.")
@click.pass_obj
def command(session: Session, *, bind: str | None) -> int:
    """Serve the HTTP API, the metrics and the dashboard until TERM or INT.

    The supervisor does so by itself where [web] bind says where.
    """
    if bind is not None:
        session.sets.append(f"web.bind={bind}")
    session.talks = True
    extra.require()
    from taskqueue.web.serve import serve

    return serve(session.app)
